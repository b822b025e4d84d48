"""What the repeats of two sides decide: verdict, the smallest slowdown they can decide, and how many more would tell.

Value, error and degrees of freedom are those of `bench.stats.estimates`. docs/evidence/statistics.md says how often
verdicts are wrong, and how small a slowdown they find.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, starmap
from typing import Any, Literal

import numpy as np

from mlpbench.bench.groups import grouped
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import NO_WANDER, Error, Ratio, Wander, student

#: From which share on a difference is called "faster" or "slower", on the log scale half of 5 %.
THRESHOLD = 0.025
#: Share of the verdicts faster and slower that may be wrong. A case is never called so with a p-value above it.
FALSE_DISCOVERY_RATE = 0.01
#: "not slower": by no more than was asked, or than `Judgement.decides` says; "undecided": nobody knows.
Verdict = Literal["faster", "slower", "not slower", "undecided"]
#: Probability with which an effect is to be found: for the repeats needed, and for the smallest effect found.
POWER = 0.95
#: More repeats than this are not worth a number.
MOST_REPEATS = 1000


@dataclass(frozen=True)
class Judgement:
    """One case. ``speedup`` is baseline / candidate; ``p_adjusted`` is corrected for the number of cases.

    ``decides``: the share by which it is shown not to be slower, 0 where it is slower or faster; NaN of one repeat.
    ``detectable``: the smallest slowdown, as a share, that is found with probability `POWER`. ``repeats_needed``: how
    many repeats on each side would decide, None where it is decided or none would.
    """

    speedup: Ratio
    p: float
    p_adjusted: float
    verdict: Verdict
    decides: float
    detectable: float
    repeats_needed: int | None


def judge(
    cases: Sequence[tuple[Mapping[int, float], Mapping[int, float]]],
    paired: bool,
    threshold: float | None = None,
    wander: Wander = NO_WANDER,
) -> list[Judgement]:
    """Judge the cases of one comparison, each a time for each repeat of the baseline and of the candidate.

    "faster" and "slower" need a speedup beyond ``threshold`` (None: `THRESHOLD`), an interval that excludes 1,
    and a p-value of at most `FALSE_DISCOVERY_RATE` after the correction for the number of cases, which know their
    scatter together. ``wander``: of unpaired sides, how far the level of a run wanders. Raises ValueError.
    """
    border = THRESHOLD if threshold is None else threshold
    scatter = estimates.shared_scatter(starmap(estimates.ratios, cases) if paired else chain.from_iterable(cases))
    differences = [estimates.difference(*sides, paired, scatter, wander) for sides in cases]
    p_values = [p_value(value, error) for value, error, _ in differences]
    p_adjusted = adjusted(p_values)
    # What one more case has to undercut to be found beside those that are.
    significant = sum(p <= FALSE_DISCOVERY_RATE for p in p_adjusted)
    level = FALSE_DISCOVERY_RATE * min(significant + 1, len(cases)) / max(len(cases), 1)
    judged = []
    for (value, error, n), p, q in zip(differences, p_values, p_adjusted, strict=True):
        speedup = estimates.interval(value, error, n)
        verdict: Verdict = "not slower"
        decides, needed = decided(speedup), None
        if q <= FALSE_DISCOVERY_RATE and speedup.low > 1 and value > 1 + border:
            verdict, decides = "faster", 0.0
        elif q <= FALSE_DISCOVERY_RATE and speedup.high < 1 and value * (1 + border) < 1:
            verdict, decides = "slower", 0.0
        elif math.isnan(decides) or (threshold is not None and decides > threshold):
            verdict = "undecided"
            if error:
                needed = repeats_needed(error, n, NO_WANDER if paired else wander, value, border)
        least = detectable(error, border, level) if error else math.nan
        judged.append(Judgement(speedup, p, q, verdict, decides, least, needed))
    return judged


def decided(speedup: Ratio) -> float:
    """Return the smallest share X of which the repeats show: not slower by more than X. NaN without an interval."""
    return max(0.0, 1 / speedup.low - 1) if speedup.low > 0 else math.nan


def p_value(value: float, error: Error | None) -> float:
    """Return the two-sided p-value of a ratio with this error of its logarithm; NaN of one repeat."""
    from scipy.special import stdtr

    if error is None:
        return math.nan
    shift = abs(math.log(value))
    return 2 * float(stdtr(error.degrees, -shift / math.sqrt(error.square))) if error.square else float(shift == 0)


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
    return list(map(float, result))


def detectable(error: Error, threshold: float, level: float) -> float:
    """Return the smallest slowdown, as a share, that is found with probability `POWER` at such an error.

    It must be significant at the two-sided ``level``, and the median seen must lie beyond the threshold. S.-C. Chow, J.
    Shao and H. Wang, "Sample Size Calculations in Clinical Research" (2008), chapter 3, with Student's quantiles.
    """
    sd, power = math.sqrt(error.square), student(POWER, error.degrees)
    significant = (student(1 - level / 2, error.degrees) + power) * sd
    return math.expm1(min(max(significant, math.log1p(threshold) + power * sd), 700.0))


def repeats_needed(error: Error, n: int, wander: Wander, effect: float, threshold: float) -> int | None:
    """Return how many repeats on each side would show that the candidate is slower by the threshold, or not.

    ``error`` is that of ``n`` repeats, of which ``wander`` is a part that no repeat makes smaller; ``effect`` the
    speedup that was seen. None where more than `MOST_REPEATS` would be needed.
    """
    distance, fixed = abs(math.log(effect * (1 + threshold))), wander.error(runs=2)
    repeated = max(error.square - fixed.square, 0.0)
    for more in range(n + 1, MOST_REPEATS + 1):
        if (Error(repeated * n / more, error.degrees * more / n) + fixed).half() <= distance:
            return more
    return None


def learnt_wander(runs: Sequence[Mapping[Any, Mapping[int, float]]], prior: Wander) -> Wander:
    """Return how far runs of the same code on one machine wander, from those that are stored.

    ``runs``: of each run, the time of every case by repeat; one with a single repeat does not count. A run's level is
    the weighted median of its cases', by how well their repeats know them; degrees of freedom add to the ``prior``'s.
    """
    logs = [{at: np.log(estimates.positive(x)) for at, x in run.items() if len(x) > 1} for run in runs]
    medians = grouped((at, float(np.median(x))) for run in logs for at, x in run.items())
    usual = {at: float(np.median(values)) for at, values in medians.items() if len(values) > 1}
    levels = []
    for times, run in zip(runs, logs, strict=True):
        scatter = estimates.shared_scatter(times[at] for at in run)
        off = sorted(
            (float(np.median(x)) - usual[at], 1 / scatter.of(x).square) for at, x in run.items() if at in usual
        )
        if off:
            weights = np.cumsum([weight for _, weight in off])
            levels.append(off[int(np.searchsorted(weights, weights[-1] / 2))][0])
    if len(levels) < 2:
        return prior
    degrees, variance = len(levels) - 1, float(np.var(levels, ddof=1))
    total = prior.degrees + degrees
    return replace(prior, sd=math.sqrt((prior.degrees * prior.sd**2 + degrees * variance) / total), degrees=total)
