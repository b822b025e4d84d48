"""The rows "marked" of the table of intervals in docs/method.md: intervals without the disturbed repeats.

Run it with `python scripts/coverage_table.py`; it takes some minutes.
"""

from __future__ import annotations

import sys

import numpy as np

from mlpbench.bench.stats.estimates import counted, estimate, ratio

RUNS = 20_000
#: A tenth of the processes is slowed 1.7 times. Nine in ten of these are marked, and so are 2 % of the others.
SD, BURST, FACTOR, MARKED, FALSELY = 0.02, 0.1, 1.7, 0.9, 0.02


def side(n: int, rng: np.random.Generator) -> dict[int, float]:
    """Return the repeats of one side that count; the undisturbed time is 1."""
    slowed = rng.random(n) < BURST
    marked = rng.random(n) < np.where(slowed, MARKED, FALSELY)
    values = np.exp(rng.normal(0, SD, n)) * np.where(slowed, FACTOR, 1.0)
    return counted(dict(enumerate(map(float, values))), set(np.flatnonzero(marked).tolist()))


def covered(n: int, runs: int = RUNS, seed: int = 0) -> dict[str, float]:
    """Return the coverage of the 95 % intervals with ``n`` repeats on each side, in per cent."""
    rng = np.random.default_rng([seed, n])
    hits: dict[str, list[bool]] = {"estimate": [], "paired ratio": [], "unpaired ratio": []}
    for _ in range(runs):
        a, b = side(n, rng), side(n, rng)
        intervals = {"estimate": estimate(a), "unpaired ratio": ratio(a, b, paired=False)}
        if len(a.keys() & b.keys()) > 1:
            intervals["paired ratio"] = ratio(a, b)
        for name, found in intervals.items():
            hits[name].append(found.low <= 1.0 <= found.high)
    return {name: 100 * float(np.mean(shares)) for name, shares in hits.items()}


def main() -> None:
    """Print the rows."""
    for n in (3, 5, 6, 10, 20):
        print(n, ", ".join(f"{name} {share:.1f} %" for name, share in covered(n).items()))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
