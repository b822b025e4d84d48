"""One method for every time and every ratio: the median over repeats, and Student's interval on the log scale.

Rounds inside one process are correlated, so the repeat is the unit: one positive value for each. Three repeats know
their scatter badly, but the cases of a run know it together (`Scatter`). What whole runs differ by, and no repeat of
one run shows, is a variance too (`Wander`). docs/evidence/statistics.md says how often intervals hold.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["faster", "slower", "same", "unclear"]
#: One value per repeat: in order, or by the number of the repeat.
Values = Sequence[float] | Mapping[int, float] | NDArray[np.float64]

NO_INTERVAL = "1 repeat: no interval"

#: Fewer repeats than this tell too little: disturbed ones are not left out, and no run stops before.
LEAST_REPEATS = 3

#: sqrt(n * variance) of the median of n standard normals, by quadrature: what it loses against the mean; sqrt(pi / 2)
#: above 10. D. Teichroew, "Tables of expected values of order statistics ...", Ann. Math. Statist. 27 (1956).
MEDIAN_FACTORS = {2: 1.0, 3: 1.1602, 4: 1.0922, 5: 1.1976, 6: 1.1351, 7: 1.2137, 8: 1.1599, 9: 1.2227, 10: 1.1761}

#: The cases of a run share its processes, so together they know their scatter no better than so many repeats would.
MOST_DEGREES = 10.0
#: Standard deviations of logarithms below this are rounding.
LEAST_SD = 1e-6


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

    @property
    def claims(self) -> bool:
        """Whether it has an interval, which holds in 95 % of cases."""
        return not math.isnan(self.low)

    @property
    def half(self) -> float:
        """Half the width of the interval; NaN where there is none."""
        return (self.high - self.low) / 2

    def through(self, change: Callable[[float], float]) -> Self:
        """Return it with its value and both ends changed by one increasing function."""
        return replace(self, value=change(self.value), low=change(self.low), high=change(self.high))


@dataclass(frozen=True)
class Ratio(Estimate):
    """A quotient with its interval (no unit), from ``n`` pairs, or from the smaller side's ``n`` repeats."""

    paired: bool = True


@dataclass(frozen=True)
class Scatter:
    """What cases know together: the ``variance`` of a logarithm between repeats, worth so many ``degrees`` of freedom.

    Without degrees every case stands alone.
    """

    variance: float
    degrees: float

    def of(self, logs: NDArray[np.float64]) -> "Error":
        """Return the error of the median of ``logs`` (n >= 2): their own variance, drawn towards the shared one.

        G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential expression in microarray
        experiments", Statist. Appl. Genet. Mol. Biol. 3 (2004), equation for the moderated variance.
        """
        n, own = len(logs), float(np.var(logs, ddof=1))
        degrees = n - 1 + self.degrees
        variance = max(((n - 1) * own + self.degrees * self.variance) / degrees, LEAST_SD**2)
        return Error(variance * MEDIAN_FACTORS.get(n, math.sqrt(math.pi / 2)) ** 2 / n, degrees)


@dataclass(frozen=True)
class Wander:
    """By how much the level of a whole run wanders: the standard deviation of its logarithm, and how well it is known.

    The highest level of T. Kalibera and R. Jones, "Rigorous benchmarking in reasonable time", ISMM 2013. ``case_sd``:
    by how much one case wanders beyond it.
    """

    sd: float
    degrees: float
    case_sd: float = 0.0

    def error(self, runs: int = 1) -> "Error":
        """Return its part in the error of a time (of 1 run), or of a ratio between 2 runs."""
        return Error(runs * (self.sd**2 + self.case_sd**2), self.degrees)

    @property
    def between_cases(self) -> "Wander":
        """What is left of it in a ratio of two cases of one run, where the run's level cancels."""
        return Wander(0.0, self.degrees, math.sqrt(2) * self.case_sd)


@dataclass(frozen=True)
class Error:
    """A squared standard error on the log scale, and its degrees of freedom."""

    square: float
    degrees: float

    def __add__(self, other: "Error") -> "Error":
        """Return the error of a sum: F. E. Satterthwaite, "An approximate distribution", Biometrics Bull. 2 (1946)."""
        total = self.square + other.square
        if total == 0:
            return Error(0.0, math.inf)
        parts = ((self.square / total) ** 2 / self.degrees, (other.square / total) ** 2 / other.degrees)
        return Error(total, 1 / sum(parts) if sum(parts) else math.inf)

    def half(self, confidence: float = 0.95) -> float:
        """Return half the width of the interval, on the log scale."""
        return student((1 + confidence) / 2, self.degrees) * math.sqrt(self.square)


ALONE, NO_WANDER = Scatter(0.0, 0.0), Wander(0.0, math.inf)


def shared_scatter(groups: Iterable[Values]) -> Scatter:
    """Return what the cases of a run know together of the scatter of a repeat; ``groups``: one value for each repeat.

    The prior of Smyth's moderated variances, robust as in B. Phipson, S. Lee, I. J. Majewski, W. S. Alexander and
    G. K. Smyth, "Robust hyperparameter estimation protects against hypervariable genes", Ann. Appl. Stat. 10 (2016):
    moments of log variances whose outer tenths are pulled in, so that one disturbed process does not widen all.
    """
    from scipy.special import digamma, polygamma

    samples = [np.log(positive(group)) for group in groups]
    known = [(len(x) - 1, max(float(np.var(x, ddof=1)), LEAST_SD**2)) for x in samples if len(x) > 1]
    if len(known) < 3:
        return ALONE
    degrees, variances = np.array(known).T
    logs = np.log(variances) - digamma(degrees / 2) + np.log(degrees / 2)
    logs = np.clip(logs, *np.quantile(logs, (0.1, 0.9)))
    # 0.6787: the variance of a standard normal whose outer tenths are pulled in, 0.8 - 2 c phi(c) + 0.2 c², c its 90th
    # percentile.
    beyond = float(np.var(logs, ddof=1)) / 0.6787 - float(np.mean(polygamma(1, degrees / 2)))
    prior = _inverse_trigamma(beyond) * 2 if beyond > 0 else math.inf
    centre = float(np.mean(logs)) + (digamma(prior / 2) - math.log(prior / 2) if math.isfinite(prior) else 0.0)
    return Scatter(math.exp(centre), min(prior, MOST_DEGREES))


def _inverse_trigamma(y: float) -> float:
    """Return x with trigamma(x) = y: Newton's method on 1/trigamma, which is nearly a line (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / y
    for _ in range(50):
        tri = float(polygamma(1, x))
        step = tri * (1 - tri / y) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x


def estimate(
    values_per_repeat: Values | Iterable[float], scatter: Scatter = ALONE, wander: Wander = NO_WANDER
) -> Estimate:
    """Return the median over repeats and its 95 % interval. Raises ValueError as `positive`.

    ``scatter``: what the run's cases know together. ``wander``: what whole runs differ by, for an interval that is to
    hold the next run's median.
    """
    x = positive(values_per_repeat)
    value = _median(x)
    if len(x) == 1:
        return Estimate(value, math.nan, math.nan, 1, NO_INTERVAL)
    half = (scatter.of(np.log(x)) + wander.error()).half()
    return Estimate(value, value * _exp(-half), value * _exp(half), len(x))


def ratio(a: Values, b: Values, paired: bool = True, scatter: Scatter = ALONE, wander: Wander = NO_WANDER) -> Ratio:
    """Return a / b with its 95 % interval: of times, b is the faster side above 1.

    ``paired``: the median of the ratios within the repeats that both have; ``scatter`` and ``wander`` are those of such
    ratios. Otherwise the quotient of the medians, with the scatter of times, and the wander of a run.

    Raises ValueError as `positive`, and for paired sides without a common repeat.
    """
    value, error, n = difference(a, b, paired, scatter, wander)
    if error is None:
        return Ratio(value, math.nan, math.nan, n, NO_INTERVAL, paired)
    half = error.half()
    return Ratio(value, value * _exp(-half), value * _exp(half), n, paired=paired)


def difference(
    a: Values, b: Values, paired: bool, scatter: Scatter = ALONE, wander: Wander = NO_WANDER
) -> tuple[float, Error | None, int]:
    """Return a / b, the error of its logarithm (None of one repeat), and the pairs or repeats; see `ratio`."""
    if paired:
        positive(a), positive(b)
        pairs = list(ratios(a, b).values())
        if not pairs:
            raise ValueError("no repeat has both sides")
        x = positive(pairs)
        return _median(x), scatter.of(np.log(x)) + wander.error() if len(x) > 1 else None, len(x)
    x, y = positive(a), positive(b)
    n = min(len(x), len(y))
    error = scatter.of(np.log(x)) + scatter.of(np.log(y)) + wander.error(runs=2) if n > 1 else None
    return _median(x) / _median(y), error, n


def ratios(a: Values, b: Values) -> dict[int, float]:
    """Return a / b of each repeat that both have."""
    one, other = (dict(side) if isinstance(side, Mapping) else dict(enumerate(side)) for side in (a, b))
    return {repeat: one[repeat] / other[repeat] for repeat in sorted(one.keys() & other.keys())}


def counted(by_repeat: Mapping[int, float], disturbed: Collection[int]) -> dict[int, float]:
    """Return the repeats that count: the undisturbed ones, or all of them where that leaves fewer than two."""
    good = {repeat: value for repeat, value in by_repeat.items() if repeat not in disturbed}
    return good if len(good) > 1 else dict(by_repeat)


def verdict(speedup: Ratio, threshold: float) -> Verdict:
    """Say what ``speedup`` (baseline time / candidate time) shows about the candidate.

    "faster" and "slower" need an interval that excludes 1 and a value above ``1 + threshold`` or below its reciprocal,
    "same" an interval between these two. The rest is "unclear".
    """
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


def _median(x: NDArray[np.float64]) -> float:
    """Return the median on the log scale, exactly one of the values if their number is odd or the middle two agree."""
    s = np.sort(x)
    low, high = float(s[(len(s) - 1) // 2]), float(s[len(s) // 2])
    return low * math.sqrt(high / low)


def _exp(x: float) -> float:
    # Two wildly different repeats can ask for more than a float holds; an interval up to 1e304 says the same.
    return math.exp(min(x, 700.0))


def student(share: float, degrees: float) -> float:
    """Return Student's quantile. ``scipy.special`` has it for a third of the import time of scipy.stats."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))
