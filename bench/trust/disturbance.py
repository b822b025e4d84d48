"""What the counters, spins and self-tests of records mean: disturbed or not, which grade, whether the clock is true.

Everything is derived from the raw values in the records; nothing here measures. A disturbed case is marked and kept.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Literal

from mlpbench.bench.record.trust import Trust, Window

#: Shares of a case's time from which on it counts as disturbed; docs/statistics.md has the timings behind them. A
#: median over rounds forgives rounds that had to wait, up to about a quarter of them.
WAITING, STOLEN, IDLE = 0.25, 0.05, 0.05
#: By how much slower a spin says that something is wrong. A processor's clock wanders by up to 8 % on a quiet virtual
#: machine; comparisons take that out (`bench.trust.pace`).
SLOWER = 0.10
#: Of the time, that its share of processors was used up.
THROTTLED = 0.05
#: Of a counter that moves by ticks of 10 ms, one tick says nothing.
TICKS_S = 0.015
#: Where the system does not show waiting: evictions per second; a quiet process sees about 10.
EVICTIONS_PER_S = 100.0

Cause = Literal["load", "host", "throttled", "clock", "blocked", "neighbour", "unknown"]


@dataclass(frozen=True)
class Disturbance:
    """One reason why a case is disturbed: its cause, for the advice, and what was seen, for people."""

    cause: Cause
    text: str


def best_spin_s(found: Iterable[Trust]) -> float | None:
    """Return the calibration level when nothing hinders it, in seconds: the end of the fastest quarter of levels.

    Not the fastest of all: of a few hundred levels that wander by 1 %, it is 3 % below the usual, and honest ones would
    seem disturbed. Spins of different kinds cannot be compared: the most frequent kind counts.
    """
    found = list(found)
    kinds = Counter(trust.spin.name for trust in found if trust.windows)
    if not kinds:
        return None
    kind = kinds.most_common(1)[0][0]
    of_kind = (trust for trust in found if trust.spin.name == kind)
    seen = sorted(level for trust in of_kind for pair in levels_s(trust).values() for level in pair)
    return seen[len(seen) // 4]


def levels_s(trust: Trust) -> dict[tuple[str, int], tuple[float, float]]:
    """Return the calibration levels before and after each case of a process, in seconds, by (mode, batch size).

    A level is the median of the spins on a side: one that was interrupted alone says nothing about the case. Where
    cases took turns, single spins stand between them all over the process, and on a busy machine most of those beside
    one case can have been interrupted: the end of the fastest quarter of all of them is the level of every case.
    """
    if trust.look.name is None:
        sides = ((w, w.spins_before_s, w.spins_after_s) for w in trust.windows)
        return {(w.mode, w.batch_size): (median(before), median(after)) for w, before, after in sides}
    spins = sorted(spin for w in trust.windows for side in (w.spins_before_s, w.spins_after_s) for spin in side)
    return {(w.mode, w.batch_size): (spins[len(spins) // 4],) * 2 for w in trust.windows}


def _seen(window: Window, level_s: float, best_s: float | None, cpus: int | None) -> tuple[Disturbance, ...]:
    """Return why a case is disturbed; nothing where it is not. ``best_s``: see `best_spin_s`."""
    wall = max(window.wall_s, 1e-9)
    found: list[Disturbance] = []
    waited = window.run_delay_s
    if waited is not None and waited > WAITING * wall:
        found.append(Disturbance("load", f"its threads waited {waited:.2g} s for a processor in {wall:.2g} s"))
    if waited is None and window.involuntary is not None and window.involuntary > EVICTIONS_PER_S * wall:
        found.append(Disturbance("load", f"it lost the processor {window.involuntary / wall:.0f} times a second"))
    stolen = window.steal_s or 0.0
    if stolen > max(STOLEN * wall * (cpus or 1), TICKS_S):
        found.append(Disturbance("host", f"the host took {stolen / wall / (cpus or 1):.0%} of the processors' time"))
    held = window.throttled_s or 0.0
    if held > THROTTLED * wall:
        found.append(
            Disturbance("throttled", f"its share of the processor was used up for {held / wall:.0%} of the time")
        )
    if window.hot:
        found.append(Disturbance("throttled", f"the processor slowed down from heat {window.hot} times"))
    # What waited for a processor did not run either, and is no disk.
    idle = 0.0 if found else _idle(window) - (waited or 0.0) / wall
    if idle > IDLE:
        found.append(Disturbance("blocked", f"its one thread did not run for {idle:.0%} of the time"))
    slower = level_s / best_s - 1 if best_s else 0.0
    if slower > SLOWER:
        found.append(Disturbance("clock", f"the calibration spin beside it was {slower:.0%} slower than at its best"))
    return tuple(found)


def _idle(window: Window) -> float:
    """Return the share of a case in which a thread that works alone did not run; 0 where it may wait by design."""
    if window.waits or window.thread_s is None:
        return 0.0
    return 1 - window.thread_s / max(window.wall_s, 1e-9) if works_alone(window) else 0.0


def works_alone(window: Window) -> bool:
    """Whether the process's other threads used no time to speak of; False where that was not recorded."""
    if window.process_s is None or window.thread_s is None:
        return False
    return window.process_s - window.thread_s < IDLE * window.wall_s


def disturbances(trust: Trust, best_s: float | None = None) -> dict[tuple[str, int], tuple[Disturbance, ...]]:
    """Return the disturbed cases of one process, by (mode, batch size).

    Without ``best_s`` the process is held against its own fastest spins; with that of the whole run, a process that was
    slow from beginning to end is seen too.
    """
    best = best_spin_s([trust]) if best_s is None else best_s
    levels = levels_s(trust)
    cases = (((w.mode, w.batch_size), w) for w in trust.windows)
    found = {at: _seen(window, max(levels[at]), best, trust.cpus) for at, window in cases}
    return {case: why for case, why in found.items() if why}


def reasons(trust: Trust, best_s: float | None = None) -> tuple[str, ...]:
    """Return why a process is disturbed, one line for each case and reason; empty where it is not."""
    found = disturbances(trust, best_s)
    return tuple(f"{mode} {size}: {reason.text}" for (mode, size), why in found.items() for reason in why)
