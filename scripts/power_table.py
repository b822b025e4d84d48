"""The table of verdicts in docs/statistics.md: how often `significance.judge` is wrong, and how often it finds 5 %.

Run it with `python scripts/power_table.py`; it takes a few minutes.
"""

from __future__ import annotations

import numpy as np

from mlpbench.bench.stats.significance import THRESHOLD, judge

REPEATS = (5, 8, 10, 13, 20)
NOISE = {
    "normal 1 %": (0.01, 0.0),
    "normal 2 %": (0.02, 0.0),
    "1 % and bursts": (0.01, 0.1),
    "2 % and bursts": (0.02, 0.1),
}
COMPARISONS, CASES = 500, 6


def times(rng: np.random.Generator, n: int, sd: float, burst: float, factor: float) -> dict[int, float]:
    """Return the times of ``n`` repeats."""
    slow = np.where(rng.random(n) < burst, 1.7, 1.0)
    return dict(enumerate((factor * slow * np.exp(rng.normal(0, sd, n))).tolist()))


def share(n: int, sd: float, burst: float, factor: float, *, paired: bool) -> tuple[float, float]:
    """Return the shares of cases called faster or slower, and slower, in per cent."""
    rng = np.random.default_rng(n)
    verdicts = []
    for _ in range(COMPARISONS):
        cases = [(times(rng, n, sd, burst, 1.0), times(rng, n, sd, burst, factor)) for _ in range(CASES)]
        verdicts += [item.verdict for item in judge(cases, paired, THRESHOLD)]
    called = [100 * verdicts.count(word) / len(verdicts) for word in ("faster", "slower")]
    return sum(called), called[1]


def main() -> None:
    """Print the rows."""
    for paired in (True, False):
        for name, (sd, burst) in NOISE.items():
            word = "paired" if paired else "unpaired"
            false = [share(n, sd, burst, 1.0, paired=paired)[0] for n in REPEATS]
            found = [share(n, sd, burst, 1.05, paired=paired)[1] for n in REPEATS]
            print(f"{word}, {name}: false", *(f"{value:6.2f}" for value in false), flush=True)
            print(f"{word}, {name}: found", *(f"{value:6.1f}" for value in found), flush=True)


if __name__ == "__main__":
    main()
