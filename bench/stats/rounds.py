"""What the rounds of one process say about that process, and no more. Knows no files.

Rounds of one process follow each other: a slow one is likelier behind a slow one. So n rounds count as
``n (1 - r) / (1 + r)`` independent ones, r the correlation of neighbours' ranks (the factor of a first-order
autoregression). The interval of a median lies between the order statistics that a binomial of so many gives. It holds
for this process; the next one has a level of its own, of which nothing here knows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.stats.estimates import Ratio

#: Fewer independent rounds give no interval.
FEWEST = 6
#: Standard normal quantiles: of 95 %, and of 99.9 % for what is said without being asked.
_Z, _SURE = 1.959964, 3.290527


@dataclass(frozen=True)
class Within:
    """The median of the rounds of one process, in their unit, with its 95 % interval in that process.

    ``low`` and ``high`` are NaN where there are too few rounds, or the rounds are not known. ``independent``: so many
    rounds they are worth. ``moved``: whether the level of the last third is another than that of the first.
    """

    median: float
    low: float
    high: float
    independent: float
    moved: bool | None


def within(rounds: Sequence[float]) -> Within:
    """Return what the rounds of one process, in the order measured, say of its level."""
    x = np.asarray(rounds, np.float64)
    worth = _independent(x)
    low, high = _interval(x, worth, _Z)
    third = len(x) // 3
    moved = None
    if third:
        first, last = x[:third], x[-third:]
        # A step within the rounds would look as if all of them followed each other: each third speaks for itself.
        (a, b), (c, d) = (_interval(part, _independent(part), _SURE / math.sqrt(2)) for part in (first, last))
        moved = None if math.isnan(a) or math.isnan(c) else bool(b < c or d < a)
    return Within(float(np.median(x)), low, high, worth, moved)


def ratio_within(a: Within, b: Within) -> Ratio:
    """Return the median of ``a`` / the median of ``b``, both of one process, with its interval in that process.

    The two intervals are combined on logarithms: MOVER, as `bench.stats.estimates.ratio` says.
    """
    value = a.median / b.median
    ends = [math.log(end / side.median) for side in (a, b) for end in (side.low, side.high)]
    if any(map(math.isnan, ends)):
        return Ratio(value, math.nan, math.nan, 1, paired=True, reason="too few rounds for an interval")
    low, high = -math.hypot(ends[0], ends[3]), math.hypot(ends[1], ends[2])
    return Ratio(value, value * math.exp(low), value * math.exp(high), 1, paired=True)


def _independent(x: NDArray[np.float64]) -> float:
    """Return as how many independent rounds ``x`` counts."""
    n = len(x)
    if n < FEWEST or np.ptp(x) == 0:
        return float(n)
    ranks = np.argsort(np.argsort(x, kind="stable"), kind="stable") - (n - 1) / 2
    r = float(ranks[:-1] @ ranks[1:] / (ranks @ ranks))
    r = min(max(r, 0.0), 1 - 1 / n)
    return n * (1 - r) / (1 + r)


def _interval(x: NDArray[np.float64], worth: float, z: float) -> tuple[float, float]:
    """Return the order statistics between which the median lies, with a normal's quantile ``z``."""
    if worth < FEWEST:
        return math.nan, math.nan
    ordered, n = np.sort(x), len(x)
    half = z / (2 * math.sqrt(worth))
    below, above = math.floor(n * (0.5 - half)), math.ceil(n * (0.5 + half))
    return float(ordered[max(below - 1, 0)]), float(ordered[min(above, n - 1)])
