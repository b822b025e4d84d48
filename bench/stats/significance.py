"""Is a difference more than chance, and how many repeats would tell? Knows no kernels and no files.

`bench.stats.estimates` has the estimate and its interval; here are the test beside it, its correction for the number of
cases, and the verdict that both make. As there, a value is one repeat's, and the scale is logarithmic.
docs/statistics.md says how often verdicts are wrong, and how often they find 5 %.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import NO_DRIFT, Drift, Ratio, Verdict, positive, student

#: From which share on a difference counts, on the log scale half of 5 %: with the threshold at 5 %, a slowdown of
#: exactly 5 % is found half of the time, however many repeats there are.
THRESHOLD = 0.025
#: Share of the verdicts faster and slower that may be wrong. A case is never called so with a p-value above it.
FALSE_DISCOVERY_RATE = 0.01
#: Probability with which an effect is to be found: for the repeats needed, and for the smallest effect found.
POWER = 0.95
#: Trimmed on either side, from this number of repeats on: below it, the degrees of freedom lost cost more than a
#: burst does (with 5 repeats two would be left).
TRIM, TRIM_FROM = 0.2, 8
#: Standard error of a mean trimmed so / of a plain one, for many normal values.
TRIM_LOSS = 1.07
#: More repeats than this are not worth a number.
MOST_REPEATS = 1000
#: Standard error of a median / of a mean, for many normal values.
MEDIAN_LOSS = math.sqrt(math.pi / 2)
#: Two-sided level of the intervals that a verdict "same" is read from (`bench.stats.estimates`).
INTERVAL_LEVEL = 0.05


@dataclass(frozen=True)
class Test:
    """What the repeats say about the hypothesis that both sides are equally fast.

    ``p`` is two-sided, NaN where a side has one repeat. ``scatter`` is the standard error of the difference of
    logarithms times the square root of ``n``, the repeats of the smaller side (of pairs): what one repeat leaves open.
    ``drift`` is what any number of them leaves open.
    """

    __test__ = False  # pytest collects what is called so

    p: float
    scatter: float
    n: int
    paired: bool
    drift: Drift = NO_DRIFT


def test(
    a: Mapping[int, float],
    b: Mapping[int, float],
    paired: bool,
    drift: Drift = NO_DRIFT,  # noqa: PT028 - no test of pytest's
) -> Test:
    """Test whether ``a`` and ``b``, a positive value for each repeat, differ by a factor.

    Student's t on the mean of the logarithms of the pairs or, for unpaired sides, Welch's. From 8 repeats on the means
    are trimmed by 20 % on either side, which two disturbed processes in ten do not move: J. W. Tukey and D. H.
    McLaughlin, "Less vulnerable confidence and significance procedures for location based on a single sample",
    Sankhya A 25 (1963); K. K. Yuen, "The two-sample trimmed t for unequal population variances", Biometrika 61 (1974).
    Unpaired it is ``scipy.stats.ttest_ind(trim=0.2, equal_var=False)``, without the import of scipy.stats. ``drift``,
    of unpaired sides, is one more part of the variance, with degrees of freedom of its own (Welch and Satterthwaite).

    Raises ValueError for values that are not finite and positive, and for paired sides without a common repeat.
    """
    from scipy.special import stdtr

    if paired:
        common = sorted(a.keys() & b.keys())
        if not common:
            raise ValueError("no repeat has both sides")
        sides = [np.log(positive(a[i] for i in common)) - np.log(positive(b[i] for i in common))]
    else:
        sides = [np.log(positive(a)), np.log(positive(b))]
    n = min(len(side) for side in sides)
    if n < 2:
        return Test(math.nan, math.nan, n, paired, drift)
    parts = [_trimmed(side) for side in sides]
    shift = parts[0][0] - (0.0 if paired else parts[1][0])
    square = sum(part[1] for part in parts) + drift.square
    scatter = math.sqrt(sum(part[1] * len(side) for part, side in zip(parts, sides, strict=True)))
    if square == 0:
        return Test(float(shift == 0), scatter, n, paired, drift)
    degrees = _joint_degrees([*((part[1], part[2]) for part in parts), (drift.square, drift.degrees)])
    p = 2 * float(stdtr(degrees, -abs(shift) / math.sqrt(square)))
    return Test(p, scatter, n, paired, drift)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the same order: at most q where the false discovery rate is q.

    Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", J. R. Statist. Soc. B 57 (1995), as
    ``scipy.stats.false_discovery_control``. A NaN stays NaN and does not count: its case was not tested.
    """
    result = np.array(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(result))
    order = tested[np.argsort(-result[tested], kind="stable")]
    ranks = np.arange(len(order), 0, -1)
    result[order] = np.minimum(1.0, np.minimum.accumulate(result[order] * len(order) / ranks))
    return [float(p) for p in result]


def repeats_needed(found: Test, effect: float, threshold: float, level: float) -> int | None:
    """Return how many repeats would tell, of each side (of pairs); None for more than `MOST_REPEATS`, or unknown.

    ``effect`` is the factor seen. Beyond the threshold: the repeats with which a difference of that size is
    significant at the two-sided ``level`` with probability `POWER`. Within it: those with which no difference at all
    is called "same" with that probability, that is, with which the interval fits between the thresholds. Sample sizes
    of one and of two means, of difference and of equivalence, in S.-C. Chow, J. Shao and H. Wang, "Sample Size
    Calculations in Clinical Research" (2nd ed. 2008), chapter 3, with Student's quantiles in place of the normal's
    and the scatter that was seen, which few repeats know badly.
    """
    size, bound = abs(math.log(effect)), math.log1p(threshold)
    if math.isnan(found.scatter):
        return None
    if size > bound:
        return _fewest(found, 1.0, lambda df: size / (student(1 - level / 2, df) + student(POWER, df)))
    within = (1 - INTERVAL_LEVEL / 2, (1 + POWER) / 2)
    # The interval is the median's.
    return _fewest(found, MEDIAN_LOSS, lambda df: bound / sum(student(share, df) for share in within))


def detectable(scatter: float, n: int, paired: bool, threshold: float, level: float, drift: Drift = NO_DRIFT) -> float:
    """Return the smallest slowdown, as a share, that ``n`` repeats on each side find with probability `POWER`.

    It must be significant at the two-sided ``level``, and the median seen must lie beyond the threshold; NaN for one
    repeat. The same approximation as `repeats_needed`.
    """
    if n < 2:
        return math.nan
    error, df = _error(scatter, n, paired, drift)
    significant = (student(1 - level / 2, df) + student(POWER, df)) * error
    error, df = _error(scatter * MEDIAN_LOSS, n, paired, drift)
    beyond = math.log1p(threshold) + student(POWER, df) * error
    return math.expm1(min(max(significant, beyond), 700.0))


def _fewest(found: Test, loss: float, error_allowed: Callable[[float], float]) -> int | None:
    """Return the fewest repeats whose error, with their scatter times ``loss``, is allowed with so many degrees."""
    for n in range(found.n + 1, MOST_REPEATS + 1):
        trimmed = TRIM_LOSS if _cut(n) and not _cut(found.n) else 1.0
        error, df = _error(found.scatter * loss * trimmed, n, found.paired, found.drift)
        if error <= error_allowed(df):
            return n
    return None


def _error(scatter: float, n: int, paired: bool, drift: Drift) -> tuple[float, float]:
    """Return the standard error of a difference and its degrees of freedom, ``n`` repeats on each side."""
    parts = [(scatter**2 / n, (n - 2 * _cut(n) - 1) * (1 if paired else 2)), (drift.square, drift.degrees)]
    return math.sqrt(sum(part for part, _ in parts)), _joint_degrees(parts)


def _joint_degrees(parts: Sequence[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a sum of variances, each with its own: Welch and Satterthwaite."""
    total = sum(part for part, _ in parts)
    # Divided by their sum before they are squared: variances of nearly identical repeats would underflow.
    inverse = sum((part / total) ** 2 / degrees for part, degrees in parts) if total else 0.0
    return 1 / inverse if inverse else math.inf


def _cut(n: int) -> int:
    return int(TRIM * n) if n >= TRIM_FROM else 0


def _trimmed(x: NDArray[np.float64]) -> tuple[float, float, int]:
    """Return the trimmed mean of ``x`` (n >= 2), its squared standard error, and the degrees of freedom."""
    n, cut = len(x), _cut(len(x))
    kept = n - 2 * cut
    s = np.sort(x)
    pulled_in = np.clip(s, s[cut], s[n - cut - 1])
    square = float(np.var(pulled_in, ddof=1)) * (n - 1) / (kept * (kept - 1))
    return float(s[cut : n - cut].mean()), square, kept - 1


@dataclass(frozen=True)
class Judgement:
    """One case. ``speedup`` is baseline / candidate; ``p_adjusted`` is corrected for the number of cases.

    ``repeats_needed`` is None unless the verdict is "unclear", and where `bench.stats.significance` has no number.
    ``detectable``: the smallest slowdown, as a share, that would have been found (`detectable`); NaN for one repeat.
    """

    speedup: Ratio
    p: float
    p_adjusted: float
    verdict: Verdict
    repeats_needed: int | None
    detectable: float
    drift: Drift


def judge(
    cases: Sequence[tuple[Mapping[int, float], Mapping[int, float]]],
    paired: bool,
    threshold: float,
    rate: float = FALSE_DISCOVERY_RATE,
    drifts: Sequence[Drift] | None = None,
) -> list[Judgement]:
    """Judge the cases of one comparison, each a time for each repeat of the baseline and of the candidate.

    "faster" and "slower" need three things: a speedup beyond the threshold, an interval that excludes 1, and a
    p-value of at most ``rate`` after the correction for the number of cases. "same" needs an interval that lies
    between the thresholds. The rest is "unclear". ``drifts``: of unpaired sides, how far the level of a run wanders
    in each case.

    Raises ValueError as `bench.stats.estimates.ratio`.
    """
    drifts = [estimates.NO_DRIFT] * len(cases) if drifts is None else drifts
    tests = [test(a, b, paired, drift) for (a, b), drift in zip(cases, drifts, strict=True)]
    p_adjusted = adjusted([test.p for test in tests])
    found = sum(p <= rate for p in p_adjusted)
    # What one more case has to undercut to be found beside those that are.
    level = rate * min(found + 1, len(cases)) / max(len(cases), 1)
    judged = []
    for (a, b), tested, p in zip(cases, tests, p_adjusted, strict=True):
        speedup = estimates.ratio(a, b, paired, drift=tested.drift)
        verdict = estimates.verdict(speedup, threshold)
        if verdict in ("faster", "slower") and not p <= rate:
            verdict = "unclear"
        unclear = verdict == "unclear" and not math.isnan(tested.p)
        needed = repeats_needed(tested, speedup.value, threshold, level) if unclear else None
        least = detectable(tested.scatter, tested.n, paired, threshold, level, tested.drift)
        judged.append(Judgement(speedup, tested.p, p, verdict, needed, least, tested.drift))
    return judged
