"""What `mlpbench audit` asks of a process besides: whether a kernel has changed what measures it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from mlpbench.bench.clock import raw_s, rest
from mlpbench.bench.machine.spin import best_spin
from mlpbench.bench.record.fields import MIN_SECONDS
from mlpbench.bench.record.trust import Refusal
from mlpbench.bench.trust.clock_check import KnownWork, false_clock, false_rate

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

#: What times, what keeps the times, and what holds results against the reference: none of it may be another after a
#: kernel has been in the process.
WATCHED = (
    *("time", "timeit", "pytest_benchmark", "mlpbench.bench.clock", "mlpbench.bench.measure"),
    *("mlpbench.bench.machine.look", "mlpbench.bench.machine.spin", "mlpbench.bench.data.workload"),
    *("mlpbench.kernels.conformance", "mlpbench.kernels.reference"),
)
#: What they compute with: all that can be called in it, but nothing of the packages inside.
FOUNDATION = "numpy"
#: Lengths of known work, in eighths of a spin, and how often each is timed: some 25 ms.
LENGTHS, ROUNDS = (1, 2, 4), 41
#: How often that is tried before a clock is called false, and how long after each other.
TRIES, PAUSE_S = 5, 0.05


def known_work(timer: Callable[[], float]) -> KnownWork:
    """Time work of one, two and four lengths in turns, the longest some 0.3 ms, with the clock of the cases.

    All three are over before a scheduler would take the processor away, most of the time: then their ratios are those
    of the lengths, whatever else runs. A clock that seems false is tried again, a little later.
    """
    rounds = list[tuple[float, ...]]()
    for number in range(TRIES):
        if number:
            rest(PAUSE_S)
        rounds += _known_rounds(timer)
        if not false_clock(KnownWork(LENGTHS, tuple(rounds))):
            break
    return KnownWork(LENGTHS, tuple(rounds))


def _known_rounds(timer: Callable[[], float]) -> list[tuple[float, ...]]:
    run, rounds = best_spin().eighths, []
    for number in range(ROUNDS):
        took = {}
        for length in LENGTHS[number % 3 :] + LENGTHS[: number % 3]:
            start = timer()
            run(length)
            took[length] = timer() - start
        rounds.append(tuple(took[length] for length in LENGTHS))
    return [one for one in rounds if min(one) >= MIN_SECONDS]


def tools() -> dict[str, object]:
    """Return everything that can be called in the modules that time, by name, with its code."""
    found: dict[str, object] = {}
    for name, module in sorted(sys.modules.items()):
        if any(name == one or name.startswith(f"{one}.") for one in WATCHED) and isinstance(module, ModuleType):
            found |= _callables(name, vars(module), name)
    members = dict(vars(sys.modules[FOUNDATION]))
    return found | {f"{FOUNDATION}.{name}": value for name, value in members.items() if callable(value)}


def _callables(where: str, members: Mapping[str, Any], module: str | None) -> dict[str, object]:
    """Return the functions of a module, and of the classes that it defines; ``module`` is None within a class."""
    found: dict[str, object] = {}
    for name, value in dict(members).items():
        at = f"{where}.{name}"
        if isinstance(value, FunctionType | BuiltinFunctionType | property | staticmethod | classmethod):
            found[at] = value
        if isinstance(value, FunctionType):
            found[f"the code of {at}"] = value.__code__
        if isinstance(value, type) and value.__module__ == module:
            found[at] = value
            found |= _callables(at, vars(value), None)
    return found


def changed(before: dict[str, object]) -> list[str]:
    """Return the names of what has been replaced since `tools` was called; what was loaded since is no replacement."""
    now = tools()
    return [name for name, value in before.items() if now.get(name) is not value]


def tampered(benchmark: BenchmarkFixture, timer: object) -> str | None:
    """Return what of a fixture has been replaced, None where nothing has."""
    if getattr(benchmark, "_timer", None) is not timer:
        return "the timer of the fixture is another one"
    own = [name for name in vars(benchmark) if callable(getattr(type(benchmark), name, None))]
    return f"{own[0]} of the fixture is another one" if own else None


def processors() -> frozenset[int]:
    """Return the processors that any thread of this process may use; empty where the system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    found = set(os.sched_getaffinity(0))
    for task in Path("/proc/self/task").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            found |= os.sched_getaffinity(int(task.name))
    return frozenset(found)


def priority() -> tuple[int, int]:
    """Return how this thread is scheduled: its policy, and its niceness; zeros where the system does not tell."""
    if not hasattr(os, "sched_getscheduler"):
        return 0, 0
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)


@dataclass
class Audit:
    """What is known of a process before any kernel is in it. ``timer``: the clock of pytest-benchmark."""

    timer: Callable[[], float]
    had_tools: dict[str, object] = field(default_factory=tools, repr=False)
    had_processors: frozenset[int] = field(default_factory=processors)
    had_priority: tuple[int, int] = field(default_factory=priority)
    began_s: tuple[float, float] = (0.0, 0.0)
    _tampered: str | None = None

    def __post_init__(self) -> None:
        self.began_s = self.timer(), raw_s()

    def block_ended(self, benchmark: BenchmarkFixture) -> None:
        """Look at a fixture that has just timed."""
        self._tampered = self._tampered or tampered(benchmark, self.timer)

    def refusals(self) -> Iterator[Refusal]:
        """Yield what a kernel has changed, when all rounds are over."""
        if self._tampered:
            yield Refusal(check="functions", reason=self._tampered)
        if names := changed(self.had_tools):
            yield Refusal(check="functions", reason=f"{names[0]} is not what it was before the kernel was loaded")
        if more := sorted(processors() - self.had_processors):
            yield Refusal(check="affinity", reason=f"it may use processor {more[0]}, which the run did not give it")
        if (now := priority()) != self.had_priority:
            told = f"policy and niceness {now}, and {self.had_priority} when the process began"
            yield Refusal(check="priority", reason=f"it changed how its thread is scheduled: {told}")
        passed, raw = self.timer() - self.began_s[0], raw_s() - self.began_s[1]
        if why := false_rate(passed, raw) or false_clock(known_work(self.timer)):
            yield Refusal(check="clock", reason=why)
