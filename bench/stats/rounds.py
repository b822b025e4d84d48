"""What the rounds of one process say about that process, and no more. Knows no files.

Rounds of one process follow each other: a slow one is likelier behind a slow one. So n rounds count as
``n (1 - r) / (1 + r)`` independent ones, r the correlation of neighbours' ranks (the factor of a first-order
autoregression). The interval of a median lies between the order statistics that a binomial of so many gives. It holds
for this process; the next one has a level of its own, of which nothing here knows.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.stats.estimates import Estimate, Ratio

#: Fewer independent rounds give no interval.
FEWEST = 6
TOO_FEW = "too few rounds for an interval"


def within(rounds: Sequence[float]) -> Estimate:
    """Return the median of the rounds of one process, in the order measured, with its interval in that process."""
    x = np.asarray(rounds, np.float64)
    n, worth, middle = len(x), _independent(x), float(np.median(x))
    if worth < FEWEST:
        return Estimate(middle, math.nan, math.nan, 1, TOO_FEW)
    ordered, half = np.sort(x), 1.959964 / (2 * math.sqrt(worth))  # a normal's quantile of 95 %
    below, above = math.floor(n * (0.5 - half)), math.ceil(n * (0.5 + half))
    return Estimate(middle, float(ordered[max(below - 1, 0)]), float(ordered[min(above, n - 1)]), 1)


def ratio_within(a: Estimate, b: Estimate) -> Ratio:
    """Return the median of ``a`` / the median of ``b``, both of one process, with its interval in that process.

    The two intervals are combined on logarithms: G. Y. Zou and A. Donner, "Construction of confidence limits about
    effect measures", Statistics in Medicine 27 (2008).
    """
    value = a.value / b.value
    if not (a.claims and b.claims):
        return Ratio(value, math.nan, math.nan, 1, TOO_FEW)
    a_low, a_high, b_low, b_high = (math.log(end / side.value) for side in (a, b) for end in (side.low, side.high))
    low, high = -math.hypot(a_low, b_high), math.hypot(a_high, b_low)
    return Ratio(value, value * math.exp(low), value * math.exp(high), 1)


def _independent(x: NDArray[np.float64]) -> float:
    """Return as how many independent rounds ``x`` counts."""
    n = len(x)
    if n < FEWEST or np.ptp(x) == 0:
        return float(n)
    ranks = np.argsort(np.argsort(x, kind="stable"), kind="stable") - (n - 1) / 2
    r = float(ranks[:-1] @ ranks[1:] / (ranks @ ranks))
    r = min(max(r, 0.0), 1 - 1 / n)
    return n * (1 - r) / (1 + r)
