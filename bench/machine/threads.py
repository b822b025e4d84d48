"""How many threads the libraries of this process really use, held against what the run gave them.

More than were given are a failure: the times would belong to another setting. Fewer are none: OpenBLAS and PyTorch have
no more than there are processors, and a kernel may use one by design.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from mlpbench.kernels.base import Kernel

#: Libraries that are asked if this process has loaded them. Asking Numba for the threads in use would start them.
_ASK: dict[str, Callable[[Any], int]] = {
    "numba": lambda numba: int(numba.config.NUMBA_NUM_THREADS),
    "torch": lambda torch: int(torch.get_num_threads()),
}


class TooManyThreads(Exception):  # noqa: N818 - as KernelUnavailable
    """More threads are in use than the run gave."""


def check(in_use: Iterable[tuple[str, int]], given: int) -> None:
    """Raise TooManyThreads where more are in use than were given."""
    if more := [f"{who} {threads}" for who, threads in in_use if threads > given]:
        were = "was" if given == 1 else "were"
        raise TooManyThreads(f"more threads than the run gave, {given} {were} given: {', '.join(more)}")


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
