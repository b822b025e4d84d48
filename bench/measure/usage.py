"""How processors were used while a case was timed, as far as the system tells: Linux, for each thread, in schedstat."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
    pairs = zip(rounds_s, spans_s, strict=True)
    off = sum(not -1e-4 - 0.02 * span <= seconds - span <= 0.02 * span for seconds, span in pairs)
    if off <= max(2, len(rounds_s) / 4):
        return None
    share = sum(rounds_s) / sum(spans_s)
    return f"{off} of {len(rounds_s)} rounds are off: together they say {share:.0%} of the time on the raw clock"


@contextmanager
def waiting(*, every: bool) -> Iterator[Callable[[], int | None]]:
    """Yield what returns how many nanoseconds this thread has waited for a processor, or ``every`` thread has.

    Those that look for us do not count. It returns None where the system keeps no such count.
    """
    files = []
    for task in _tasks() if every else [Path("/proc/thread-self")]:
        with suppress(OSError):  # it has just ended
            files.append(os.open(task / "schedstat", os.O_RDONLY))

    def waited_ns() -> int | None:
        total = None
        for file in files:
            with suppress(OSError, IndexError, ValueError):  # the thread has just ended
                total = (total or 0) + int(os.pread(file, 64, 0).split()[1])
        return total

    try:
        yield waited_ns
    finally:
        for file in files:
            os.close(file)


@dataclass
class Usage:
    """How long threads, but those that look for us, worked or waited to in the timed blocks of a case.

    Threads that take turns do both no longer than the wall clock says. ``children_s``: of processes that it started.
    """

    wall_s: float = 0.0
    used_s: float = 0.0
    waited_s: float = 0.0
    children_s: float = 0.0

    @contextmanager
    def of_block(self) -> Iterator[None]:
        """Add what is used meanwhile."""
        wall_s, used_s, waiting_s, of_children_s = raw_s(), own_s(), waited_s(), children_s()
        yield
        self.wall_s += raw_s() - wall_s
        self.used_s += own_s() - used_s
        self.waited_s += waited_s() - waiting_s
        self.children_s += children_s() - of_children_s

    def too_many(self, given: int) -> str | None:
        """Return how many threads worked at a time, or could have, where it is more than so many; else None."""
        # The system counts the time of children in hundredths of a second: a tenth tells something.
        if self.children_s > SPARE_THREADS * max(self.used_s, 0.1):
            return f"processes that it started worked for {self.children_s:.2g} s, it itself for {self.used_s:.2g} s"
        ready_s = self.used_s + self.waited_s
        if ready_s <= (given + SPARE_THREADS) * self.wall_s:
            return None
        return (
            f"its threads work as {ready_s / self.wall_s:.1f} do, and {given} {'was' if given == 1 else 'were'} given"
        )


def _tasks() -> Iterator[Path]:
    """Yield the folder of each thread of this process but those that look for us."""
    ours = {str(number) for number in look.helpers()}
    yield from (task for task in Path("/proc/self/task").glob("[0-9]*") if task.name not in ours)


def own_s() -> float:
    """Return the processor time of this process without those threads."""
    return processor_s() - look.helpers_s()


def waited_s() -> float:
    """Return how long the others have waited for a processor."""
    with waiting(every=True) as waited_ns:
        return (waited_ns() or 0) / 1e9


def children_s() -> float:
    """Return the processor time of the processes that this one has started and that still run."""
    seconds = 0.0
    for task in _tasks():
        with suppress(OSError, ValueError, IndexError):
            for child in (task / "children").read_text().split():
                words = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return seconds
