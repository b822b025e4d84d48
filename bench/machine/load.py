"""What others do on our processors before a run, and waiting until they do less."""

import os
from collections.abc import Callable
from pathlib import Path

from mlpbench.bench import clock

#: A share of our processors, taken by others, at which every time that is measured is in doubt.
BUSY = 0.25
_STAT = Path("/proc/stat")
#: Of the counters of a processor, those of time in which nobody has it: idle, and waiting for a disk.
_IDLE = (3, 4)


def busy(seconds: float) -> float | None:
    """Return the share of our processors that others had in the next ``seconds``; None where the system hides it."""
    before = _counters()
    clock.rest(seconds)
    after = _counters()
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def wait_until_quiet(limit_s: float, tell: Callable[[float], None], look_s: float = 1.0) -> float | None:
    """Wait until others leave the processors alone, at most ``limit_s``; return the share that they had last.

    ``tell`` is called with that share whenever waiting goes on.
    """
    found, waited = busy(min(look_s, 0.2)), 0.0
    while found is not None and found > BUSY and waited < limit_s:
        tell(found)
        found = busy(look_s)
        waited += look_s
    return found


def _counters() -> tuple[int, int] | None:
    """Return what the system has counted of our processors, in its ticks: busy, and in all."""
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    try:
        lines = [line.split() for line in _STAT.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    # The last two are guests, which the first two have in them.
    rows = [[int(ticks) for ticks in line[1:9]] for line in lines if line and line[0] in ours]
    total = sum(map(sum, rows))
    return total - sum(row[index] for row in rows for index in _IDLE), total
