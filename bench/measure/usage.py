"""How processors were used while a case was timed, as far as the system tells: Linux, for each thread, in schedstat."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlpbench.bench.clock import processor_s, raw_s
from mlpbench.bench.machine import look

#: Threads that work at a time may be above those that were given by so much: some spin on.
SPARE_THREADS = 0.3


def rounds_off(rounds_s: Sequence[float], spans_s: Sequence[float]) -> str | None:
    """Return how rounds do not fit the spans of the raw clock around them; None where they do.

    A round may be off by 2 % and 0.1 ms, in which pytest-benchmark does its own work. Two rounds, and one in four, say
    nothing: somebody else has the processor now and then.
    """
    off = [
        seconds
        for seconds, span in zip(rounds_s, spans_s, strict=True)
        if not -1e-4 - 0.02 * span <= seconds - span <= 0.02 * span
    ]
    if len(off) <= max(2, len(rounds_s) / 4):
        return None
    share = sum(rounds_s) / sum(spans_s)
    return f"{len(off)} of {len(rounds_s)} rounds are off: together they say {share:.0%} of the time on the raw clock"


class Waiting:
    """How long this thread, or ``every`` thread but those that look for us, waited for a processor in each round.

    ``rounds_ns`` stays empty where the system keeps no such count.
    """

    def __init__(self, *, every: bool) -> None:
        self.rounds_ns: list[int] = []
        self._began_ns: int | None = None
        self._files: list[int] = []
        for task in _tasks() if every else [Path("/proc/thread-self")]:
            with suppress(OSError):  # it has just ended
                self._files.append(os.open(task / "schedstat", os.O_RDONLY))

    def round_begins(self) -> None:
        """Look before a round."""
        self._began_ns = self._read_ns()

    def round_ended(self) -> None:
        """Look after it."""
        if self._began_ns is not None:
            self.rounds_ns.append(max(0, (self._read_ns() or 0) - self._began_ns))

    def close(self) -> None:
        """Let go of the system's files."""
        for file in self._files:
            os.close(file)

    def _read_ns(self) -> int | None:
        total = None
        for file in self._files:
            with suppress(OSError, IndexError, ValueError):  # the thread has just ended
                total = (total or 0) + int(os.pread(file, 64, 0).split()[1])
        return total


@dataclass
class Usage:
    """How many threads work at a time in the timed blocks of a case, from the processor time of each.

    Threads that take turns are no more than one at a time: so the time in which threads worked, or could have, is held
    against the wall clock as well. Threads that look for us do not count; those that have ended do.
    ``worked_s``, ``waited_s``: of each thread that still runs, by its number.
    """

    wall_s: float = 0.0
    used_s: float = 0.0
    children_s: float = 0.0
    worked_s: dict[int, float] = field(default_factory=dict)
    waited_s: dict[int, float] = field(default_factory=dict)
    _began: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _before_s: dict[int, tuple[float, float]] = field(default_factory=dict)

    def begin(self) -> None:
        """Look before a block."""
        self._before_s = threads_s()
        self._began = raw_s(), processor_s() - look.helpers_s(), children_s()

    def end(self) -> None:
        """Look after it."""
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
        # The system counts the time of children in hundredths of a second: a tenth tells something.
        if self.children_s > SPARE_THREADS * max(self.used_s, 0.1):
            return f"processes that it started worked for {self.children_s:.2g} s, it itself for {self.used_s:.2g} s"
        most_s = max(self.worked_s.values(), default=self.wall_s)
        ready_s = self.used_s + sum(self.waited_s.values())
        if not most_s or self.used_s <= (given + SPARE_THREADS) * most_s or ready_s <= given * self.wall_s:
            return None
        worked = self.used_s / most_s
        return f"its threads worked as {worked:.1f} do, and {given} {'was' if given == 1 else 'were'} given"


def _tasks() -> Iterator[Path]:
    """Yield the folder of each thread of this process but those that look for us."""
    ours = {str(number) for number in look.helpers()}
    yield from (task for task in Path("/proc/self/task").glob("[0-9]*") if task.name not in ours)


def threads_s() -> dict[int, tuple[float, float]]:
    """Return, of each thread of this process but our own, how long it has worked, and waited to."""
    seconds: dict[int, tuple[float, float]] = {}
    for task in _tasks():
        with suppress(OSError, ValueError, IndexError):
            worked, waited = (task / "schedstat").read_text().split()[:2]
            seconds[int(task.name)] = int(worked) / 1e9, int(waited) / 1e9
    return seconds


def children_s() -> float:
    """Return the processor time of the processes that this one has started and that still run."""
    seconds = 0.0
    for task in _tasks():
        with suppress(OSError, ValueError, IndexError):
            for child in (task / "children").read_text().split():
                words = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return seconds
