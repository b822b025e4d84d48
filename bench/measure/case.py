"""One case, measured. The only file that starts a clock or waits for a device.

The clock itself is pytest-benchmark's: this module prepares inputs, warms, and hands it a callable without
arguments. Around it stand the figures that the clock must not contain: first call, transfers, construction.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import elapsed, now
from mlpbench.bench.data.workload import Workload, predict
from mlpbench.bench.record.schema import PARTS, Beside, Parts
from mlpbench.kernels.base import Kernel

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


#: Seconds of calls before pytest-benchmark calibrates: caches, branch predictors and clocks settle.
WARM_S = 0.05
#: Transfers are timed this often; the median is kept.
TRANSFERS = 5


def is_asynchronous(kernel: Kernel) -> bool:
    """Return whether a call may return before its result is there: only such kernels are waited for."""
    return type(kernel).synchronize is not Kernel.synchronize


@dataclass(frozen=True)
class BookCell:
    """The book's cell: load the data, read the weights and make the network, infer every row, count the hits."""

    load: Callable[[], tuple[NDArray[Any], NDArray[Any]]]
    initialise: Callable[[], Kernel]

    @classmethod
    def of(cls, workload: Workload, kernel_class: type[Kernel]) -> BookCell:
        """Return the cell of a kernel, which reads and makes everything again in every call."""
        return cls(workload.read_again, lambda: kernel_class(workload.spec, workload.read_params()))

    def __call__(self, batch_size: int) -> tuple[int, tuple[float, ...]]:
        """Run it once; return the number of hits, and the seconds of each of `bench.record.schema.PARTS`.

        Batch size 1 takes rows one at a time, as the book does first. The five looks at the clock are in the time of
        the whole: some 50 ns each, against milliseconds. Picking the class of a row is part of inferring, because a
        result is valid only until the next call.
        """
        look = now
        start = look()
        x, labels = self.load()
        loaded = look()
        kernel = self.initialise()
        initialised = look()
        winners = predict(kernel, x, None if batch_size == 1 else batch_size)
        inferred = look()
        hits = int(np.sum(winners == labels))
        counted = look()
        return hits, (loaded - start, initialised - loaded, inferred - initialised, counted - inferred)


def prepare(kernel: Kernel, case: Case, x: NDArray[Any]) -> Callable[[], None]:
    """Return the callable that is timed: one batch, or one block of rows taken one at a time.

    Each call takes the next rows of ``x`` (rows, n_in), and starts over at the end: no call sees the rows of the one
    before, unless ``x`` has no more than one batch. Rows that do not fill a last batch are left out.
    """
    starts = range(0, len(x) - case.batch_size + 1, case.batch_size)
    batches = [np.ascontiguousarray(x[start : start + case.batch_size]) for start in starts]
    if case.mode == "batched":
        return _batched(kernel, itertools.cycle([kernel.from_host(batch) for batch in batches]))
    return _per_sample(kernel, itertools.cycle([[kernel.from_host(row) for row in batch] for batch in batches]))


def _batched(kernel: Kernel, batches: Iterator[Any]) -> Callable[[], None]:
    forward, synchronize, take = kernel.forward, kernel.synchronize, batches.__next__

    def call() -> None:
        forward(take())

    def call_and_wait() -> None:
        synchronize(forward(take()))

    return call_and_wait if is_asynchronous(kernel) else call


def _per_sample(kernel: Kernel, blocks: Iterator[list[Any]]) -> Callable[[], None]:
    forward_one, synchronize, take = kernel.forward_one, kernel.synchronize, blocks.__next__

    def call() -> None:
        for row in take():
            forward_one(row)

    def call_and_wait() -> None:
        for row in take():
            synchronize(forward_one(row))

    return call_and_wait if is_asynchronous(kernel) else call


def measure(
    benchmark: BenchmarkFixture, kernel: Kernel, case: Case, x: NDArray[Any], book: BookCell | None = None
) -> None:
    """Time one case with pytest-benchmark, and note the figures that stay out of its clock in ``extra_info``.

    ``x`` is (rows, n_in), C-contiguous, of the specification's dtype. The ``book`` mode times ``book`` instead.
    """
    calls: list[tuple[int, tuple[float, ...]]] = []
    if case.mode == "book":
        if book is None:
            raise ValueError("the book mode needs a BookCell")
        cell, size = book, case.batch_size

        def call() -> None:
            ended = _rounds_ended(benchmark)
            calls.append((ended, cell(size)[1]))
    else:
        call = prepare(kernel, case, x)
    with elapsed() as first:
        call()
    from_host_s, to_host_s, parts = None, None, None
    if case.mode != "book":
        from_host_s, to_host_s = _transfers(kernel, x[: case.batch_size])
        _warm(call)
    benchmark(call)
    if calls and benchmark.stats is not None:  # None where pytest-benchmark is disabled: nothing was timed
        parts = by_round(calls, _rounds_ended(benchmark), benchmark.stats.iterations)
    beside = Beside(first_call_s=first.seconds, from_host_s=from_host_s, to_host_s=to_host_s, parts=parts)
    benchmark.extra_info.update(beside.as_dict())


def by_round(calls: Sequence[tuple[int, Sequence[float]]], rounds: int, iterations: int) -> Parts:
    """Return the parts of the timed rounds from those of every call: the mean over the calls of each round.

    ``calls`` holds, for each call in the order of calling, how many rounds had ended when it began, and the seconds of
    `PARTS`. Before the first round has ended, the last calls are that round's: those before are the first call,
    pytest-benchmark's calibration and its warming. Calls that begin when all rounds have ended are of none.
    Raises ValueError where a round has fewer calls than ``iterations``.
    """
    found: list[list[float]] = [[] for _ in PARTS]
    for number in range(rounds):
        timed = [parts for ended, parts in calls if ended == number][-iterations:]
        if len(timed) < iterations:
            raise ValueError(f"round {number} has {len(timed)} calls, not {iterations}")
        for means, seconds in zip(found, zip(*timed, strict=True), strict=True):
            means.append(statistics.fmean(seconds))
    return Parts(*map(tuple, found))


def _rounds_ended(benchmark: BenchmarkFixture) -> int:
    """Return how many rounds pytest-benchmark has timed so far: none while it calibrates and warms."""
    return 0 if benchmark.stats is None else len(benchmark.stats.stats.data)


def _warm(call: Callable[[], None]) -> None:
    end = now() + WARM_S
    while now() < end:
        call()


def _transfers(kernel: Kernel, batch: NDArray[Any]) -> tuple[float, float]:
    """Return the seconds that a batch takes to the device, and its result back."""
    to_device, to_host = [], []
    for _ in range(TRANSFERS):
        with elapsed() as there:
            on_device = kernel.from_host(batch)
            kernel.synchronize(on_device)
        y = kernel.forward(on_device)
        kernel.synchronize(y)
        with elapsed() as back:
            kernel.to_host(y)
        to_device.append(there.seconds)
        to_host.append(back.seconds)
    return statistics.median(to_device), statistics.median(to_host)
