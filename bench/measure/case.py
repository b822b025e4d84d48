"""One case: its inputs, its first call and transfers, and the callable that pytest-benchmark times."""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mlpbench.bench.cases import CPU, Case
from mlpbench.bench.clock import elapsed, now, times_s
from mlpbench.bench.data.workload import Workload, predict
from mlpbench.bench.machine import environment
from mlpbench.bench.record.schema import Beside
from mlpbench.kernels.base import Kernel

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


#: Seconds of calls before the calls of a round are counted.
WARM_S = 0.01
#: Transfers are timed this often; the median is kept.
TRANSFERS = 5


def is_asynchronous(kernel: Kernel) -> bool:
    """Return whether a call may return before its result is there."""
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

        Batch size 1 takes rows one at a time. Picking the class of a row is part of inferring, because a result is
        valid only until the next call.
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


@dataclass(frozen=True)
class Prepared:
    """What is timed: ``call()`` processes the next of ``batches``, in turn, and returns its (last) result.

    ``batches``: inputs where the kernel reads them, each a batch or the list of its rows; ``take()`` takes the next
    without a call. ``forward`` is one call of the kernel, on a batch or a row.
    """

    call: Callable[[], Any]
    batches: tuple[Any, ...]
    take: Callable[[], Any]
    forward: Callable[[Any], Any]


def rotation(kernel: Kernel, case: Case, x: NDArray[Any]) -> int:
    """Return how many rows of ``x`` the calls of a case rotate through: whole batches, more than a cache holds.

    Four times the largest cache, and 64 MiB, are as good as more; a million rows would take minutes to a device.
    """
    cache = _largest_cache() if kernel.device == CPU else kernel.l2_bytes() or 0
    row_bytes: int = x[0].nbytes
    most = max(4 * cache, 64 * 2**20) // row_bytes
    return max(case.batch_size, min(most, len(x)) // case.batch_size * case.batch_size)


@functools.cache
def _largest_cache() -> int:
    return max((size for name, size in environment.machine().caches.items() if name != "L1i"), default=0)


def prepare(kernel: Kernel, case: Case, x: NDArray[Any]) -> Prepared:
    """Return the callable that is timed: one batch, or one block of rows taken one at a time.

    Each call takes the next rows of ``x`` (rows, n_in) in `rotation`; rows that do not fill a last batch are left out.
    To a device they go in one piece, of which the inputs are slices. On the CPU `from_host` is part of the call where
    `bench.measure.checks` could not write over what it gives, or it is no copy: the kernel could do its work there.
    """
    size, single = case.batch_size, case.mode == "per_sample"
    forward = kernel.forward_one if single else kernel.forward
    x = np.ascontiguousarray(x[: rotation(kernel, case, x)])
    host = [x[start : start + size] for start in range(0, len(x), size)]
    batches: list[Any]
    if kernel.device != CPU:
        there = kernel.from_host(x)
        starts = range(0, len(x), size)
        if single:
            batches = [[there[row] for row in range(start, start + size)] for start in starts]
        else:
            batches = [there[start : start + size] for start in starts] if len(starts) > 1 else [there]
    elif _can_be_written_over(kernel, host[0][0] if single else host[0]):
        batches = [[kernel.from_host(row) for row in batch] if single else kernel.from_host(batch) for batch in host]
    else:
        batches, of_kernel = [list(batch) if single else batch for batch in host], forward

        def forward(x: Any) -> Any:
            return of_kernel(kernel.from_host(x))

    take = itertools.cycle(batches).__next__
    return Prepared((_per_sample if single else _batched)(kernel, forward, take), tuple(batches), take, forward)


def _can_be_written_over(kernel: Kernel, x: NDArray[Any]) -> bool:
    """Return whether `from_host` of a kernel on the CPU gives an array like ``x`` whose memory can be written to."""
    there = memory(kernel, kernel.from_host(x))
    return there is not None and (there.shape, there.dtype) == (x.shape, x.dtype)


def memory(kernel: Kernel, there: Any) -> NDArray[Any] | None:
    """Return the memory of a kernel's array, to be written to, also where its library forbids that.

    None where it is not the host's, or nobody can tell where it lies.
    """
    if kernel.device != CPU:
        return None
    if isinstance(there, np.ndarray):
        return _open(there)
    host, again = kernel.to_host(there), kernel.to_host(there)
    if isinstance(host, np.ndarray) and host.flags.writeable and np.may_share_memory(host, again):
        return np.asarray(host)
    try:
        return _open(np.from_dlpack(there))
    except (AttributeError, BufferError, TypeError, ValueError, RuntimeError):  # it has none, or says no
        return None


def _open(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return an array as one that can be written to; the caller keeps the other."""
    if array.flags.writeable:
        return np.asarray(array)
    if not array.flags.c_contiguous or not array.nbytes:
        return None
    place = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    return np.ndarray(array.shape, array.dtype, memoryview(place))


def _batched(kernel: Kernel, forward: Callable[[Any], Any], take: Callable[[], Any]) -> Callable[[], Any]:
    synchronize = kernel.synchronize

    def call() -> Any:
        return forward(take())

    def call_and_wait() -> Any:
        synchronize(y := forward(take()))
        return y

    return call_and_wait if is_asynchronous(kernel) else call


def _per_sample(kernel: Kernel, forward: Callable[[Any], Any], take: Callable[[], Any]) -> Callable[[], Any]:
    synchronize = kernel.synchronize

    def call() -> Any:
        for row in take():
            y = forward(row)
        return y

    def call_and_wait() -> Any:
        for row in take():
            synchronize(y := forward(row))
        return y

    return call_and_wait if is_asynchronous(kernel) else call


def round_of(call: Callable[[], Any], calls: int) -> Callable[[], Any]:
    """Return one round: so many calls, and the result of the last. pytest-benchmark times it as one call."""
    rest = range(calls - 1)

    def round_() -> Any:
        for _ in rest:
            call()
        return call()

    return round_


@dataclass(frozen=True)
class Ready:
    """A case that can be timed: its first call, transfers and warming are over.

    ``call_s``: of the fastest call so far. ``prepared`` is None for the book's cell, and ``parts`` are of each of its
    calls.
    """

    call: Callable[[], Any]
    call_s: float
    beside: Beside
    prepared: Prepared | None
    parts: list[tuple[float, ...]]


def make_ready(kernel: Kernel, case: Case, x: NDArray[Any], book: BookCell) -> Ready:
    """Make a case ready, and note the figures that stay out of the clock."""
    parts: list[tuple[float, ...]] = []
    if case.mode == "book":
        prepared, size = None, case.batch_size

        def call() -> None:
            parts.append(book(size)[1])
    else:
        prepared = prepare(kernel, case, x)
        call = prepared.call
    with elapsed() as first:
        call()
    beside = Beside(first_call_s=first.seconds)
    if prepared is None:
        return Ready(call, first.seconds, beside, None, parts)
    from_host_s, to_host_s = _transfers(kernel, case, x[: case.batch_size])
    beside = replace(beside, from_host_s=from_host_s, to_host_s=to_host_s)
    return Ready(call, _warm(call), beside, prepared, parts)


def measure(benchmark: BenchmarkFixture, kernel: Kernel, case: Case, x: NDArray[Any], book: BookCell) -> None:
    """Time one case on ``x`` (rows, n_in), or ``book``; note what stays out of the clock in ``extra_info``."""
    ready = make_ready(kernel, case, x, book)
    benchmark(ready.call)
    benchmark.extra_info.update(ready.beside.as_dict())


def _warm(call: Callable[[], Any]) -> float:
    """Call until caches, branch predictors and clocks have settled; return the seconds of the fastest call."""
    fastest = math.inf
    began = before = now()
    while before < began + WARM_S:
        call()
        after = now()
        fastest, before = min(fastest, after - before), after
    return fastest


def _transfers(kernel: Kernel, case: Case, x: NDArray[Any]) -> tuple[float, float]:
    """Return the seconds that a batch of a case takes to the device, and its results back; rows go one by one."""
    single = case.mode == "per_sample"
    parts, forward = (list(x), kernel.forward_one) if single else ([x], kernel.forward)
    y = forward(kernel.from_host(parts[-1]))
    kernel.synchronize(y)

    def to_device() -> None:
        for part in parts:
            kernel.synchronize(kernel.from_host(part))

    def to_host() -> None:
        for _ in parts:
            kernel.to_host(y)

    return statistics.median(times_s(to_device, TRANSFERS)), statistics.median(times_s(to_host, TRANSFERS))
