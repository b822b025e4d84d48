"""What `mlpbench audit` asks besides: whether a kernel remembers results, or has changed what measures it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlpbench.bench.clock import elapsed
from mlpbench.bench.measure.checks import TRIES, Calls
from mlpbench.bench.record.trust import Refusal

#: Calls on new values may take so many times as long as calls on values that the kernel has just seen.
REMEMBERS = 1.5
#: What times, what keeps the times, and what holds results against the reference.
WATCHED = (
    *("time", "timeit", "pytest_benchmark", "mlpbench.bench.clock", "mlpbench.bench.measure"),
    *("mlpbench.bench.machine.look", "mlpbench.bench.data.workload"),
    *("mlpbench.kernels.conformance", "mlpbench.kernels.reference"),
)
#: What they compute with: all that can be called in it, but nothing of the packages inside.
FOUNDATION = "numpy"


def functions() -> dict[str, object]:
    """Return by name everything that can be called in the modules that measure, methods of their classes included."""
    callables: dict[str, object] = {}
    for name, module in sorted(sys.modules.items()):
        if name != FOUNDATION and not any(name == watched or name.startswith(f"{watched}.") for watched in WATCHED):
            continue
        for attribute, value in dict(vars(module)).items():
            if callable(value):
                callables[f"{name}.{attribute}"] = value
            if isinstance(value, type) and value.__module__ == name != FOUNDATION:
                members = dict(vars(value)).items()
                callables |= {f"{name}.{attribute}.{member}": function for member, function in members}
    return callables


def processors() -> frozenset[int]:
    """Return the processors that any thread of this process may use; empty where the system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    allowed = set(os.sched_getaffinity(0))
    for task in Path("/proc/self/task").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            allowed |= os.sched_getaffinity(int(task.name))
    return frozenset(allowed)


def priority() -> tuple[int, int]:
    """Return how this thread is scheduled: its policy, and its niceness; zeros where the system does not tell."""
    if not hasattr(os, "sched_getscheduler"):
        return 0, 0
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)


@dataclass(frozen=True)
class Audit:
    """What is known of a process before any kernel is in it."""

    callables: dict[str, object] = field(default_factory=functions, repr=False)
    allowed: frozenset[int] = field(default_factory=processors)
    scheduled: tuple[int, int] = field(default_factory=priority)

    def of_case(self, calls: Calls) -> Iterator[Refusal]:
        """Yield what the times of a case's calls say, when all rounds are over."""
        if (ratio := remembers(calls)) > REMEMBERS:
            reason = f"on values that it has not seen it takes {ratio:.1f} times as long"
            yield Refusal.of(calls.case, "memory", reason)
        calls.put(calls.rows)

    def of_process(self) -> Iterator[Refusal]:
        """Yield what a kernel has changed."""
        now = functions()
        if changed := [name for name, value in self.callables.items() if now.get(name) is not value]:
            yield Refusal(check="functions", reason=f"{changed[0]} is not what it was before the kernel was loaded")
        if more := sorted(processors() - self.allowed):
            yield Refusal(check="affinity", reason=f"it may use processor {more[0]}, which the run did not give it")
        if (after := priority()) != self.scheduled:
            reason = f"its policy and niceness are {after}, and were {self.scheduled} when the process began"
            yield Refusal(check="priority", reason=reason)


def remembers(calls: Calls) -> float:
    """Return how many times as long calls take on new values as on the same again: the fastest of each."""

    def seconds(before: NDArray[Any], values: NDArray[Any]) -> float:
        calls.put(before)
        calls.call(calls.inputs[-1])  # it wakes threads
        calls.put(values)
        with elapsed() as took:
            for there in calls.inputs:
                calls.call(there)
        return took.seconds

    fresh = again = math.inf
    for _ in range(TRIES):
        others, new = calls.new_values(), calls.new_values()
        fresh = min(fresh, seconds(others, new))
        again = min(again, seconds(new, new))
        if fresh <= REMEMBERS * again:
            break
    return fresh / max(again, 1e-9)
