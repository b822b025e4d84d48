"""The table of docs/history.md: how often a change is found between runs, and how often one is called by mistake.

The level of a run wanders around its mean; the repeats of a run add 1 %. A series changes by a known step in its
middle, or not at all.

Run it with `python scripts/history_table.py`; it takes half a minute.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from mlpbench.bench.wings.history import change_points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SERIES = 500
#: Standard error of a run's level from its repeats.
OWN = 0.01
WANDERS, RUNS, STEPS, ALIKE = (0.004, 0.027), (6, 10, 20, 40, 100), (0.0, 0.05, 0.10), (0.0, 0.5)


def levels(runs: int, step: float, wander: float, alike: float = 0.0, series: int = SERIES) -> Iterator[list[float]]:
    """Yield series of the logarithms of levels, with a step in the middle.

    ``alike``: the correlation of the wander of a run with that of the run before it.
    """
    rng = np.random.default_rng([runs, round(1000 * step), round(1000 * wander), round(10 * alike)])
    jump = np.where(np.arange(runs) < runs // 2, 0.0, math.log1p(step))
    for _ in range(series):
        yield (jump + rng.normal(0, OWN, runs) + _wander(rng, runs, wander, alike)).tolist()


def _wander(rng: np.random.Generator, runs: int, sd: float, alike: float) -> NDArray[np.float64]:
    found = [rng.normal(0, sd)]
    for step in rng.normal(0, sd * math.sqrt(1 - alike**2), runs - 1):
        found.append(alike * found[-1] + step)
    return np.array(found)


def changed(runs: int, step: float, wander: float, alike: float = 0.0, series: int = SERIES) -> int:
    """Return in how many of so many series a change is found."""
    scatter = math.hypot(OWN, wander)
    return sum(bool(change_points.find(values, scatter)) for values in levels(runs, step, wander, alike, series))


def main() -> None:
    """Print the table."""
    print("| runs | wander | runs are alike | no step: changed | 5 %: found | 10 %: found |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for alike, runs, wander in product(ALIKE, RUNS, WANDERS):
        shares = (f"{100 * changed(runs, step, wander, alike) / SERIES:.1f} %" for step in STEPS)
        print(f"| {runs} | {100 * wander:.1f} % | {alike} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
