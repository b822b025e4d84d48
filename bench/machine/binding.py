"""Which processors the processes of a run are bound to: all of a setting to the same ones, as many as it has threads.

What a thread starts inherits its processors: the one that starts a process is bound for that moment.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.machine.identity import read_text
from mlpbench.bench.record.plan import Binding


def choose(threads: int) -> Binding:
    """Return so many of the processors that this process may use, the first of them, one of each core before others."""
    if not hasattr(os, "sched_setaffinity"):
        return Binding(reason="this system has no call for it")
    processors = _one_of_each_core_first(os.sched_getaffinity(0))
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
    processors = binding.processors
    before = os.sched_getaffinity(0)
    with user_error(f"the system refuses processors {', '.join(map(str, processors))}"):
        os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _one_of_each_core_first(processors: set[int]) -> list[int]:
    """Return processors in ascending order, the second threads of cores behind all first ones."""
    seen: dict[str, int] = {}
    ranked = []
    for number in sorted(processors):
        core = _core(number)
        ranked.append((seen.setdefault(core, 0), number))
        seen[core] += 1
    return [number for _, number in sorted(ranked)]


def _core(number: int) -> str:
    """Return what the processors of one core have in common; of one whose core is not readable, its number."""
    path = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
    return read_text(path) or str(number)
