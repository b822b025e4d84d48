"""Parts that several charts are made of: axes, scales, and the whole that fills its place on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from mlpbench.bench.report.charts.style import Theme, series
from mlpbench.bench.report.charts.times import HIDDEN_KERNELS, HIDDEN_RUNS, TIME_LABEL, finished, ladder, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence


def log_axis(field: str, title: str, values: Sequence[float], label: str) -> Any:
    """Return a logarithmic axis, "x" or "y", that holds all values; ``label`` is a Vega expression."""
    low, high = axis_ends(values)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(values=ladder(low, high), labelExpr=label, labelOverlap=True, grid=field == "y", labelFlush=True)
    return (alt.X if field == "x" else alt.Y)(f"{field}:Q", title=title, scale=scale, axis=axis)


def axis_ends(values: Sequence[float]) -> tuple[float, float]:
    """Return where a logarithmic axis of such values begins and ends."""
    return min(values) / 1.3, max(values) * 1.5


def colours(names: Sequence[str], theme: Theme) -> alt.Scale:
    """Return the scale that gives each kernel its colour; ``names`` are all kernels of the page."""
    styles = series(names, theme)
    return scaled(styles, [style.colour for style in styles])


def shapes(names: Sequence[str], theme: Theme) -> alt.Scale:
    """Return the scale that gives each kernel its shape; ``names`` are all kernels of the page."""
    styles = series(names, theme)
    return scaled(styles, [style.shape for style in styles])


def drawn(layers: list[Any], rows: list[dict[str, Any]], theme: Theme, description: str, height: int) -> dict[str, Any]:
    """Return the layers as one chart that fills its place, and follows the page's legend."""
    shown = f"!datum.kernel || (indexof({HIDDEN_KERNELS}, datum.kernel) < 0 && indexof({HIDDEN_RUNS}, datum.run) < 0)"
    chart = alt.layer(*layers, data=alt.InlineData(rows)).transform_filter(shown)
    chart = chart.add_params(alt.param(HIDDEN_KERNELS, value=[]), alt.param(HIDDEN_RUNS, value=[]))
    chart = chart.properties(width="container", height=height, background="transparent", description=description)
    return finished(chart, theme)


def seconds_axis(title: str, most: float) -> alt.X:
    """Return a linear axis of seconds from 0 to ``most``."""
    scale = alt.Scale(domain=[0, most], nice=False)
    label = f"datum.value == 0 ? '0' : {TIME_LABEL}"
    axis = alt.Axis(labelExpr=label, tickCount=5, labelOverlap=True, labelSeparation=8)
    return alt.X("x:Q", title=title, scale=scale, axis=axis)
