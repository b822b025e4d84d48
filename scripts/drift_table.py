"""The table of drift in docs/statistics.md: how often two runs are called different when the level of a run wanders.

A level wanders around its mean by ``sd``, and forgets where it was within so many repeats (autoregressive, of order 1).
`mlpbench calibrate` sees 45 repeats of 11 kernels of it; then two runs are compared that are far apart in time.

Run it with `python scripts/drift_table.py`; it takes several minutes.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from mlpbench.bench.stats import drift, estimates
from mlpbench.bench.stats.estimates import NO_DRIFT
from mlpbench.bench.stats.significance import THRESHOLD, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATIONS, COMPARISONS, CASES = 100, 3, 5
CALIBRATED_REPEATS, CALIBRATED_KERNELS = 45, 11
#: Scatter of a repeat around the level of its run.
SCATTER = 0.015


def levels(rng: np.random.Generator, n: int, sd: float, memory: float) -> NDArray[np.float64]:
    """Return the logarithm of the level beside each of ``n`` repeats."""
    keeps = math.exp(-1 / memory)
    found = [rng.normal(0, sd)]
    for step in rng.normal(0, sd * math.sqrt(1 - keeps**2), n - 1):
        found.append(keeps * found[-1] + step)
    return np.array(found)


def times(rng: np.random.Generator, level: NDArray[np.float64], factor: float = 1.0) -> dict[int, float]:
    """Return the times of one kernel, by repeat."""
    return dict(enumerate((factor * np.exp(level + rng.normal(0, SCATTER, len(level)))).tolist()))


def row(sd: float, memory: float, n: int) -> tuple[float, float, float]:
    """Return shares, in per cent: equal cases called different, the same without drift, 5 % slower cases found."""
    rng = np.random.default_rng(n)
    called, unaware, found = [], [], []
    for _ in range(CALIBRATIONS):
        level = levels(rng, CALIBRATED_REPEATS, sd, memory)
        seen = drift.measured(drift.common_level([times(rng, level) for _ in range(CALIBRATED_KERNELS)]))
        for _ in range(COMPARISONS):
            one, other = levels(rng, n, sd, memory), levels(rng, n, sd, memory)
            equal = [(times(rng, one), times(rng, other)) for _ in range(CASES)]
            slower = [(times(rng, one), times(rng, other, 1.05)) for _ in range(CASES)]
            called += verdicts(equal, seen or NO_DRIFT)
            unaware += verdicts(equal, NO_DRIFT)
            found += verdicts(slower, seen or NO_DRIFT)
    wrong = [100 * sum(word in ("faster", "slower") for word in words) / len(words) for words in (called, unaware)]
    return wrong[0], wrong[1], 100 * found.count("slower") / len(found)


def verdicts(cases: list[tuple[dict[int, float], dict[int, float]]], wander: estimates.Drift) -> list[str]:
    """Return what is made of the cases of one comparison of two runs."""
    return [item.verdict for item in judge(cases, paired=False, threshold=THRESHOLD, drifts=[wander] * len(cases))]


def main() -> None:
    """Print the rows."""
    for sd, memory in [(0.0, 1), *product((0.005, 0.01, 0.03), (3, 10, 30, 100))]:
        cells = (f"n = {n}: {a:5.1f} ({b:5.1f}) / {c:3.0f}" for n in (5, 20) for a, b, c in [row(sd, memory, n)])
        print(f"{100 * sd:3.1f} %, {memory:3} repeats;", "; ".join(cells), flush=True)


if __name__ == "__main__":
    main()
