"""Threads and processors of processes: what each is given, and how many threads its libraries really use.

More threads than were given are a failure: the times would belong to another setting. Fewer are none: OpenBLAS and
PyTorch have no more than there are processors, and a kernel may use one by design.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.groups import grouped
from mlpbench.bench.machine.environment import read_text
from mlpbench.bench.record.plan import Binding
from mlpbench.kernels.base import Kernel

#: Read by BLAS builds, OpenMP and Numba when they load; they are set before that, in a separate process.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS"),
)
#: Libraries that are asked if this process has loaded them. Asking Numba for the threads in use would start them.
_ASK: dict[str, Callable[[Any], int]] = {
    "numba": lambda numba: int(numba.config.NUMBA_NUM_THREADS),
    "torch": lambda torch: int(torch.get_num_threads()),
}


class TooManyThreads(Exception):  # noqa: N818 - as KernelUnavailable
    """More threads are in use than the run gave."""


def with_threads(environ: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the variables of a process in which every library starts with ``threads`` threads."""
    return {**environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def choose(threads: int) -> Binding:
    """Return so many of the processors that this process may use, the first of them, one of each core before others."""
    if not hasattr(os, "sched_setaffinity"):
        return Binding(reason="this system has no call for it")
    cores = grouped((_core(number), number) for number in sorted(os.sched_getaffinity(0))).values()
    processors = [
        number for _, number in sorted((place, number) for core in cores for place, number in enumerate(core))
    ]
    if threads > len(processors):
        return Binding(reason=f"{threads} threads are more than the processors, {len(processors)}")
    binding = Binding(tuple(sorted(processors[:threads])))
    try:
        with bound(binding):
            return binding
    except UserError as refused:
        return Binding(reason=str(refused))


@contextmanager
def bound(binding: Binding | None) -> Iterator[None]:
    """Bind the calling thread, and so what it starts; one without processors, or None, leaves it as it is.

    Raises UserError where the system refuses.
    """
    if binding is None or binding.processors is None:
        yield
        return
    before = os.sched_getaffinity(0)
    with user_error(f"the system refuses processors {', '.join(map(str, binding.processors))}"):
        os.sched_setaffinity(0, binding.processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _core(number: int) -> str:
    """Return what the processors of one core have in common; of one whose core is not readable, its number."""
    return read_text(Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")) or str(number)


def observe(kernel: Kernel) -> tuple[tuple[str, int], ...]:
    """Return who uses how many threads now, as far as the libraries of this process tell; the kernel is the last."""
    import threadpoolctl

    pools = [pool for pool in threadpoolctl.threadpool_info() if isinstance(pool.get("num_threads"), int)]
    # They come in the order in which they are mapped, which differs between processes; two alike are one.
    counts = sorted({(f"{pool['internal_api']} ({pool['user_api']})", pool["num_threads"]) for pool in pools})
    counts += [(name, ask(sys.modules[name])) for name, ask in _ASK.items() if name in sys.modules]
    if (own := kernel.describe().threads) is not None:
        counts.append(("the kernel", own))
    return tuple(counts)


def check(in_use: Iterable[tuple[str, int]], given: int) -> None:
    """Raise TooManyThreads where more are in use than were given."""
    if more := [f"{who} {threads}" for who, threads in in_use if threads > given]:
        were = "was" if given == 1 else "were"
        raise TooManyThreads(f"more threads than the run gave, {given} {were} given: {', '.join(more)}")
