"""The rows "marked" of the table of intervals in docs/method.md, and the table of spells in docs/statistics.md.

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


#: Spells of so many repeats, there for a third of the time; the repeats of a run of so many kernels lie so many apart.
SPELL, SHARE, APART = 4, 1 / 3, (1, 2, 3, 4, 7)


def in_spells(n: int, rng: np.random.Generator, apart: int, *, seen: bool) -> dict[int, float]:
    """Return the repeats of a case that count, ``apart`` from each other, where spells last several repeats.

    ``seen``: 95 % of the slowed ones are marked, and 4 % of the others, as with looks. Else none is.
    """
    ends, begins = 1 / SPELL, SHARE / (1 - SHARE) / SPELL
    states = [rng.random() < SHARE]
    for chance in rng.random(n * apart):
        states.append(chance >= ends if states[-1] else chance < begins)
    slowed = np.array(states[::apart][:n])
    marked = rng.random(n) < np.where(slowed, 0.95, 0.04) * seen
    values = np.exp(rng.normal(0, SD, n)) * np.where(slowed, FACTOR, 1.0)
    return counted(dict(enumerate(map(float, values))), set(np.flatnonzero(marked).tolist()))


def covered_in_spells(n: int, apart: int, *, seen: bool, runs: int = RUNS) -> float:
    """Return how often the interval of an estimate has the undisturbed time where spells are seen, in per cent.

    Where they are not, how often it has the usual time: what many repeats would come to.
    """
    rng = np.random.default_rng([n, apart])
    usual = 1.0 if seen else float(np.median(list(in_spells(40_000, rng, 1, seen=False).values())))
    found = (estimate(in_spells(n, rng, apart, seen=seen)) for _ in range(runs))
    return 100 * float(np.mean([one.low <= usual <= one.high for one in found]))


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
        for seen in (True, False):
            rates = (f"{apart} apart {covered_in_spells(n, apart, seen=seen):.1f} %" for apart in APART)
            print("  spells", "seen:" if seen else "unseen:", ", ".join(rates))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
