"""The verdicts of a comparison, all cases together: their number corrects each. Knows no kernels and no files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlpbench.bench.stats import estimates, significance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlpbench.bench.stats.estimates import Drift, Ratio, Verdict
    from mlpbench.bench.stats.significance import Test

__all__ = ["THRESHOLD", "Judgement", "judge"]

#: From which share on a difference counts, on the log scale half of 5 %: with the threshold at 5 %, a slowdown of
#: exactly 5 % is found half of the time, however many repeats there are.
THRESHOLD = 0.025


@dataclass(frozen=True)
class Judgement:
    """One case. ``speedup`` is baseline / candidate; ``p_adjusted`` is corrected for the number of cases.

    ``repeats_needed`` is None unless the verdict is "unclear", and where `bench.stats.significance` has no number.
    """

    speedup: Ratio
    p: float
    p_adjusted: float
    verdict: Verdict
    repeats_needed: int | None
    drift: Drift


def judge(
    cases: Sequence[tuple[Mapping[int, float], Mapping[int, float]]],
    paired: bool,
    threshold: float,
    rate: float = significance.FALSE_DISCOVERY_RATE,
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
    tests = [significance.test(a, b, paired, drift) for (a, b), drift in zip(cases, drifts, strict=True)]
    p_adjusted = significance.adjusted([test.p for test in tests])
    found = sum(p <= rate for p in p_adjusted)
    # What one more case has to undercut to be found beside those that are.
    level = rate * min(found + 1, len(cases)) / max(len(cases), 1)
    return [
        _judge(estimates.ratio(a, b, paired, drift=test.drift), test, p, threshold, rate, level)
        for (a, b), test, p in zip(cases, tests, p_adjusted, strict=True)
    ]


def _judge(speedup: Ratio, test: Test, p: float, threshold: float, rate: float, level: float) -> Judgement:
    verdict = estimates.verdict(speedup, threshold)
    if verdict in ("faster", "slower") and not p <= rate:
        verdict = "unclear"
    needed = None
    if verdict == "unclear" and not math.isnan(test.p):
        needed = significance.repeats_needed(test, speedup.value, threshold, level)
    return Judgement(speedup, test.p, p, verdict, needed, test.drift)
