"""Estimates, ratios and verdicts from repeats. Knows no kernels and no files.

Rounds inside one process (a repeat) are correlated and a burst of other load slows whole processes, so the repeat is
the unit. Everything below takes one positive value per repeat (the median of its rounds, in seconds) and works on
logarithms, because times are positive and disturbances multiply. docs/method.md says how often the intervals contain
the truth.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["faster", "slower", "same", "unclear"]
#: One value per repeat: in order, or by the number of the repeat.
Values = Sequence[float] | Mapping[int, float] | NDArray[np.float64]

NO_INTERVAL = "1 repeat: no interval"

#: Fewer repeats than this tell too little: disturbed ones are not left out, and no run stops before.
LEAST_REPEATS = 3

#: Fewest repeats for an interval from order statistics: (smallest, largest) of 6 covers 1 - 2/2**6 = 96.9 %.
ORDER_STATISTICS_FROM = 6

#: sqrt(n * variance) of the median of n standard normals: what the median loses against the mean. By quadrature of
#: the (joint) density of the middle order statistics; such variances are tabulated in D. Teichroew, "Tables of expected
#: values of order statistics and products of order statistics for samples of size twenty and less from the normal
#: distribution", Ann. Math. Statist. 27 (1956). The limit, used above 10, is sqrt(pi / 2).
MEDIAN_FACTORS = {2: 1.0, 3: 1.1602, 4: 1.0922, 5: 1.1976, 6: 1.1351, 7: 1.2137, 8: 1.1599, 9: 1.2227, 10: 1.1761}


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, in the unit of what went in; ``n`` repeats.

    ``low`` and ``high`` are NaN where there is no interval, and then ``reason`` says why.
    """

    value: float
    low: float
    high: float
    n: int
    reason: str | None = None


@dataclass(frozen=True)
class Ratio:
    """A quotient with its interval (no unit), from ``n`` pairs, or from the smaller side's ``n`` repeats.

    ``low`` and ``high`` are NaN where there is no interval, and then ``reason`` says why.
    """

    value: float
    low: float
    high: float
    n: int
    paired: bool
    reason: str | None = None


@dataclass(frozen=True)
class Drift:
    """By how much the level of a whole run wanders, so that its repeats agree on it: what more repeats do not tell.

    ``sd``: standard deviation of the logarithm of a run's level. ``degrees`` of freedom with which it is known.
    """

    sd: float
    degrees: float

    @property
    def square(self) -> float:
        """Its share in the squared standard error of the difference of two runs."""
        return 2 * self.sd**2


#: Of values that were measured side by side.
NO_DRIFT = Drift(0.0, math.inf)


def estimate(values_per_repeat: Values | Iterable[float], confidence: float = 0.95) -> Estimate:
    """Return the median over repeats and its interval.

    Of an even number of repeats the median is the geometric mean of the middle two. With fewer than 6 repeats (or
    where order statistics cannot reach ``confidence``) the interval is ``median * exp(±t * s * c / sqrt(n))``: s the
    standard deviation of the logarithms, t Student's quantile for n-1 degrees of freedom, c the efficiency factor
    `MEDIAN_FACTORS`. From 6 on it lies between order statistics, which needs no normality (and which from 9 on a
    single disturbed repeat cannot blow up), interpolated to the nominal level as T. P. Hettmansperger and
    S. J. Sheather, "Confidence intervals based on interpolated order statistics", Statistics & Probability Letters 4
    (1986).

    Raises ValueError for no values, and for values that are not finite and positive.
    """
    x = positive(values_per_repeat)
    value = _median(x)
    if len(x) == 1:
        return Estimate(value, math.nan, math.nan, 1, NO_INTERVAL)
    below, above = _offsets(np.log(x / value), confidence)
    return Estimate(value, value * _exp(below), value * _exp(above), len(x))


def ratio(a: Values, b: Values, paired: bool = True, confidence: float = 0.95, drift: Drift = NO_DRIFT) -> Ratio:
    """Return a / b with its interval: above 1, b is the faster side if a and b are times.

    ``paired``: the two values of a repeat were disturbed by the same load, so the ratio is taken within each repeat
    (a sequence's place is the number of its repeat) and `estimate` does the rest; repeats of only one side are left
    out. Otherwise the quotient of the medians, with Welch's interval on the logarithms (standard errors times
    `MEDIAN_FACTORS`, Welch-Satterthwaite degrees of freedom) while one side has fewer than 6 repeats; from 6 on the
    two sides' order-statistic intervals are combined: MOVER, G. Y. Zou and A. Donner, "Construction of confidence
    limits about effect measures: a general approach", Statistics in Medicine 27 (2008). ``drift``, of unpaired sides,
    adds its own interval in the same way.

    Raises ValueError as `estimate`, and for paired sides without a common repeat.
    """
    if paired:
        a_by_repeat, b_by_repeat = _by_repeat(a), _by_repeat(b)
        common = sorted(a_by_repeat.keys() & b_by_repeat.keys())
        if not common:
            raise ValueError("no repeat has both sides")
        pairs = positive(a_by_repeat[i] for i in common) / positive(b_by_repeat[i] for i in common)
        inner = estimate(pairs, confidence)
        return Ratio(inner.value, inner.low, inner.high, inner.n, True, inner.reason)
    x, y = positive(a), positive(b)
    n = min(len(x), len(y))
    x_median, y_median = _median(x), _median(y)
    value = x_median / y_median
    if n == 1:
        return Ratio(value, math.nan, math.nan, n, False, NO_INTERVAL)
    below, above = _difference(np.log(x / x_median), np.log(y / y_median), confidence)
    if drift.sd:
        half = student((1 + confidence) / 2, drift.degrees) * math.sqrt(drift.square)
        below, above = -math.hypot(below, half), math.hypot(above, half)
    return Ratio(value, value * _exp(below), value * _exp(above), n, False)


def counted(by_repeat: Mapping[int, float], disturbed: Collection[int]) -> dict[int, float]:
    """Return the repeats that count: the undisturbed ones, and up to `LEAST_REPEATS` the fastest of the others.

    What disturbs makes slower: the fastest of them are the least disturbed.
    """
    hit = sorted((repeat for repeat in by_repeat if repeat in disturbed), key=lambda repeat: by_repeat[repeat])
    kept = set(by_repeat.keys() - hit)
    kept |= set(hit[: max(LEAST_REPEATS - len(kept), 0)])
    return {repeat: value for repeat, value in by_repeat.items() if repeat in kept}


def verdict(speedup: Ratio, threshold: float) -> Verdict:
    """Say what ``speedup`` (baseline time / candidate time) shows about the candidate.

    "faster" and "slower" need both an interval that excludes 1 and a value beyond the threshold: above
    ``1 + threshold``, below ``1 / (1 + threshold)`` (a candidate that takes 5 % longer). "same" needs an interval that
    lies between these two bounds. Everything else, a ratio without an interval included, is "unclear".

    Raises ValueError for a threshold that is negative or not finite.
    """
    if not (math.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"the threshold must be a number of at least 0, got {threshold}")
    if math.isnan(speedup.low):
        return "unclear"
    most = 1 + threshold
    if speedup.low > 1 and speedup.value > most:
        return "faster"
    if speedup.high < 1 and speedup.value * most < 1:
        return "slower"
    if speedup.low * most >= 1 and speedup.high <= most:
        return "same"
    return "unclear"


def positive(values: Values | Iterable[float]) -> NDArray[np.float64]:
    """Return the values. Raises ValueError for none, and for values that are not finite and positive."""
    x = np.array(list(values.values() if isinstance(values, Mapping) else values), dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError("needs at least one repeat, one value each")
    if not (np.isfinite(x).all() and (x > 0).all()):
        raise ValueError(f"needs finite values above 0, got {x.tolist()}")
    return x


def _by_repeat(values: Values) -> dict[int, float]:
    return dict(values) if isinstance(values, Mapping) else dict(enumerate(values))


def _median(x: NDArray[np.float64]) -> float:
    """Return the median on the log scale, exactly one of the values if their number is odd or the middle two agree."""
    s = np.sort(x)
    low, high = float(s[(len(s) - 1) // 2]), float(s[len(s) // 2])
    return low * math.sqrt(high / low)


def _offsets(logs: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return the interval of the median of ``logs`` (n >= 2, their median is 0), as (below <= 0, above >= 0)."""
    n = len(logs)
    if n >= ORDER_STATISTICS_FROM and 1 - 2.0 ** (1 - n) >= confidence:
        below, above = _order_statistics(np.sort(logs), confidence)
    else:
        above = student((1 + confidence) / 2, n - 1) * math.sqrt(_variance(logs))
        below = -above
    return min(below, 0.0), max(above, 0.0)


def _order_statistics(s: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Interpolate between (s[d-1], s[n-d]), which covers at least ``confidence``, and the next pair inside it."""
    n = len(s)
    d, share = _widest(n, confidence)
    inward = (n - d) * share / (d + (n - 2 * d) * share)
    below = (1 - inward) * s[d - 1] + inward * s[d]
    above = (1 - inward) * s[n - d] + inward * s[n - d - 1]
    return float(below), float(above)


@cache
def _widest(n: int, confidence: float) -> tuple[int, float]:
    """Return the largest d of which (s[d-1], s[n-d]) covers ``confidence``, and how far inwards that is."""
    from scipy.special import bdtr

    def coverage(d: int) -> float:
        return 1.0 - 2.0 * float(bdtr(d - 1, n, 0.5))

    d = 1 + bisect_left(range(2, n // 2 + 1), True, key=lambda d: coverage(d) < confidence)
    return d, (coverage(d) - confidence) / (coverage(d) - coverage(d + 1))


def _variance(logs: NDArray[np.float64]) -> float:
    """Return the squared standard error of the median of ``logs``; of identical values, which are all 0 here, 0."""
    n = len(logs)
    factor = MEDIAN_FACTORS.get(n, math.sqrt(math.pi / 2))
    return float(np.var(logs, ddof=1)) * factor**2 / n


def _difference(x: NDArray[np.float64], y: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return the interval of median(x) - median(y), both 0 here, for independent sides: (below, above)."""
    if min(len(x), len(y)) >= ORDER_STATISTICS_FROM:
        x_below, x_above = _offsets(x, confidence)
        y_below, y_above = _offsets(y, confidence)
        return -math.hypot(x_below, y_above), math.hypot(x_above, y_below)
    vx, vy = _variance(x), _variance(y)
    if vx + vy == 0:
        return 0.0, 0.0
    # Divided by their sum before they are squared: variances of nearly identical repeats would underflow.
    px, py = vx / (vx + vy), vy / (vx + vy)
    degrees = 1 / (px**2 / (len(x) - 1) + py**2 / (len(y) - 1))
    half = student((1 + confidence) / 2, degrees) * math.sqrt(vx + vy)
    return -half, half


def _exp(x: float) -> float:
    # Two wildly different repeats can ask for more than a float holds; an interval up to 1e304 says the same.
    return math.exp(min(x, 700.0))


def student(share: float, degrees: float) -> float:
    """Return Student's quantile. ``scipy.special`` has it for a third of the import time of scipy.stats."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))
