"""How the rounds of each case spread, as Altair specifications: a strip for each case, a panel for each kernel."""

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Panel
from mlpbench.bench.report.charts.style import PAGE
from mlpbench.bench.trust.spread import Spread

_HEIGHT = 150
#: The axis ends here, whatever single rounds did.
_MOST = 4.0


def spread_charts(found: Sequence[Spread], names: Sequence[str]) -> list[Panel]:
    """Return the strips of each kernel: the times of rounds as multiples of the time of their case."""
    rows = {kernel: list(_rows(kernel, found)) for kernel in dict.fromkeys(one.kernel for one in found)}
    every = [row["y"] for of_kernel in rows.values() for row in of_kernel]
    domain = [min(0.9, *every), max(1.2, *every)]
    ticks = [tick for tick in (0.5, 0.7, 1, 1.5, 2, 3, 4) if domain[0] <= tick <= domain[1]]
    scale = alt.Scale(type="log", domain=domain, nice=False)
    y = alt.Y("y:Q", title=None, scale=scale, axis=alt.Axis(values=ticks, labelExpr=base.RATIO_LABEL))
    ways = {row["at"]: None for of_kernel in rows.values() for row in of_kernel}
    label = "datum.value == 'one' || indexof(datum.value, 'book') == 0 ? datum.value : format(datum.value, '~s')"
    axis = alt.Axis(labelAngle=0, labelExpr=label, grid=False, ticks=False, labelOverlap=True)
    strips = alt.Chart().encode(alt.X("at:N", sort=list(ways), title=None, axis=axis), y)
    left, used = (strips.transform_filter(f"datum.used == {kind}") for kind in (0, 1))
    marks: dict[str, Any] = {"thickness": 1.5, "tooltip": None, "aria": False}
    layers = [
        left.mark_tick(color=PAGE.muted, opacity=0.5, **marks),
        used.encode(base.colour(names)).mark_tick(opacity=0.7, **marks),
    ]
    what = "Times of rounds as multiples of the time of their case."
    return base.beside(layers, rows, what, _HEIGHT)


def _rows(kernel: str, found: Sequence[Spread]) -> Iterator[dict[str, Any]]:
    for one in (one for one in found if one.kernel == kernel):
        at = {"per_sample": "one", "book": f"book {one.batch_size}"}.get(one.mode, str(one.batch_size))
        for kind, values in enumerate((one.left, one.used)):
            for value in values:
                yield {"kernel": kernel, "at": at, "y": float(f"{min(value, _MOST):.4g}"), "used": kind}
