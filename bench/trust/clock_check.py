"""What the self-tests of a run say: what a call of the harness costs, and whether its clock is true."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import truediv
from statistics import median

from mlpbench.bench.record.trust import KnownWork, Trust

#: A clock that is off by more is refused as evidence.
CLOCK_LIMIT = 0.02
#: Processors of these years run at 1 to 7 GHz; what is far from that is no processor but a clock in a wrong unit.
SPEEDS_HZ = (2e8, 1e10)


@dataclass(frozen=True)
class ClockCheck:
    """The clock of one run. ``ok`` is None where nothing was recorded; ``why`` says it in one sentence.

    ``error``: how far the times of one, two and four spins are from one to two to four (signed, the largest; the
    median over processes). ``rate``: how much faster the clock ran than the hardware's own. ``speed_hz``: the
    processor's speed that the spin's instructions imply. Each is None where it is not known.
    """

    ok: bool | None
    error: float | None
    rate: float | None
    speed_hz: float | None
    why: str


def call_costs_s(trust: Trust) -> dict[str, float]:
    """Return what one call of the harness cost in one process, in seconds, by mode."""
    return {known.mode: median(known.rounds_s) / known.calls for known in trust.self_test if known.length == 0}


def known_s(trust: Trust) -> dict[int, float]:
    """Return how long known work of each length took in one process, in seconds.

    The lengths took turns: it is the median over the faster half of the rounds. Older files have rounds of one length
    after the other: there it is the fastest.
    """
    if trust.known_work is None:
        return {known.length: min(known.rounds_s) for known in trust.self_test if known.length > 0}
    return {length: median(times) for length, times in _columns(trust.known_work).items()}


def deviations(trust: Trust) -> dict[int, float]:
    """Return how far known work is from taking times in proportion to its length, by length.

    Signed shares, of the shortest 0 by definition. Where the lengths took turns, each round gives ratios to its
    shortest, and their median counts: what slows a round slows all of it, or makes it one of the slower half.
    """
    if trust.known_work is not None:
        columns = _columns(trust.known_work)
        least = min(columns)
        ratios = {n: map(truediv, times, columns[least]) for n, times in sorted(columns.items())}
        return {length: median(found) * least / length - 1 for length, found in ratios.items()}
    fastest = known_s(trust)
    shortest = min(fastest, default=0)
    return {length: time / length / (fastest[shortest] / shortest) - 1 for length, time in sorted(fastest.items())}


def _columns(known: KnownWork) -> dict[int, tuple[float, ...]]:
    """Return the times of each length in the faster half of the rounds."""
    rounds = sorted(known.rounds_s, key=sum)
    return dict(zip(known.lengths, zip(*rounds[: (len(rounds) + 1) // 2], strict=True), strict=True))


def linearity(trust: Trust) -> float | None:
    """Return the largest of the `deviations` of a process, signed; None without two lengths."""
    found = deviations(trust)
    return max(found.values(), key=abs) if len(found) > 1 else None


def false_clock(trust: Trust) -> str | None:
    """Return why the clock of one process is false; None where it is true, or cannot be judged from one process."""
    found = check_clock([trust]) if trust.known_work else None
    return found.why.rstrip(".") if found and found.ok is False else None


def check_clock(found: Sequence[Trust]) -> ClockCheck:
    """Return the verdict on the clock of a run, from the trust blocks of its records."""
    errors = [error for trust in found if (error := linearity(trust)) is not None]
    clocks = [trust.clock for trust in found]
    rates = [one.clock_s / one.raw_s - 1 for one in clocks if one.clock_s is not None and one.raw_s]
    speeds = [speed for trust in found if (speed := _speed_hz(trust)) is not None]
    if not errors:
        return ClockCheck(None, None, median(rates) if rates else None, None, "The clock was not tested.")
    error, rate = median(errors), median(rates) if rates else None
    speed = median(speeds) if speeds else None
    wrong = _what_is_wrong(error, rate, speed)
    parts = [f"work of 2 and 4 times the length takes 2 and 4 times as long within {abs(error):.1%}"]
    parts += [] if speed is None else [f"by its instructions the processor runs at {speed / 1e9:.1f} GHz"]
    false = sum(false_clock(trust) is not None for trust in found) if len(found) > 1 else 0
    but = f" It was false in {false} of {len(found)} processes." if false else ""
    return ClockCheck(not wrong, error, rate, speed, wrong or f"The clock is true: {'; '.join(parts)}.{but}")


def _speed_hz(trust: Trust) -> float | None:
    spins = [known for known in trust.self_test if known.length > 0]
    if trust.spin.instructions is None or not spins:
        return None
    return trust.spin.instructions * max(known.length / min(known.rounds_s) for known in spins)


def _what_is_wrong(error: float, rate: float | None, speed: float | None) -> str:
    if abs(error) > CLOCK_LIMIT:
        return f"The clock is off by {abs(error):.1%}: longer work of known length does not take as much longer."
    if rate is not None and abs(rate) > CLOCK_LIMIT:
        return f"The clock is off by {abs(rate):.1%} against the hardware's own."
    if speed is not None and not SPEEDS_HZ[0] <= speed <= SPEEDS_HZ[1]:
        return f"The clock is off: by it, the processor would run at {speed / 1e9:.2g} GHz."
    return ""
