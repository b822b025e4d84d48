"""Hockney's two numbers: the time of a call as a straight line over the batch size. Knows no kernels and no files.

    t(B) = t0 + B / r_inf

``r_inf``: the rate, in samples per second, that large batches come near. ``t0``: what a call costs whatever its batch.
``n_half = t0 * r_inf``: the batch size at which half of that rate is reached. R. W. Hockney and C. R. Jesshope,
*Parallel Computers 2* (1988), section 1.3; the vector length there is the batch size here.

The fit takes **relative** errors, so that a batch of 1 counts as much as one of 10,000, and a robust loss (soft L1), so
that one disturbed point does not bend the line. Each repeat is fitted by itself.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.groups import grouped
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Estimate

#: Seconds per call by batch size, of one repeat.
Points = dict[int, float]

#: A curve whose points all lie within this share of a line is a line.
STRAIGHT_WITHIN = 0.10
#: Relative error from which on the robust loss begins to forgive.
_FORGIVES = 0.05
#: Steps of the fit that change nothing any more, as a share.
_EXACT = 1e-13
#: A call cost below this share of the shortest call cannot be told from none.
_SMALLEST_SHARE = 1e-3
#: A line has two numbers: two points are no test of it.
FEWEST = 3


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

    def misfit(self, points: Points) -> dict[int, float]:
        """Return fitted / measured - 1 for each batch size."""
        return {size: self.call_s(size) / seconds - 1 for size, seconds in points.items()}


@dataclass(frozen=True)
class Fit:
    """The fit of one kernel. ``t0`` in seconds, ``r_inf`` in samples per second, ``n_half`` in rows, with intervals.

    ``t0`` and ``n_half`` are None where the call cost is too small to be told from none. ``line`` is the fit of the
    medians over repeats, ``misfit`` its relative error at each batch size. ``lines`` are the fits of the repeats.
    """

    r_inf: Estimate
    t0: Estimate | None
    n_half: Estimate | None
    line: Line
    misfit: dict[int, float]
    lines: dict[int, Line]

    @property
    def worst(self) -> float:
        """The largest relative error of the line, without its sign."""
        return max(map(abs, self.misfit.values()))

    @property
    def straight(self) -> bool:
        """Whether one line describes the curve."""
        return self.worst <= STRAIGHT_WITHIN


def fit(by_repeat: Mapping[int, Points]) -> Fit | None:
    """Return the fit of seconds per call, by repeat and batch size; None with fewer than three sizes in a repeat.

    Repeats without three batch sizes are left out. Raises ValueError for times or sizes that are not above 0.
    """
    usable = {repeat: points for repeat, points in by_repeat.items() if len(points) >= FEWEST}
    if not usable:
        return None
    lines = {repeat: line(points) for repeat, points in usable.items()}
    medians = _medians(usable.values())
    whole = line(medians)
    told = all(found.t0_s > _SMALLEST_SHARE * min(usable[repeat].values()) for repeat, found in lines.items())
    return Fit(
        r_inf=estimates.estimate(found.r_inf for found in lines.values()),
        t0=estimates.estimate(found.t0_s for found in lines.values()) if told else None,
        n_half=estimates.estimate(found.t0_s * found.r_inf for found in lines.values()) if told else None,
        line=whole,
        misfit=whole.misfit(medians),
        lines=lines,
    )


def line(points: Points) -> Line:
    """Return the robust line through seconds per call by batch size, at least two. Raises ValueError for others."""
    sizes, seconds = _arrays(points)
    # Unknowns of the order of 1: the shortest call, and the time per row of the largest batch.
    call, row = float(seconds[0]), float(seconds[-1] / sizes[-1])
    design = list(zip((call / seconds).tolist(), (row * sizes / seconds).tolist(), strict=True))
    t0, slope = _least(design)
    return Line(t0 * call, max(slope, 1e-9) * row, int(sizes[0]), int(sizes[-1]))


def _least(design: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return where a u + b v is nearest to 1 for all rows (u, v) by the robust loss, with a >= 0 and b >= 0.

    The loss is convex: where the free minimum is outside, that of the bounded problem is on one of the two bounds.
    """
    free = _descend(design, (0.5, 0.5), (True, True))
    if min(free) >= 0:
        return free
    flat, steep = _descend(design, (0.5, 0.0), (True, False)), _descend(design, (0.0, 0.5), (False, True))
    edges = (max(flat[0], 0.0), 0.0), (0.0, max(steep[1], 0.0))
    return min(edges, key=lambda edge: _loss(design, *edge))


def _loss(design: Sequence[tuple[float, float]], a: float, b: float) -> float:
    return sum(math.sqrt(1 + ((a * u + b * v - 1) / _FORGIVES) ** 2) - 1 for u, v in design)


def _descend(
    design: Sequence[tuple[float, float]], start: tuple[float, float], free: tuple[bool, bool]
) -> tuple[float, float]:
    """Return the minimum of the loss over the unknowns that are free, by Newton's method with steps that are halved."""
    (a, b), loss = start, _loss(design, *start)
    for _ in range(100):
        ga = gb = haa = hab = hbb = 0.0
        for u, v in design:
            error = a * u + b * v - 1
            spread = 1 + (error / _FORGIVES) ** 2
            weight = 1 / math.sqrt(spread)
            bend = weight / spread
            ga, gb = ga + weight * error * u, gb + weight * error * v
            haa, hab, hbb = haa + bend * u * u, hab + bend * u * v, hbb + bend * v * v
        if free == (True, True):
            determinant = haa * hbb - hab * hab
            da, db = (hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant
        else:
            da, db = (ga / haa, 0.0) if free[0] else (0.0, gb / hbb)
        while (new := _loss(design, a - da, b - db)) > loss and abs(da) + abs(db) > _EXACT:
            da, db = da / 2, db / 2
        if new > loss or abs(da) + abs(db) <= _EXACT * (abs(a) + abs(b)):
            break
        a, b, loss = a - da, b - db, new
    return a, b


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
