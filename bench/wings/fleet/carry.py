"""One plan carried out on every worker: side by side on different hosts, one after the other on one host.

``fleet-<stamp>.json`` holds what became of each worker: a second start makes up the rest.
"""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal, Protocol

from msgspec.structs import replace

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.groups import grouped
from mlpbench.bench.record import untrusted
from mlpbench.bench.record.fields import SCHEMA, Block, Name, Schema, Text
from mlpbench.bench.record.untrusted import NAME, clean_text
from mlpbench.bench.record.write import write_atomically
from mlpbench.bench.wings.fleet.merge import merge
from mlpbench.bench.wings.fleet.worker import FINISHED, Answer, Request, WorkerLost


class WorkerEntry(Block, frozen=True, kw_only=True):
    """A worker: its ``name`` in the list, or its address.

    ``runs``: where its results are, below the folder of results; ``problem`` says why it has none.
    """

    name: Text
    runs: tuple[Text, ...] = ()
    problem: Text | None = None

    @property
    def done(self) -> bool:
        """Whether its results are here."""
        return bool(self.runs) and self.problem is None

    @property
    def suffix(self) -> str:
        """The end of its run's name: two workers may start in one second."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:6]


class FleetHead(Block, frozen=True, kw_only=True):
    """The block "mlpbench" of the file. ``words``: of the run, as typed; ``fleet``: its name, a UTC stamp."""

    schema: Schema = SCHEMA
    kind: Literal["fleet"] = "fleet"
    fleet: Name
    words: tuple[Text, ...]
    version: Text
    workers: tuple[WorkerEntry, ...] = ()


class FleetFile(Block, frozen=True):
    """The content of the file."""

    mlpbench: FleetHead


def write(results: Path, head: FleetHead) -> None:
    """Write the file of a fleet over the one before it. Raises UserError where it cannot be."""
    with user_error(f"cannot write results to {results}", "; choose another --results"):
        results.mkdir(parents=True, exist_ok=True)
    write_atomically(results / f"fleet-{head.fleet}.json", FleetFile(head), replace=True)


def newest(results: Path) -> FleetHead:
    """Return the newest fleet of a folder of results. Raises UserError where there is none, or it cannot be read."""
    if not (paths := sorted(results.glob("fleet-*.json"))):
        raise UserError(f"no fleet in {results}: start one without --resume")
    return untrusted.read(paths[-1], FleetFile).mlpbench


#: How deep the files of a run lie below its machine: those of a setting one deeper.
_DEPTHS = (2, 3)


class Transport(Protocol):
    """What reaches workers, by their names."""

    workers: Sequence[str]

    def ask(self, worker: str, request: Request, tell: Callable[[str], None]) -> Answer:
        """Return what a worker answers; ``tell`` is called with each line that it says. Raises WorkerLost."""

    def close(self) -> None:
        """Let go of what reaching workers took."""


def entries_of(transport: Transport, before: Sequence[WorkerEntry] = ()) -> tuple[WorkerEntry, ...]:
    """Return an entry for every worker, after those of a fleet ``before`` that goes on. Raises UserError for none.

    A worker of Dask that was started again has another address: one that has no results yet and is gone, is forgotten.
    """
    kept = {entry.name: entry for entry in before if entry.done or entry.name in transport.workers}
    new = [WorkerEntry(name=name) for name in transport.workers if name not in kept]
    if not (kept or new):
        raise UserError("there are no workers: start some, or add hosts to the list")
    return (*kept.values(), *new)


def carry_out(transport: Transport, head: FleetHead, results: Path, tell: Callable[[str, str], None]) -> FleetHead:
    """Run the plan on every worker that has no results yet; return the head with what became of each.

    ``tell`` is called with the name of a worker and a line about it. The file of the fleet is written after each
    worker: what is done stays done. Raises UserError where it cannot be. A worker whose results cannot be kept is lost,
    and the others go on.
    """
    lock, waiting = Lock(), [entry for entry in head.workers if not entry.done]
    entries = {entry.name: entry for entry in head.workers}

    def note(entry: WorkerEntry, problem: object = None) -> None:
        entry = replace(entry, problem=None if problem is None else clean_text(str(problem)))
        with lock:
            entries[entry.name] = entry
            write(results, replace(head, workers=tuple(entries.values())))
        tell(entry.name, entry.problem or f"done, {', '.join(entry.runs)}")

    def find(entry: WorkerEntry) -> Answer | None:
        try:
            return _found(transport, entry, head)
        except WorkerLost as lost:
            note(entry, lost)
            return None

    def run_in_turn(workers: Sequence[tuple[WorkerEntry, Answer]]) -> None:
        for entry, found in workers:
            tell(entry.name, f"starts on {found.machine}")
            try:
                answer = _answer(transport, entry, head, partial(tell, entry.name))
                with lock:
                    runs = _keep(answer, found.machine, results)
                note(replace(entry, runs=runs))
            except WorkerLost as lost:
                note(entry, lost)
            except UserError as error:
                note(entry, f"its results were not taken: {error}")

    with ThreadPoolExecutor(max(1, len(waiting))) as pool:
        found = zip(waiting, pool.map(find, waiting), strict=True)
        hosts = grouped((there.host or entry.name, (entry, there)) for entry, there in found if there is not None)
        list(pool.map(run_in_turn, hosts.values()))
    return replace(head, workers=tuple(entries.values()))


def _found(transport: Transport, entry: WorkerEntry, head: FleetHead) -> Answer:
    """Return what a worker is. Raises WorkerLost where it cannot take part."""
    try:
        found = transport.ask(entry.name, Request(), lambda _: None)
    except WorkerLost as lost:
        raise WorkerLost(f"not reached: {lost}") from None
    if found.version != head.version:
        raise WorkerLost(f"it has mlpbench {found.version}, and not {head.version}: install that there")
    return found


def _answer(transport: Transport, entry: WorkerEntry, head: FleetHead, tell: Callable[[str], None]) -> Answer:
    """Return the answer of a worker whose run came to its end. Raises WorkerLost."""
    request = Request(head.words, f"mlpbench-fleet-{head.fleet}-{entry.suffix}", entry.suffix)
    try:
        answer = transport.ask(entry.name, request, tell)
    except WorkerLost as lost:
        raise WorkerLost(f"lost: {lost}") from None
    if answer.status not in FINISHED:
        last = next((line for line in reversed(answer.said) if line.strip()), "it said nothing")
        raise WorkerLost(f"the run ended with exit status {answer.status}: {last}")
    return answer


def _keep(answer: Answer, machine: str, results: Path) -> tuple[str, ...]:
    """Write the files of a run among the results; return its folders, below those. Raises UserError."""
    with tempfile.TemporaryDirectory(prefix="mlpbench-") as folder:
        for name, content in answer.files.items():
            first, *parts = name.split("/")
            if first != machine or len(parts) not in _DEPTHS or not all(map(NAME.fullmatch, parts)):
                raise UserError(f"{name!r} is no file of a run of {machine}")
            path = Path(folder, machine, *parts)
            with user_error(f"cannot write {path}"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        merged = merge([Path(folder)], results)
    return tuple(str(path.relative_to(results)) for path in (*merged.added, *merged.same))
