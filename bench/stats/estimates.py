"""One method for every time and every ratio: the median over repeats, and Student's interval on the log scale.

Rounds inside one process are correlated, so the repeat is the unit: one positive value for each. The cases of a run
know its scatter together (`shared_scatter`); what whole runs differ by is a variance too (`Wander`).
docs/evidence/statistics.md says how often intervals hold.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

#: One value per repeat: in order, or by the number of the repeat.
Values = Sequence[float] | Mapping[int, float] | NDArray[np.float64]

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
    """A value of ``n`` repeats with its interval, whose ends are NaN where there is none, and ``reason`` says why."""

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

    def through(self, change: Callable[[float], float]) -> "Estimate":
        """Return it with its value and both ends changed by one increasing function."""
        return replace(self, value=change(self.value), low=change(self.low), high=change(self.high))


#: A quotient with its interval (no unit), from ``n`` pairs, or from the smaller side's ``n`` repeats.
Ratio = Estimate


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

    def half(self) -> float:
        """Return half the width of the 95 % interval, on the log scale."""
        return student(0.975, self.degrees) * math.sqrt(self.square)

    def of(self, logs: NDArray[np.float64], disturbed: bool = False) -> "Error":
        """Return the error of the median of ``logs`` (n >= 2): their own variance, drawn towards this one, of a repeat.

        ``disturbed``: a neighbour stays longer than a run, so all its repeats know no more than one of them. G. K.
        Smyth, "Linear models and empirical Bayes methods ...", Statist. Appl. Genet. Mol. Biol. 3 (2004).
        """
        n, own = len(logs), float(np.var(logs, ddof=1))
        degrees = n - 1 + self.degrees
        variance = max(((n - 1) * own + self.degrees * self.square) / degrees, LEAST_SD**2)
        gained = 1.0 if disturbed else MEDIAN_FACTORS.get(n, math.sqrt(math.pi / 2)) ** 2 / n
        return Error(variance * gained, degrees)


@dataclass(frozen=True)
class Wander:
    """By how much a run's level wanders, as a standard deviation of its logarithm; ``case_sd``: one case beyond it.

    T. Kalibera and R. Jones, "Rigorous benchmarking in reasonable time", ISMM 2013.
    """

    sd: float
    degrees: float
    case_sd: float = 0.0

    def error(self, runs: int = 1) -> Error:
        """Return its part in the error of a time (of 1 run), or of a ratio between 2 runs."""
        return Error(runs * (self.sd**2 + self.case_sd**2), self.degrees)


ALONE, NO_WANDER = Error(0.0, 0.0), Wander(0.0, math.inf)


def shared_scatter(groups: Iterable[Values]) -> Error:
    """Return the error of one repeat, as the cases of a run know it together; ``groups``: of each, one value a repeat.

    The prior of Smyth's moderated variances, robust as in B. Phipson and others, "Robust hyperparameter estimation
    ...", Ann. Appl. Stat. 10 (2016): moments of log variances whose outer tenths are pulled in.
    """
    from scipy.special import digamma, polygamma

    samples = [np.log(positive(group)) for group in groups if len(group)]
    known = [(len(x) - 1, max(float(np.var(x, ddof=1)), LEAST_SD**2)) for x in samples if len(x) > 1]
    if len(known) < 3:
        return ALONE
    degrees, variances = np.array(known).T
    logs = np.log(variances) - digamma(degrees / 2) + np.log(degrees / 2)
    logs = np.clip(logs, *np.quantile(logs, (0.1, 0.9)))
    # 0.6787: variance of a standard normal, outer tenths pulled in: 0.8 - 2 c phi(c) + 0.2 c², c its 90th percentile.
    beyond = float(np.var(logs, ddof=1)) / 0.6787 - float(np.mean(polygamma(1, degrees / 2)))
    prior = _inverse_trigamma(beyond) * 2 if beyond > 0 else math.inf
    centre = float(np.mean(logs)) + (digamma(prior / 2) - math.log(prior / 2) if math.isfinite(prior) else 0.0)
    return Error(math.exp(centre), min(prior, MOST_DEGREES))


def _inverse_trigamma(y: float) -> float:
    """Return x with trigamma(x) = y: Newton's method on 1/trigamma, which is nearly a line (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    x, step = 0.5 + 1 / y, math.inf
    while abs(step) >= 1e-8 * x:
        tri = float(polygamma(1, x))
        step = tri * (1 - tri / y) / float(polygamma(2, x))
        x += step
    return x


def estimate(
    values: Values | Iterable[float], scatter: Error = ALONE, wander: Wander = NO_WANDER, disturbed: bool = False
) -> Estimate:
    """Return the median over repeats and its 95 % interval, by ``wander`` of the next run. Raises as `positive`.

    ``scatter``: what the run's cases know together. ``wander``: what whole runs differ by. ``disturbed``: see `Error`.
    """
    x = positive(values)
    return interval(_median(x), scatter.of(np.log(x), disturbed) + wander.error() if len(x) > 1 else None, len(x))


def interval(value: float, error: Error | None, n: int) -> Estimate:
    """Return a value with the 95 % interval that the ``error`` of its logarithm leaves: none of one repeat."""
    if error is None:
        return Estimate(value, math.nan, math.nan, n, "1 repeat: no interval")
    half = error.half()
    # Two wildly different repeats can ask for more than a float holds; an interval up to 1e304 says the same.
    return Estimate(value, value * math.exp(-half), value * math.exp(min(half, 700.0)), n)


def ratio(a: Values, b: Values, paired: bool = True, scatter: Error = ALONE) -> Ratio:
    """Return a / b with its 95 % interval: of times, b is the faster side above 1. Arguments as of `difference`."""
    return interval(*difference(a, b, paired, scatter))


def difference(
    a: Values, b: Values, paired: bool, scatter: Error = ALONE, wander: Wander = NO_WANDER
) -> tuple[float, Error | None, int]:
    """Return a / b, the error of its logarithm (None of one repeat), and the pairs or repeats.

    ``paired``: the median of the ratios within the repeats that both have; ``scatter`` and ``wander`` are those of such
    ratios. Otherwise the quotient of the medians, with the scatter of times, and the wander of a run. Raises ValueError
    as `positive`, and for paired sides without a common repeat.
    """
    y, x = positive(b), positive(ratios(a, b) if paired else a)
    if paired:
        return _median(x), scatter.of(np.log(x)) + wander.error() if len(x) > 1 else None, len(x)
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


def student(share: float, degrees: float) -> float:
    """Return Student's quantile. ``scipy.special`` has it for a third of the import time of scipy.stats."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))
