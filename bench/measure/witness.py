"""Witnesses of the measurement itself: the timer is the one that was there, and time, threads and processors add up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from mlpbench.bench.clock import processor_s, raw_s, rest
from mlpbench.bench.machine.spin import best_spin
from mlpbench.bench.record.fields import MIN_SECONDS
from mlpbench.bench.record.trust import KnownWork, Trust
from mlpbench.bench.trust.clock_check import false_clock

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
#: A round may differ from the raw clock around it by such a share; between the two, pytest-benchmark does its own work.
ROUND_SHARE, ROUND_S = 0.02, 1e-4
#: Rounds may lie that far off: somebody else's turn may have come in between.
STRAY = 0.25
#: Lengths of known work, in eighths of a spin, and how often each is timed: some 25 ms.
KNOWN_LENGTHS, KNOWN_ROUNDS = (1, 2, 4), 41
#: How often that is tried before a clock is called false, and how long after each other.
KNOWN_TRIES, KNOWN_PAUSE_S = 5, 0.05
#: Processor time / wall time may be above the threads that were given by so much: threads of ours look, and spin on.
SPARE_THREADS = 0.3
#: Processor time that tells anything of that of children, which the system counts in hundredths of a second.
LEAST_USED_S = 0.1


def known_work(timer: Callable[[], float]) -> KnownWork | None:
    """Time work of one, two and four lengths in turns, the longest some 0.3 ms, with the clock of the cases.

    All three are over before a scheduler would take the processor away, most of the time: then their ratios are those
    of the lengths, whatever else runs. A clock that seems false is tried again, a little later. None where a clock
    shows no time at all.
    """
    rounds = list[tuple[float, ...]]()
    for number in range(KNOWN_TRIES):
        if number:
            rest(KNOWN_PAUSE_S)
        rounds += _known_rounds(timer)
        found = KnownWork(KNOWN_LENGTHS, tuple(rounds)) if rounds else None
        if found is None or not false_clock(Trust(known_work=found)):
            break
    return found


def _known_rounds(timer: Callable[[], float]) -> list[tuple[float, ...]]:
    run, rounds = best_spin().eighths, []
    for number in range(KNOWN_ROUNDS):
        found = {}
        for length in KNOWN_LENGTHS[number % 3 :] + KNOWN_LENGTHS[: number % 3]:
            start = timer()
            run(length)
            found[length] = timer() - start
        rounds.append(tuple(found[length] for length in KNOWN_LENGTHS))
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


@dataclass
class RawClock:
    """The hardware's clock around each round: `round_begins`, then the round, then `round_ended`."""

    spans_s: list[float] = field(default_factory=list)
    _began: float | None = None

    def round_begins(self) -> None:
        """Look, just before a round."""
        self._began = raw_s()

    def round_ended(self) -> None:
        """Look, just after a round; nothing where none has begun."""
        if self._began is not None:
            self.spans_s.append(raw_s() - self._began)
        self._began = None

    def stop(self) -> None:
        """Forget the last look: no round has followed it."""
        self._began = None


def rounds_off(rounds_s: Sequence[float], spans_s: Sequence[float]) -> str | None:
    """Return how whole rounds do not fit the raw clock around them, None where they do.

    A few rounds may: a process can lose its processor between the two looks.
    """
    if min(rounds_s) <= 0:
        return f"a round took {min(rounds_s):.3g} s"
    off = [
        one
        for one, span in zip(rounds_s, spans_s, strict=True)
        if not -ROUND_S - ROUND_SHARE * span <= one - span <= ROUND_SHARE * span
    ]
    if len(off) <= STRAY * len(rounds_s):
        return None
    share = sum(rounds_s) / sum(spans_s)
    return f"{len(off)} of {len(rounds_s)} rounds are off: together they say {share:.0%} of the time on the raw clock"


@dataclass
class Usage:
    """Processor time and wall time of the timed blocks of a case, and of the processes that ours has started."""

    wall_s: float = 0.0
    used_s: float = 0.0
    children_s: float = 0.0
    _began: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def begin(self) -> None:
        """Look, before a block."""
        self._began = raw_s(), processor_s(), children_s()

    def end(self) -> None:
        """Look, after it."""
        self.wall_s += raw_s() - self._began[0]
        self.used_s += processor_s() - self._began[1]
        self.children_s += children_s() - self._began[2]

    def too_many(self, given: int) -> str | None:
        """Return how much processor time was used, where it is more than so many threads have; else None.

        Other load makes the time of children no longer, nor ours.
        """
        if self.children_s > SPARE_THREADS * max(self.used_s, LEAST_USED_S):
            return f"processes that it started worked for {self.children_s:.2g} s, it itself for {self.used_s:.2g} s"
        used = self.used_s / self.wall_s if self.wall_s > 0 else 0.0
        if used <= given + SPARE_THREADS:
            return None
        return f"it used the time of {used:.1f} processors, and {given} {'was' if given == 1 else 'were'} given"


def threads_s() -> dict[int, tuple[float, float]]:
    """Return, of each thread of this process by its number, how long it has worked, and waited to (Linux)."""
    found = {}
    for task in Path("/proc/self/task").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            worked, waited = (task / "schedstat").read_text().split()[:2]
            found[int(task.name)] = int(worked) / 1e9, int(waited) / 1e9
    return found


@dataclass
class Threads:
    """How many threads work at a time, from the processor time of each: it counts beside other load, too.

    Threads that take turns are no more than one at a time: a library may hand each call to threads of its own. So the
    time in which threads worked, or could have, is held against the wall clock as well. ``total_s`` has the time of
    threads that have ended.
    """

    each_s: dict[int, tuple[float, float]] = field(default_factory=threads_s)
    total_s: float = field(default_factory=processor_s)
    began_s: float = field(default_factory=raw_s)

    def too_many(self, given: int, ours: Collection[int | None] = ()) -> str | None:
        """Return how many have worked since then, where more than were given; ``ours`` are not counted."""
        now = threads_s()
        grown = {task: _less(seconds, self.each_s.get(task, (0.0, 0.0))) for task, seconds in now.items()}
        total = processor_s() - self.total_s - sum(grown[task][0] for task in ours if task in grown)
        most = max((worked for worked, _ in grown.values()), default=0.0)
        if most <= 0 or total <= (given + SPARE_THREADS) * most:
            return None
        ready = total + sum(waited for task, (_, waited) in grown.items() if task not in ours)
        if ready <= given * (raw_s() - self.began_s):
            return None
        return f"its threads worked as {total / most:.1f} do, and {given} {'was' if given == 1 else 'were'} given"


def _less(now: tuple[float, float], before: tuple[float, float]) -> tuple[float, float]:
    return now[0] - before[0], now[1] - before[1]


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


def children_s() -> float:
    """Return the processor time of the processes that this one has started and that still run (Linux)."""
    seconds = 0.0
    for task in Path("/proc/self/task").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            for child in (task / "children").read_text().split():
                words = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return seconds
