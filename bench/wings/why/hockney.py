"""Hockney's two numbers: the time of a call as a straight line over the batch size. Knows no kernels and no files.

    t(B) = t0 + B / r_inf

``r_inf``: the rate, in samples per second, that large batches come near. ``t0``: what a call costs whatever its batch.
``n_half = t0 * r_inf``: the batch size at which half of that rate is reached. R. W. Hockney and C. R. Jesshope,
*Parallel Computers 2* (1988), section 1.3; the vector length there is the batch size here.

The fit takes relative errors, so that every batch counts alike, and a robust loss, so that one disturbed point does not
bend the line. Each repeat is fitted by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

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
    """The fit of one kernel; ``t0`` and ``n_half`` are None where the call cost is too small to be told from none.

    ``line`` fits the medians over repeats; ``misfit`` is fitted / measured - 1 by batch size.
    """

    r_inf: Estimate
    t0: Estimate | None
    n_half: Estimate | None
    line: Line
    misfit: dict[int, float]

    @property
    def worst(self) -> float:
        """The largest relative error of the line, without its sign; up to a tenth one line describes the curve."""
        return max(map(abs, self.misfit.values()))


def fit(by_repeat: Mapping[int, Points]) -> Fit | None:
    """Return the fit of seconds per call by repeat and batch size, of repeats with three sizes; None without any."""
    usable = [points for points in by_repeat.values() if len(points) > 2]
    if not usable:
        return None
    lines = list(map(line, usable))
    by_size = grouped((size, seconds) for points in usable for size, seconds in points.items())
    medians = {size: estimates.estimate(by_size[size]).value for size in sorted(by_size)}
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
    """Return the robust line through seconds per call by batch size, of two sizes at least.

    By reweighted least squares: P. W. Holland and R. E. Welsch, "Robust regression using iteratively reweighted
    least-squares", Communications in Statistics A6 (1977).
    """
    from scipy.optimize import nnls

    sizes, seconds = np.array(sorted(points.items()), np.float64).T
    # Unknowns of the order of 1: the shortest call, and the time per row of the largest batch.
    unit = np.array([seconds[0], seconds[-1] / sizes[-1]])
    relative = np.column_stack([np.ones_like(sizes), sizes]) * unit / seconds[:, None]
    weights, both = np.ones_like(sizes), np.full(2, np.inf)
    for _ in range(2000):
        root = np.sqrt(weights)
        before, both = both, nnls(relative * root[:, None], root)[0]
        if np.abs(both - before).max() <= 1e-12:
            break
        weights = 1 / np.sqrt(1 + ((relative @ both - 1) / 0.05) ** 2)  # errors from 5 % on are forgiven
    t0_s, row_s = both * unit
    return Line(float(t0_s), float(max(row_s, 1e-9 * unit[1])), int(sizes[0]), int(sizes[-1]))
