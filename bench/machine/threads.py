"""How many threads the libraries of this process really use, held against what the run gave them.

More than were given are a failure: the times would belong to another setting. Fewer are none: OpenBLAS and PyTorch have
no more than there are processors, and a kernel may use one by design.
"""

import sys
from collections.abc import Callable
from typing import Any

from mlpbench.bench.record.schema import ThreadCount, ThreadUse
from mlpbench.kernels.base import Kernel

#: Libraries that are asked if this process has loaded them. Asking Numba for the threads in use would start them.
_ASK: dict[str, Callable[[Any], int]] = {
    "numba": lambda numba: int(numba.config.NUMBA_NUM_THREADS),
    "torch": lambda torch: int(torch.get_num_threads()),
}


class TooManyThreads(Exception):  # noqa: N818 - as KernelUnavailable
    """More threads are in use than the run gave."""


def check(use: ThreadUse) -> None:
    """Raise TooManyThreads where more are in use than were given."""
    if use.more:
        given = f"{use.given} {'was' if use.given == 1 else 'were'} given"
        raise TooManyThreads(f"more threads than the run gave, {given}: {', '.join(use.more)}")


def observe(kernel: Kernel, given: int) -> ThreadUse:
    """Return what is in use now, as far as the libraries of this process tell."""
    import threadpoolctl

    pools = [pool for pool in threadpoolctl.threadpool_info() if isinstance(pool.get("num_threads"), int)]
    # They come in the order in which they are mapped, which differs between processes; two alike are one.
    counts = sorted({(f"{pool['internal_api']} ({pool['user_api']})", pool["num_threads"]) for pool in pools})
    counts += [(name, ask(sys.modules[name])) for name, ask in _ASK.items() if name in sys.modules]
    if (own := kernel.describe().threads) is not None:
        counts.append(("the kernel", own))
    return ThreadUse(given, tuple(ThreadCount(what, threads) for what, threads in counts))
