"""The table of stopping in docs/statistics.md: how often intervals contain the truth when they decide when to stop.

Run it with `python scripts/stopping_table.py`; it takes some minutes.
"""

from __future__ import annotations

import sys

import numpy as np

from mlpbench.bench.plan.effort import TARGET, half_width
from mlpbench.bench.stats import estimates

LEAST, RUNS = 3, 1500
NOISE = {
    "0.5 %": (0.005, 0.0),
    "1 %": (0.01, 0.0),
    "2 %": (0.02, 0.0),
    "4 %": (0.04, 0.0),
    "1 % and bursts": (0.01, 0.1),
}


def covered(sd: float, burst: float, cases: int, most: int, seed: int = 0) -> tuple[float, float, float]:
    """Return coverage in per cent, mean repeats, and the share of cases that reached the target in per cent.

    All cases of a kernel repeat until the widest is narrow enough, or ``most`` repeats are done. The truth is the
    median of what a repeat takes, bursts included.
    """
    rng = np.random.default_rng(seed)
    # A burst is log(1.7) away, so that the median is the quantile 0.5 / 0.9 of the undisturbed ones.
    truth = float(np.exp(sd * 0.1397)) if burst else 1.0
    hits, repeats, reached = 0, 0, 0
    for _ in range(RUNS):
        x = np.exp(rng.normal(0, sd, (cases, most)) + (rng.random((cases, most)) < burst) * np.log(1.7))
        n = LEAST
        while n < most and max(half_width(dict(enumerate(row[:n]))) or 0.0 for row in x) > TARGET:
            n += 1
        for row in x:
            found = estimates.estimate(row[:n])
            hits += found.low <= truth <= found.high
            reached += (found.high - found.low) / (2 * found.value) <= TARGET
        repeats += n
    return 100 * hits / RUNS / cases, repeats / RUNS, 100 * reached / RUNS / cases


def main() -> None:
    """Print the rows."""
    for cases in (1, 6):
        for name, (sd, burst) in NOISE.items():
            for most in (12, 30):
                coverage, repeats, reached = covered(sd, burst, cases, most)
                print(
                    f"{cases} cases, {name}, at most {most}: covered {coverage:.1f} %, {repeats:.1f} repeats, "
                    f"{reached:.0f} % reached the target"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
