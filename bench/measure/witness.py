"""Witnesses of the measurement itself: rounds fit another clock, and no more threads worked than were given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlpbench.bench.clock import processor_s, raw_s
from mlpbench.bench.machine import look

#: A round may differ from the raw clock around it by such a share; between the two, pytest-benchmark does its own work.
ROUND_SHARE, ROUND_S = 0.02, 1e-4
#: More rounds than two, and than such a share of them, are off where something is wrong: in between the two looks,
#: now and then somebody else has the processor.
STRAY, STRAYS = 0.25, 2
#: Threads that work at a time may be above those that were given by so much: some spin on.
SPARE_THREADS = 0.3
#: Processor time that tells anything of that of children, which the system counts in hundredths of a second.
LEAST_USED_S = 0.1


def rounds_off(rounds_s: Sequence[float], spans_s: Sequence[float]) -> str | None:
    """Return how whole rounds do not fit the raw clock around them, None where they do, or are too few to tell."""
    off = [
        one
        for one, span in zip(rounds_s, spans_s, strict=True)
        if not -ROUND_S - ROUND_SHARE * span <= one - span <= ROUND_SHARE * span
    ]
    if len(off) <= max(STRAYS, STRAY * len(rounds_s)):
        return None
    share = sum(rounds_s) / sum(spans_s)
    return f"{len(off)} of {len(rounds_s)} rounds are off: together they say {share:.0%} of the time on the raw clock"


@dataclass
class Usage:
    """How many threads work at a time in the timed blocks of a case, from the processor time of each (Linux).

    Beside other load it counts, too. Threads that take turns are no more than one at a time: a library may hand each
    call to threads of its own. So the time in which threads worked, or could have, is held against the wall clock as
    well. Threads that look for us do not count; those that have ended do.
    """

    wall_s: float = 0.0
    used_s: float = 0.0
    children_s: float = 0.0
    #: Of each thread that still runs, by its number: how long it has worked, and waited to.
    worked_s: dict[int, float] = field(default_factory=dict)
    waited_s: dict[int, float] = field(default_factory=dict)
    _began: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _before_s: dict[int, tuple[float, float]] = field(default_factory=dict)

    def begin(self) -> None:
        """Look, before a block."""
        self._before_s = threads_s()
        self._began = raw_s(), processor_s() - look.helpers_s(), children_s()

    def end(self) -> None:
        """Look, after it."""
        wall_s, used_s, of_children_s = self._began
        self.wall_s += raw_s() - wall_s
        self.used_s += processor_s() - look.helpers_s() - used_s
        self.children_s += children_s() - of_children_s
        for task, (worked, waited) in threads_s().items():
            before_s = self._before_s.get(task, (0.0, 0.0))
            self.worked_s[task] = self.worked_s.get(task, 0.0) + worked - before_s[0]
            self.waited_s[task] = self.waited_s.get(task, 0.0) + waited - before_s[1]

    def too_many(self, given: int) -> str | None:
        """Return how many worked, where it is more than so many; else None."""
        if self.children_s > SPARE_THREADS * max(self.used_s, LEAST_USED_S):
            return f"processes that it started worked for {self.children_s:.2g} s, it itself for {self.used_s:.2g} s"
        most_s = max(self.worked_s.values(), default=self.wall_s)
        ready_s = self.used_s + sum(self.waited_s.values())
        if not most_s or self.used_s <= (given + SPARE_THREADS) * most_s or ready_s <= given * self.wall_s:
            return None
        worked = self.used_s / most_s
        return f"its threads worked as {worked:.1f} do, and {given} {'was' if given == 1 else 'were'} given"


def threads_s() -> dict[int, tuple[float, float]]:
    """Return, of each thread of this process but our own, how long it has worked, and waited to (Linux)."""
    seconds, ours = dict[int, tuple[float, float]](), look.helpers()
    for task in Path("/proc/self/task").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            worked, waited = (task / "schedstat").read_text().split()[:2]
            seconds[int(task.name)] = int(worked) / 1e9, int(waited) / 1e9
    return {task: both for task, both in seconds.items() if task not in ours}


def children_s() -> float:
    """Return the processor time of the processes that this one has started and that still run (Linux)."""
    seconds = 0.0
    for task in Path("/proc/self/task").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            for child in (task / "children").read_text().split():
                words = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return seconds
