"""One run carried out on every worker: side by side on different hosts, one after the other on one host."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mlpbench import __version__
from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.untrusted import NAME, clean_text
from mlpbench.bench.wings.fleet.merge import merge
from mlpbench.bench.wings.fleet.worker import Answer, Request, WorkerLost

if TYPE_CHECKING:
    from mlpbench.bench.wings.fleet.dask import Cluster
    from mlpbench.bench.wings.fleet.ssh import Hosts


@dataclass
class Worker:
    """What became of a worker: where its ``runs`` are, below the folder of results, or the ``problem`` that it had."""

    name: str
    runs: tuple[str, ...] = ()
    problem: str | None = None


def carry_out(
    transport: Cluster | Hosts, words: Sequence[str], results: Path, tell: Callable[[str, str], None]
) -> list[Worker]:
    """Run the words on every worker; return what became of each.

    ``tell`` is called with the name of a worker and a line about it. Results are kept as they arrive. A worker whose
    results cannot be kept is lost, and the others go on. Raises UserError where there is no worker.
    """
    lock, workers = Lock(), list(map(Worker, transport.workers))
    if not workers:
        raise UserError("there are no workers: start some, or add hosts to the list")

    def lose(worker: Worker, problem: object) -> None:
        worker.problem = clean_text(str(problem))
        tell(worker.name, worker.problem)

    def find(worker: Worker) -> Answer | None:
        try:
            found = transport.ask(worker.name, Request(), lambda _: None)
        except WorkerLost as lost:
            lose(worker, f"not reached: {lost}")
            return None
        if found.version == __version__:
            return found
        lose(worker, f"it has mlpbench {found.version}, and not {__version__}: install that there")
        return None

    def run_in_turn(of_host: Sequence[tuple[Worker, Answer]]) -> None:
        for worker, found in of_host:
            tell(worker.name, f"starts on {found.machine}")
            try:
                answer = _answer(transport, worker, words, partial(tell, worker.name))
                with lock:
                    worker.runs = _keep(answer, found.machine, results)
                tell(worker.name, f"done, {', '.join(worker.runs)}")
            except WorkerLost as lost:
                lose(worker, lost)
            except UserError as error:
                lose(worker, f"its results were not taken: {error}")

    with ThreadPoolExecutor(len(workers)) as pool:
        found = zip(workers, pool.map(find, workers), strict=True)
        hosts = grouped((there.host or worker.name, (worker, there)) for worker, there in found if there is not None)
        list(pool.map(run_in_turn, hosts.values()))
    return workers


def _answer(transport: Cluster | Hosts, worker: Worker, words: Sequence[str], tell: Callable[[str], None]) -> Answer:
    """Return the answer of a worker whose run came to its end. Raises WorkerLost."""
    # The end of the run's name: two workers may start in one second.
    suffix = hashlib.sha256(worker.name.encode()).hexdigest()[:6]
    try:
        answer = transport.ask(worker.name, Request(tuple(words), suffix), tell)
    except WorkerLost as lost:
        raise WorkerLost(f"lost: {lost}") from None
    if answer.status not in (0, 1):  # with 1 a kernel failed, and its result says why
        last = next((line for line in reversed(answer.said) if line.strip()), "it said nothing")
        raise WorkerLost(f"the run ended with exit status {answer.status}: {last}")
    return answer


def _keep(answer: Answer, machine: str, results: Path) -> tuple[str, ...]:
    """Write the files of a run among the results; return its folders, below those. Raises UserError."""
    with tempfile.TemporaryDirectory(prefix="mlpbench-") as folder:
        for name, content in answer.files.items():
            first, *parts = name.split("/")
            # The files of a setting lie one folder deeper than those of a run.
            if first != machine or len(parts) not in (2, 3) or not all(map(NAME.fullmatch, parts)):
                raise UserError(f"{name!r} is no file of a run of {machine}")
            path = Path(folder, machine, *parts)
            with user_error(f"cannot write {path}"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        merged = merge([Path(folder)], results)
    return tuple(str(path.relative_to(results)) for path in (*merged.added, *merged.same))
