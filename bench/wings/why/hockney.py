"""Hockney's two numbers: the time of a call as a straight line over the batch size. Knows no kernels and no files.

    t(B) = t0 + B / r_inf

``r_inf``: the rate, in samples per second, that large batches come near. ``t0``: what a call costs whatever its batch.
``n_half = t0 * r_inf``: the batch size at which half of that rate is reached. R. W. Hockney and C. R. Jesshope,
*Parallel Computers 2* (1988), section 1.3; the vector length there is the batch size here.

The fit takes **relative** errors, so that a batch of 1 counts as much as one of 10,000, and a robust loss (soft L1), so
that one disturbed point does not bend the line. Each repeat is fitted by itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.groups import grouped
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Estimate

#: Seconds per call by batch size, of one repeat.
Points = dict[int, float]


@dataclass(frozen=True)
class Line:
    """t(B) = ``t0_s`` + B * ``row_s``, in seconds, fitted between the batch sizes ``first`` and ``last``."""

    t0_s: float
    row_s: float
    first: int
    last: int

    @property
    def r_inf(self) -> float:
        """Samples per second."""
        return 1 / self.row_s

    def call_s(self, batch_size: float) -> float:
        """Return the seconds of a call on ``batch_size`` rows."""
        return self.t0_s + batch_size * self.row_s


@dataclass(frozen=True)
class Fit:
    """The fit of one kernel. ``t0`` in seconds, ``r_inf`` in samples per second, ``n_half`` in rows, with intervals.

    ``t0`` and ``n_half`` are None where the call cost is too small to be told from none. ``line`` is the fit of the
    medians over repeats, ``misfit`` fitted / measured - 1 at each batch size.
    """

    r_inf: Estimate
    t0: Estimate | None
    n_half: Estimate | None
    line: Line
    misfit: dict[int, float]

    @property
    def worst(self) -> float:
        """The largest relative error of the line, without its sign."""
        return max(map(abs, self.misfit.values()))

    @property
    def straight(self) -> bool:
        """Whether one line describes the curve: all points lie within a tenth of it."""
        return self.worst <= 0.1


def fit(by_repeat: Mapping[int, Points]) -> Fit | None:
    """Return the fit of seconds per call, by repeat and batch size; None with fewer than three sizes in a repeat.

    Repeats without three batch sizes are left out. Raises ValueError for times or sizes that are not above 0.
    """
    # A line has two numbers: two points are no test of it.
    usable = [points for points in by_repeat.values() if len(points) > 2]
    if not usable:
        return None
    lines = list(map(line, usable))
    medians = _medians(usable)
    whole = line(medians)
    # Below a thousandth of the shortest call, what a call costs cannot be told from nothing.
    has_cost = all(own.t0_s > 1e-3 * min(points.values()) for own, points in zip(lines, usable, strict=True))
    return Fit(
        r_inf=estimates.estimate(own.r_inf for own in lines),
        t0=estimates.estimate(own.t0_s for own in lines) if has_cost else None,
        n_half=estimates.estimate(own.t0_s * own.r_inf for own in lines) if has_cost else None,
        line=whole,
        misfit={size: whole.call_s(size) / seconds - 1 for size, seconds in medians.items()},
    )


def line(points: Points) -> Line:
    """Return the robust line through seconds per call by batch size, at least two. Raises ValueError for others.

    By reweighted least squares: P. W. Holland and R. E. Welsch, "Robust regression using iteratively reweighted
    least-squares", Communications in Statistics A6 (1977).
    """
    sizes, seconds = _arrays(points)
    # Unknowns of the order of 1: the shortest call, and the time per row of the largest batch.
    unit = np.array([seconds[0], seconds[-1] / sizes[-1]])
    relative = np.column_stack([np.ones_like(sizes), sizes]) * unit / seconds[:, None]
    weights, found = np.ones_like(sizes), np.full(2, np.inf)
    for _ in range(2000):
        before, found = found, _least_squares(relative, weights)
        if np.abs(found - before).max() <= 1e-12:
            break
        weights = 1 / np.sqrt(1 + ((relative @ found - 1) / 0.05) ** 2)  # errors from 5 % on are forgiven
    t0_s, row_s = found * unit
    return Line(float(t0_s), float(max(row_s, 1e-9 * unit[1])), int(sizes[0]), int(sizes[-1]))


def _least_squares(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return both unknowns, at least 0, for which the weighted ``rows`` times them come nearest to 1."""
    root = np.sqrt(weights)
    weighted = rows * root[:, None]
    free = np.asarray(np.linalg.lstsq(weighted, root, rcond=None)[0], np.float64)
    if free.min() >= 0:
        return free
    # The sum of squares is convex, so its least is where one of the two is 0.
    alone = (weighted.T @ root) / (weighted**2).sum(axis=0)
    return min(np.diag(alone), key=lambda edge: float(np.sum((weighted @ edge - root) ** 2)))


def _arrays(points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sizes = np.array(sorted(points), dtype=np.float64)
    seconds = np.array([points[int(size)] for size in sizes], dtype=np.float64)
    if len(sizes) < 2:
        raise ValueError("a line needs at least two batch sizes")
    if not (np.isfinite(seconds).all() and (seconds > 0).all() and (sizes > 0).all()):
        raise ValueError(f"needs times and batch sizes above 0, got {points}")
    return sizes, seconds


def _medians(repeats: Iterable[Points]) -> Points:
    values = grouped((size, seconds) for points in repeats for size, seconds in points.items())
    return {size: estimates.estimate(values[size]).value for size in sorted(values)}
