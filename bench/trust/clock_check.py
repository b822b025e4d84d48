"""Whether a clock is true, from work of known lengths; and what a call of the harness costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from mlpbench.bench.record.trust import Trust

#: A clock is false where it would make a round of `ROUND_S` longer or shorter by more than this share.
LIMIT, ROUND_S = 0.02, 0.001


@dataclass(frozen=True)
class KnownWork:
    """Work of known ``lengths``, the shortest first, timed in turns: seconds of each length, round by round."""

    lengths: tuple[int, ...]
    rounds_s: Sequence[tuple[float, ...]]


def call_costs_s(trust: Trust) -> dict[str, float]:
    """Return what one call of the harness cost in one process, in seconds, by mode."""
    return {known.mode: median(known.rounds_s) / known.calls for known in trust.self_test if known.length == 0}


def deviations(known: KnownWork) -> tuple[float, float]:
    """Return how far known work is from taking times in proportion to its length, and what each time has besides.

    The first is a share: of times t1, t2 and t4 it compares t4 - t2 with t2 - t1, in which a call and two looks at the
    clock, which every time has, are not. The second is in seconds. What slows a round slows all of it, or makes it one
    of the slower half, which does not count.
    """
    one, two, four = known.lengths
    rounds = sorted(known.rounds_s, key=sum)
    faster = rounds[: (len(rounds) + 1) // 2]
    slopes = [((t4 - t2) / (four - two), (t2 - t1) / (two - one)) for t1, t2, t4 in faster]
    ratio = median(longer / max(shorter, 1e-12) for longer, shorter in slopes)
    return ratio - 1, median(t1 - one * (t4 - t1) / (four - one) for t1, _, t4 in faster)


def false_clock(known: KnownWork) -> str | None:
    """Return why the clock that timed known work is false; None where it is true."""
    if not known.rounds_s:
        return "it shows no time at all"
    slope, fixed_s = deviations(known)
    if abs(slope) > LIMIT:
        return f"it is off by {abs(slope):.1%}: longer work of known length does not take as much longer"
    if abs(fixed_s) > LIMIT * ROUND_S:
        return f"it adds {1e6 * fixed_s:.3g} us to every time"
    return None


def false_rate(clock_s: float, raw_s: float) -> str | None:
    """Return how a span by the clock that times differs from the same by the hardware's own; None where it does not."""
    error = clock_s / raw_s - 1
    return f"it is off by {abs(error):.1%} against the hardware's own" if abs(error) > LIMIT else None
