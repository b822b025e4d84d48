"""Percentiles of single calls, given only where there are enough calls to tell. Knows no clock and no files.

The rule is MLPerf LoadGen's (mlcommons/inference, ``loadgen/early_stopping.cc`` and ``results.cc``): each call is above
the true percentile p with probability 1 - p, so the number of such calls among n is binomial. With t the largest
number for which ``P(Binomial(n, 1 - p) <= t) < 1 - c``, the t-th slowest call lies above the percentile with
confidence c = 99 %. There is such a t from 1 on only for n large enough: 11 calls for p50, 64 for p90, 662 for p99,
6636 for p99.9.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.99
PERCENTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True)
class Percentile:
    """A percentile of ``n`` values, in their unit. ``value`` is None where ``n`` is below ``needed``.

    ``value``: the smallest of the values that at least the share p of them does not exceed. ``bound``: with 99 %
    confidence, the percentile of what they were drawn from is below it.
    """

    p: float
    value: float | None
    bound: float | None
    n: int
    needed: int


def percentiles(values: ArrayLike, shares: Sequence[float] = PERCENTILES) -> tuple[Percentile, ...]:
    """Return the percentiles ``shares`` (0 to 1, both excluded) of some values, of which there may be too few."""
    ordered = np.sort(np.asarray(values, np.float64))
    return tuple(_percentile(ordered, p) for p in shares)


def _percentile(ordered: NDArray[np.float64], p: float) -> Percentile:
    n, needed = len(ordered), calls_needed(p)
    if n < needed:
        return Percentile(p, None, None, n, needed)
    value = ordered[math.ceil(p * n) - 1]
    # The largest t for which at most t of n values above the percentile would be rarer than 1 - c.
    above = bisect_left(range(1, n), True, key=lambda t: _chance(t, n, p) >= 1 - CONFIDENCE)
    return Percentile(p, float(value), float(ordered[n - above]), n, needed)


def calls_needed(p: float) -> int:
    """Return the fewest values for which the rule gives a bound on the percentile ``p``: the least n with t = 1."""
    if not 0 < p < 1:
        raise ValueError(f"a percentile lies between 0 and 1, not at {p}")
    return 2 + bisect_left(range(2, 2**31 - 1), True, key=lambda n: _chance(1, n, p) < 1 - CONFIDENCE)


def _chance(t: int, n: int, p: float) -> float:
    from scipy.special import bdtr

    return float(bdtr(t, n, 1 - p)) if t < n else 1.0
