"""One case: its inputs, its first call and transfers, and the callable that pytest-benchmark times."""

from __future__ import annotations

import ctypes
import itertools
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mlpbench.bench.cases import CPU, Case
from mlpbench.bench.clock import elapsed, now, times_s
from mlpbench.bench.data.workload import Workload
from mlpbench.bench.machine import environment
from mlpbench.bench.record.schema import ExtraInfo, KernelInfo
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.conformance import predict

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

#: Seconds of calls before the calls of a round are counted.
WARM_S = 0.01
#: Transfers are timed this often; the median is kept.
TRANSFERS = 5


def is_asynchronous(kernel: Kernel) -> bool:
    """Return whether a call may return before its result is there."""
    return type(kernel).synchronize is not Kernel.synchronize


def book(workload: Workload, kernel_class: type[Kernel], batch_size: int) -> tuple[int, tuple[float, ...]]:
    """Run the book's cell: load the data, read the weights and make the network, infer all rows, count the hits.

    Return the hits, and the seconds of each of `bench.record.schema.PARTS`. Batch size 1 takes rows one at a time.
    Picking the class of a row is part of inferring, because a result is valid only until the next call.
    """
    look = now
    start = look()
    x, labels = workload.read_again()
    loaded = look()
    kernel = kernel_class(workload.spec, workload.read_params())
    initialised = look()
    winners = predict(kernel, x, None if batch_size == 1 else batch_size)
    inferred = look()
    hits = int(np.sum(winners == labels))
    counted = look()
    return hits, (loaded - start, initialised - loaded, inferred - initialised, counted - inferred)


@dataclass(frozen=True)
class Prepared:
    """What is timed: ``call()`` processes the next of ``batches``, in turn, and returns its (last) result.

    ``batches``: inputs where the kernel reads them, each a batch or the list of its rows; ``take()`` only takes the
    next. ``forward`` is one call of the kernel, on a batch or a row. The book's cell has no batches, and notes the
    ``parts`` of each call.
    """

    call: Callable[[], Any]
    batches: tuple[Any, ...] = ()
    take: Callable[[], Any] = tuple
    forward: Callable[[Any], Any] = tuple
    parts: list[tuple[float, ...]] = field(default_factory=list)


def rotation(kernel: Kernel, case: Case, x: NDArray[Any]) -> int:
    """Return how many rows of ``x`` the calls of a case rotate through: whole batches, more than a cache holds.

    Four times the largest cache, and 64 MiB, are as good as more; a million rows would take minutes to a device.
    """
    caches = environment.machine().caches if kernel.device == CPU else {"L2": kernel.l2_bytes() or 0}
    cache = max((size for name, size in caches.items() if name != "L1i"), default=0)
    row_bytes: int = x[0].nbytes
    most = max(4 * cache, 64 * 2**20) // row_bytes
    return max(case.batch_size, min(most, len(x)) // case.batch_size * case.batch_size)


def prepare(kernel: Kernel, case: Case, x: NDArray[Any]) -> Prepared:
    """Return the callable that is timed: one batch, or one block of rows taken one at a time.

    Each call takes the next rows of ``x`` (rows, n_in) in `rotation`; rows that do not fill a last batch are left out.
    To a device they go in one piece, of which the inputs are slices. On the CPU `from_host` is part of the call where
    `bench.measure.checks` could not write over what it gives, or it is no copy: the kernel could do its work there.
    """
    size, single = case.batch_size, case.mode == "per_sample"
    forward = of_kernel = kernel.forward_one if single else kernel.forward
    x = np.ascontiguousarray(x[: rotation(kernel, case, x)])
    there, starts = x if kernel.device == CPU else kernel.from_host(x), range(0, len(x), size)
    batches: list[Any] = [there] if len(starts) == 1 else [there[start : start + size] for start in starts]
    if single:
        batches = [[batch[row] for row in range(size)] for batch in batches]
    if kernel.device == CPU:
        first = x[0] if single else x[:size]
        moved = memory(kernel, kernel.from_host(first))
        if moved is not None and (moved.shape, moved.dtype) == (first.shape, first.dtype):
            batches = [[*map(kernel.from_host, batch)] if single else kernel.from_host(batch) for batch in batches]
        else:

            def forward(x: Any) -> Any:
                return of_kernel(kernel.from_host(x))

    take = itertools.cycle(batches).__next__
    return Prepared(_timed_call(kernel, forward, take, single=single), tuple(batches), take, forward)


def _timed_call(
    kernel: Kernel, forward: Callable[[Any], Any], take: Callable[[], Any], *, single: bool
) -> Callable[[], Any]:
    synchronize = kernel.synchronize

    def batch() -> Any:
        return forward(take())

    def batch_and_wait() -> Any:
        synchronize(y := forward(take()))
        return y

    def rows() -> Any:
        for row in take():
            y = forward(row)
        return y

    def rows_and_wait() -> Any:
        for row in take():
            synchronize(y := forward(row))
        return y

    if is_asynchronous(kernel):
        return rows_and_wait if single else batch_and_wait
    return rows if single else batch


def memory(kernel: Kernel, there: Any) -> NDArray[Any] | None:
    """Return the memory of a kernel's array, to be written to, also where its library forbids that.

    None where it is not the host's, or nobody can tell where it lies.
    """
    if kernel.device != CPU:
        return None
    if not isinstance(there, np.ndarray):
        host, again = kernel.to_host(there), kernel.to_host(there)
        if isinstance(host, np.ndarray) and host.flags.writeable and np.may_share_memory(host, again):
            return np.asarray(host)
        try:
            there = np.from_dlpack(there)
        except (AttributeError, BufferError, TypeError, ValueError, RuntimeError):  # it has none, or says no
            return None
    if there.flags.writeable:
        return np.asarray(there)
    if not there.flags.c_contiguous or not there.nbytes:
        return None
    place = (ctypes.c_char * there.nbytes).from_address(there.ctypes.data)  # the caller keeps the other
    return np.ndarray(there.shape, there.dtype, memoryview(place))


def round_of(call: Callable[[], Any], calls: int) -> Callable[[], Any]:
    """Return one round: so many calls, and the result of the last. pytest-benchmark times it as one call."""
    rest = range(calls - 1)

    def round_() -> Any:
        for _ in rest:
            call()
        return call()

    return round_


@dataclass(frozen=True)
class Contestant:
    """A kernel that has passed the gate in this process, with what it will be timed on."""

    name: str
    kernel: Kernel
    workload: Workload
    kernel_info: KernelInfo

    @property
    def inputs(self) -> NDArray[Any]:
        """The timed inputs, (rows, n_in), on the host."""
        return self.workload.inputs

    def facts(self, case: Case) -> ExtraInfo:
        """Return what the result file says about a case besides its times."""
        whole, data_rows = case.mode == "book", len(self.workload.dataset.images)
        rows = self.workload.book_rows if whole else case.batch_size
        return ExtraInfo(
            mode=case.mode,
            batch_size=case.batch_size,
            rows_per_call=rows,
            rotated_rows=None if whole else rotation(self.kernel, case, self.inputs),
            repeated_rows=rows > data_rows if whole else self.workload.repeated,
            reads=self.workload.book_reads if whole else None,
        )


def make_ready(contestant: Contestant, case: Case) -> tuple[Prepared, float, ExtraInfo]:
    """Call a case first, move its arrays and warm it: return it, the seconds of its fastest call, and those figures."""
    if case.mode == "book":
        parts, cell = list[tuple[float, ...]](), partial(book, contestant.workload, type(contestant.kernel))
        prepared = Prepared(lambda: parts.append(cell(case.batch_size)[1]), parts=parts)
    else:
        prepared = prepare(contestant.kernel, case, contestant.inputs)
    with elapsed() as first:
        prepared.call()
    info = replace(contestant.facts(case), first_call_s=first.seconds)
    if case.mode == "book":
        return prepared, first.seconds, info
    from_host_s, to_host_s = _transfers(contestant.kernel, case, contestant.inputs[: case.batch_size])
    return prepared, _warm(prepared.call), replace(info, from_host_s=from_host_s, to_host_s=to_host_s)


def measure(benchmark: BenchmarkFixture, contestant: Contestant, case: Case) -> None:
    """Time one case by hand; note what stays out of the clock in ``extra_info``."""
    prepared, _, info = make_ready(contestant, case)
    benchmark.group = f"{case.mode}-{case.batch_size}"
    benchmark(prepared.call)
    benchmark.extra_info.update(info.as_dict())


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
    kernel.synchronize(y := forward(kernel.from_host(parts[-1])))

    def to_device() -> None:
        for part in parts:
            kernel.synchronize(kernel.from_host(part))

    back_s = times_s(lambda: [kernel.to_host(y) for _ in parts], TRANSFERS)
    return statistics.median(times_s(to_device, TRANSFERS)), statistics.median(back_s)
