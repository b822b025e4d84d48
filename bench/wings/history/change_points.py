"""Where a series of levels changes for good, and by how much. Knows no runs and no files.

The change points are those of the piecewise constant mean with the least penalised sum of squares (R. Killick,
P. Fearnhead and I. A. Eckley, "Optimal detection of changepoints with a linear computational cost", JASA 2012). What a
change costs is counted in variances of a level, which is known: its repeats, and the usual wander of
whole runs. docs/history.md says what that finds, and what it calls by mistake.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mlpbench.bench.stats.estimates import Ratio

#: Fewest levels before, between and after changes: fewer are a day's trouble.
LEAST = 3


def find(logarithms: Sequence[float], scatter: float) -> dict[int, Ratio]:
    """Return the changes of a series, in its order: the first level behind one -> levels behind it / levels before.

    ``logarithms`` of the levels; ``scatter``: the standard deviation that one of them should have around its level.
    """
    values, count = np.asarray(logarithms, dtype=np.float64), len(logarithms)
    if count < 2 * LEAST:
        return {}
    scatter = _believed(values, scatter)
    values = _without_days_of_trouble(values, scatter)
    # With it a series without a change is called changed in at most 1 % of cases, from 6 levels to 100.
    cost = (3 * math.log(count) + 2) * scatter**2
    return _sure(values, _ends(values, cost), scatter)


def _ends(values: NDArray[np.float64], cost: float) -> list[int]:
    """Return where the parts of the series end: the least sum of squares around their means, ``cost`` for each part.

    By optimal partitioning: B. Jackson et al., "An algorithm for optimal partitioning of data on an interval", IEEE
    Signal Processing Letters 12 (2005).
    """
    # Squares of a constant far from 0 would drown the rest in rounding.
    centred = values - values.mean()
    sums, squares = (np.concatenate([[0.0], np.cumsum(powers)]) for powers in (centred, centred**2))
    least, starts = np.full(len(values) + 1, np.inf), [0] * (len(values) + 1)
    least[0] = 0.0
    for end in range(LEAST, len(values) + 1):
        begins = np.arange(end - LEAST + 1)
        within = squares[end] - squares[begins] - (sums[end] - sums[begins]) ** 2 / (end - begins)
        totals = least[begins] + within + cost
        starts[end] = int(np.argmin(totals))
        least[end] = totals[starts[end]]
    ends = [len(values)]
    while starts[ends[0]]:
        ends.insert(0, starts[ends[0]])
    return ends


def _without_days_of_trouble(values: NDArray[np.float64], scatter: float) -> NDArray[np.float64]:
    """Return the values, each cut to 2.5 standard deviations from the five around it: so few make no change."""
    firsts = np.clip(np.arange(len(values)) - LEAST + 1, 0, len(values) - 2 * LEAST + 1)
    middle = np.median(values[firsts[:, None] + np.arange(2 * LEAST - 1)], axis=1)
    return np.clip(values, middle - 2.5 * scatter, middle + 2.5 * scatter)


def _sure(values: NDArray[np.float64], ends: list[int], scatter: float) -> dict[int, Ratio]:
    """Return the changes between parts that end so; two parts that are not surely different are one."""
    while True:
        parts = [values[start:end] for start, end in pairwise([0, *ends])]
        neighbours = zip(ends[:-1], pairwise(parts), strict=True)
        changes = {at: _ratio(before, after, scatter) for at, (before, after) in neighbours}
        unsure = {at: abs(math.log(ratio.value)) for at, ratio in changes.items() if ratio.low <= 1 <= ratio.high}
        if not unsure:
            return changes
        ends.remove(min(unsure, key=unsure.__getitem__))


def _believed(values: NDArray[np.float64], scatter: float) -> float:
    """Return the standard deviation of a level: the one that is known, unless neighbours differ by twice as much.

    1.4826: of a normal distribution, the standard deviation / the median absolute deviation.
    """
    seen = 1.4826 * float(np.median(np.abs(np.diff(values)))) / math.sqrt(2)
    return seen if seen > 2 * scatter else scatter


def _ratio(before: NDArray[np.float64], after: NDArray[np.float64], scatter: float) -> Ratio:
    """Return the ratio of two levels with its 95 % interval: Student's, of a scatter of at least what is known."""
    degrees = len(before) + len(after) - 2
    within = float(np.sum((before - before.mean()) ** 2) + np.sum((after - after.mean()) ** 2)) / degrees
    half = math.sqrt(max(within, scatter**2) * (1 / len(before) + 1 / len(after)))
    half *= float(special.stdtrit(degrees, 0.975))
    middle = float(after.mean() - before.mean())
    value, low, high = (math.exp(middle + side * half) for side in (0, -1, 1))
    return Ratio(value, low, high, min(len(before), len(after)))
