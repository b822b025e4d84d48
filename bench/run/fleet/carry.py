"""Carries one plan out on every worker: side by side on different hosts, one after the other on one host."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.groups import grouped
from mlpbench.bench.record import fleet as record
from mlpbench.bench.record.fleet import FleetHead, WorkerEntry
from mlpbench.bench.record.untrusted import NAME, clean_text
from mlpbench.bench.run.fleet.worker import FINISHED, Answer, Facts, Request
from mlpbench.bench.run.merge import merge

#: How deep the files of a run lie below its machine: those of a setting one deeper.
_DEPTHS = (2, 3)
T = TypeVar("T")


class WorkerLost(Exception):  # noqa: N818 - no mistake of ours, but what became of a worker
    """A worker cannot be reached, or died; the text says how."""


class Transport(Protocol):
    """What reaches workers."""

    @property
    def workers(self) -> Sequence[str]:
        """Names of all workers."""

    def facts(self, worker: str) -> Facts:
        """Return what a worker is. Raises WorkerLost."""

    def execute(self, worker: str, request: Request, tell: Callable[[str], None]) -> Answer:
        """Return how a run on a worker ended; ``tell`` is called with what it says. Raises WorkerLost."""


@dataclass(frozen=True)
class Teller:
    """Where lines go: what becomes of a worker, and what its run says."""

    worker: Callable[[str, str], None]
    line: Callable[[str, str], None]


def start(transport: Transport, words: Sequence[str], stamp: str, version: str) -> FleetHead:
    """Return the head of a new fleet: of every worker."""
    workers = tuple(WorkerEntry(name=name, suffix=_suffix(name)) for name in transport.workers)
    if not workers:
        raise UserError("there are no workers: start some, or add hosts to the list")
    return FleetHead(fleet=stamp, words=tuple(words), version=version, workers=workers)


def go_on(transport: Transport, before: FleetHead, version: str) -> FleetHead:
    """Return the head of a fleet that goes on: with workers that are new since then. Raises UserError.

    A worker of Dask that was started again has another address: one that has no results yet and is gone, is forgotten.
    """
    if before.version != version:
        raise UserError(f"the fleet was started with mlpbench {before.version}, this is {version}: start another one")
    there = set(transport.workers)
    kept = [entry for entry in before.workers if entry.done or entry.name in there]
    new = [name for name in transport.workers if name not in {entry.name for entry in kept}]
    added = [WorkerEntry(name=name, suffix=_suffix(name)) for name in new]
    return replace(before, workers=(*kept, *added))


def carry_out(transport: Transport, head: FleetHead, results: Path, tell: Teller) -> FleetHead:
    """Run the plan on every worker that has no results yet; return the head with what became of each.

    The file of the fleet is written after each worker, so that whatever ends this, what is done stays done. Raises
    UserError where it cannot be. A worker whose results cannot be kept is lost, and the others go on.
    """
    lock, waiting = Lock(), [entry for entry in head.workers if not entry.done]
    entries = {entry.name: entry for entry in head.workers}

    def settle(entry: WorkerEntry) -> None:
        entry = replace(entry, problem=entry.problem and clean_text(entry.problem))
        with lock:
            entries[entry.name] = entry
            record.write(results, replace(head, workers=tuple(entries.values())))
        tell.worker(entry.name, entry.problem or f"done, {', '.join(entry.runs)}")

    def of_host(entries_here: Sequence[WorkerEntry]) -> None:
        for entry in entries_here:
            settle(_carry(transport, entry, head, results, tell, lock))

    with ThreadPoolExecutor(max(1, len(waiting))) as pool:
        known = list(pool.map(lambda entry: _known(transport, entry, head.version), waiting))
        for entry in (entry for entry in known if entry.problem):
            settle(entry)
        hosts = grouped((entry.host or entry.name, entry) for entry in known if not entry.problem)
        list(pool.map(of_host, hosts.values()))
    return replace(head, workers=tuple(entries.values()))


def _known(transport: Transport, entry: WorkerEntry, version: str) -> WorkerEntry:
    """Return a worker with its machine, or with why it cannot take part."""
    try:
        found = transport.facts(entry.name)
    except WorkerLost as lost:
        return replace(entry, problem=f"not reached: {lost}")
    if found.version != version:
        return replace(entry, problem=f"it has mlpbench {found.version}, and not {version}: install that there")
    # Containers on one host have hosts of their own, and one start of the system.
    return replace(entry, machine=found.machine, host=found.boot or found.host or entry.name, problem=None)


def _carry(
    transport: Transport, entry: WorkerEntry, head: FleetHead, results: Path, tell: Teller, lock: Lock
) -> WorkerEntry:
    request = Request(head.words, f"mlpbench-fleet-{head.fleet}-{entry.suffix}", entry.suffix)
    tell.worker(entry.name, f"starts on {entry.machine}")
    try:
        answer = transport.execute(entry.name, request, lambda line: tell.line(entry.name, line))
    except WorkerLost as lost:
        return replace(entry, problem=f"lost: {lost}")
    if answer.status not in FINISHED:
        last = next((line for line in reversed(answer.said) if line.strip()), "it said nothing")
        return replace(entry, problem=f"the run ended with exit status {answer.status}: {last}")
    if torn := answer.torn:
        return replace(entry, problem=f"{torn[0]} did not arrive as it was written")
    try:
        with lock:
            return replace(entry, runs=_kept(answer, entry, results), problem=None)
    except UserError as error:
        return replace(entry, problem=f"its results were not taken: {error}")


def _kept(answer: Answer, entry: WorkerEntry, results: Path) -> tuple[str, ...]:
    """Write the files of a run among the results; return its folders, below those. Raises UserError."""
    with tempfile.TemporaryDirectory(prefix="mlpbench-") as folder:
        for name, content in answer.files.items():
            machine, *parts = name.split("/")
            if machine != entry.machine or len(parts) not in _DEPTHS or not all(map(NAME.fullmatch, parts)):
                raise UserError(f"{name!r} is no file of a run of {entry.machine}")
            path = Path(folder, machine, *parts)
            with user_error(f"cannot write {path}"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        found = merge([Path(folder)], results)
    return tuple(str(path.relative_to(results)) for path in (*found.added, *found.same))


def understood(content: bytes | bytearray, kind: type[T], otherwise: str) -> T:
    """Return the answer of a worker. Raises WorkerLost with what is told ``otherwise``, of bytes that are none."""
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        raise WorkerLost(otherwise) from None


def _suffix(name: str) -> str:
    """Return what keeps runs of two workers apart that start in the same second."""
    return hashlib.sha256(name.encode()).hexdigest()[:6]
