"""What several charts are made of: axes, styles of kernels, lines with whiskers, and the whole that fills its place."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

from mlpbench.bench import words
from mlpbench.bench.report.charts.style import PAGE, Theme, series
from mlpbench.bench.stats.estimates import Estimate, Ratio

#: The data set of every chart.
ROWS = "rows"
#: A row is shown but where the reader has switched its kernel off in the legend; the page sets the list.
_SHOWN = "!datum.kernel || indexof(hidden_kernels, datum.kernel) < 0"
#: The page sets this list, too: kernels whose times are unchecked carry the mark that they have in tables.
UNCHECKED = "unchecked_kernels"
#: The field of a row that has its kernel's name with the mark.
_NAME = "named"
#: In this context Altair does not hold each piece of a chart to its schema, which takes long: tests hold charts to it.
unvalidated = partial(debug_mode, False)


def marked(name: str) -> str:
    """Return the Vega expression of a kernel's name, which another expression gives, with its mark."""
    return f"{name} + (indexof({UNCHECKED}, {name}) < 0 ? '' : '{words.MARK}')"


#: Where single calls stand on the logarithmic axis of batch sizes: apart, left of 1.
SINGLE_X = 0.3
_UNITS = (("1e-6", "1e9", "ns"), ("1e-3", "1e6", "µs"), ("1", "1e3", "ms"))
_IN_UNITS = (
    f"datum.value < {below} ? format(datum.value * {scale}, '~g') + ' {unit}'" for below, scale, unit in _UNITS
)
TIME_LABEL = f"{' : '.join(_IN_UNITS)} : format(datum.value, '~g') + ' s'"
RATIO_LABEL = "format(datum.value, '~g') + 'x'"
COUNT_LABEL = "format(datum.value, ',')"
#: The ticks of a logarithmic axis within a decade, and how many there are to be at the least.
_STEPS, _TICKS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)), 4
#: How far apart, as a factor, kernels stand at the same batch size, and all of them together at the most.
_DODGE, _SPREAD = 1.045, 1.4
#: Pixels: the height of a chart of ratios.
_PANEL = 270
#: An axis of shares ends here, whatever disturbed runs say.
_LEAST_SHARE, _MOST_SHARE = -1.0, 2.0


@dataclass(frozen=True)
class Panel:
    """One of several charts of a figure that stand beside each other, on the same axes."""

    title: str
    chart: dict[str, Any]


# -- axes


def log_axis(
    field: str, title: str, values: Sequence[float], label: str, margins: tuple[float, float] = (1.3, 1.5)
) -> Any:
    """Return a logarithmic axis, "x" or one of values upwards, that holds all values; ``label``: a Vega expression."""
    low, high = axis_ends(values, margins)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    across = field == "x"
    axis = alt.Axis(values=_ladder(low, high), labelExpr=label, labelOverlap=True, grid=not across, labelFlush=across)
    return (alt.X if across else alt.Y)(f"{field}:Q", title=title, scale=scale, axis=axis)


def axis_ends(values: Sequence[float], margins: tuple[float, float] = (1.3, 1.5)) -> tuple[float, float]:
    """Return where a logarithmic axis of such values begins and ends."""
    return min(values) / margins[0], max(values) * margins[1]


def _ladder(low: float, high: float) -> list[float]:
    """Return ticks between two ends: powers of ten, or where those are too few 1, 2, 5, 10 ..., or more."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    # Through text, because 5 * 10.0**-6 is 4.9999999999999996e-06 and labels would say so.
    ladders = ([float(f"{step}e{decade}") for decade in decades for step in steps] for steps in _STEPS)
    seen = [[tick for tick in ladder if low <= tick <= high] for ladder in ladders]
    return next((ticks for ticks in seen if len(ticks) >= _TICKS), seen[-1])


def seconds_axis(title: str, most: float) -> alt.X:
    """Return a linear axis of seconds from 0 to ``most``."""
    scale = alt.Scale(domain=[0, most], nice=False)
    label = f"datum.value == 0 ? '0' : {TIME_LABEL}"
    axis = alt.Axis(labelExpr=label, tickCount=5, labelOverlap=True, labelSeparation=8)
    return alt.X("x:Q", title=title, scale=scale, axis=axis)


def share_axis(title: str, domain: Sequence[float]) -> alt.X:
    """Return a linear axis of shares in per cent."""
    scale, axis = alt.Scale(domain=list(domain), nice=False), alt.Axis(format="~%", tickCount=5)
    return alt.X("x:Q", title=title, scale=scale, axis=axis)


def share_domain(bars: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the ends of an axis of shares: what the bars reach, 0 and 1, and nothing far beyond them."""
    low = max(min(bar["x"] for bar in bars), _LEAST_SHARE)
    high = min(max(bar["x2"] for bar in bars), _MOST_SHARE)
    return [min(0.0, low) * 1.05, max(1.0, high) * 1.02]


def seen(bar: Mapping[str, Any], low: float, high: float) -> tuple[float, float]:
    """Return the ends of what an axis from ``low`` to ``high`` shows of a bar."""
    return min(max(bar["x"], low), high), min(max(bar["x2"], low), high)


def row_axis(extent: int) -> alt.Axis:
    """Return the axis of rows whose keys are ``unique|label|head``, the last for headings; ``extent`` in pixels."""
    bold: Any = {"condition": {"test": "split(datum.label, '|')[2] === 'head'", "value": "bold"}, "value": "normal"}
    label = marked("split(datum.label, '|')[1]")
    return name_axis(minExtent=extent, labelLimit=extent + 15, labelExpr=label, labelFontWeight=bold)


def name_axis(**settings: Any) -> alt.Axis:
    """Return an axis of names: without title, ticks and line."""
    return alt.Axis(title=None, ticks=False, domain=False, **settings)


# -- marks


def value_ends(found: Estimate | Ratio) -> dict[str, float | None]:
    """Return a value and the ends of its interval, None where it has none."""
    low, high = (end if math.isfinite(end) else None for end in (found.low, found.high))
    return {"value": found.value, "low": low, "high": high}


def colour(names: Sequence[str], theme: Theme = PAGE) -> alt.Color:
    """Return the colours of kernels; ``names`` are all kernels of the page, whose styles go by them."""
    scale = alt.Scale(domain=list(names), range=[style.colour for style in series(names, theme)])
    return alt.Color("kernel:N", scale=scale, title=None)


def shape(names: Sequence[str], theme: Theme = PAGE) -> alt.Shape:
    """Return the shapes of kernels' symbols; ``names`` as of `colour`."""
    scale = alt.Scale(domain=list(names), range=[style.shape for style in series(names, theme)])
    return alt.Shape("kernel:N", scale=scale, title=None)


def telling(told: Mapping[str, str]) -> dict[str, Any]:
    """Return the channels that tell a mark's row to who points at it, and to a screen reader: titles by field.

    The kernel's name carries its mark.
    """
    told = {_NAME if field == "kernel" else field: title for field, title in told.items()}
    said = " + ', ' + ".join(f"'{title}: ' + datum['{field}']" for field, title in told.items())
    tips = [alt.Tooltip(f"{field}:N", title=title) for field, title in told.items()]
    return {"tooltip": tips, "description": alt.DescriptionValue(alt.expr(said))}


def styled(base: alt.Chart, names: Sequence[str], told: Mapping[str, str]) -> Any:
    """Return the chart with each row in its kernel's colour and shape, telling ``told`` when it is pointed at."""
    return base.encode(colour(names), shape(names), **telling(told))


def symbols(base: alt.Chart, size: int = 150, theme: Theme = PAGE) -> Any:
    """Return filled symbols with a line of the page's colour around them."""
    return base.mark_point(filled=True, opacity=1, size=size, stroke=theme.surface, strokeWidth=1)


def interval_lines(kernels: alt.Chart, points: alt.Chart, theme: Theme = PAGE) -> list[alt.Chart]:
    """Return whiskers over the intervals, a line, and symbols on it; ``points`` are ``kernels`` and more."""
    ends = kernels.transform_filter("datum.low != null").encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    whiskers = ends.mark_rule(strokeWidth=1.5, clip=True, opacity=0.75, tooltip=None, aria=False)
    return [whiskers, kernels.mark_line(strokeWidth=2, clip=True), symbols(points, 110, theme)]


def dodged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with a place ``px`` on the axis of batch sizes beside ``x``: whiskers would cover each other."""
    names = list(dict.fromkeys(row["kernel"] for row in rows))
    step = min(_DODGE, _SPREAD ** (1 / len(names))) if names else 1.0
    factors = {name: step ** (place - (len(names) - 1) / 2) for place, name in enumerate(names)}
    return [row | {"px": float(f"{row['x'] * factors[row['kernel']]:.6g}")} for row in rows]


def batch_axis(rows: Sequence[Mapping[str, Any]], *, singles: bool) -> alt.X:
    """Return the logarithmic axis of batch sizes for rows that `dodged` places.

    ``singles``: with a place left of it for calls with one sample at a time.
    """
    sizes = sorted({row["x"] for row in rows if row["x"] != SINGLE_X})
    ticks = [size for size in sizes if math.log10(size).is_integer()] or sizes
    low, high = (sizes[0], sizes[-1]) if sizes else (1, 10)
    label = f"datum.value < 1 ? ['one at', 'a time'] : {COUNT_LABEL}"
    scale = alt.Scale(type="log", domain=[(SINGLE_X if singles else low) / 1.35, high * 1.35], nice=False)
    values = [SINGLE_X, *ticks] if singles else ticks
    axis = alt.Axis(values=values, labelExpr=label, labelOverlap=False, grid=False, labelFlush=False)
    return alt.X("px:Q", title="batch size (rows per call)", scale=scale, axis=axis)


def value_axis(rows: Sequence[Mapping[str, Any]], title: str, label: str) -> alt.Y:
    """Return a logarithmic axis of the rows' values, and of their intervals as far as those do not flatten the rest."""
    # The interval of two wildly different repeats spans decades: it is cut off.
    values = [row["value"] for row in rows] or [1.0, 10.0]
    ends = [row[end] for row in rows for end in ("low", "high") if row.get(end) is not None]
    held = [min(max(end, min(values) / 2), 2 * max(values)) for end in ends]
    axis: alt.Y = log_axis("value", title, [*values, *held], label, margins=(1.15, 1.15))
    return axis


def rule_at_one(theme: Theme = PAGE) -> Any:
    """Return the dashed line at which a ratio is 1."""
    rule = alt.Chart(alt.InlineData([{"value": 1}])).mark_rule(strokeDash=[4, 4], strokeWidth=1.5, color=theme.muted)
    return rule.encode(alt.Y("value:Q"))


def stacked(base: alt.Chart, names: Sequence[str], colours: Sequence[str], columns: Any, **marks: Any) -> Any:
    """Return bars from ``x`` to ``x2`` in the colours of their parts, named in a legend of ``columns`` above them."""
    text: Any = {"labelColor": PAGE.ink, "labelFontSize": 12}
    legend = alt.Legend(title=None, orient="top", columns=columns, columnPadding=24, **text)
    scale = alt.Scale(domain=list(names), range=list(colours))
    parts = base.encode(alt.X2("x2:Q"), alt.Color("part:N", sort=list(names), scale=scale, legend=legend))
    return parts.mark_bar(stroke=PAGE.surface, **marks)


# -- the whole


def ratio_panels(
    panels: Mapping[str, list[dict[str, Any]]],
    title: str,
    around: Sequence[float],
    told: Mapping[str, str],
    names: Sequence[str],
    what: str,
) -> list[Panel]:
    """Return ratios against batch size, a panel for each title and its rows, all with the same axes.

    ``title`` and values ``around`` 1 are those of the axis upwards; the line at 1 is dashed.
    """
    every = [row for rows in panels.values() for row in rows]
    y = value_axis([*every, *({"value": value} for value in around)], title, RATIO_LABEL)
    lines = alt.Chart().encode(batch_axis(every, singles=False), y, colour(names))
    points = lines.encode(shape(names), **telling(told))
    layers = [rule_at_one(), *interval_lines(lines, points)]
    return beside(layers, {title: dodged(rows) for title, rows in panels.items()}, what, _PANEL)


def mark(chart: dict[str, Any], unchecked: Sequence[str], *, in_legend: bool = False) -> None:
    """Mark the unchecked among the kernels of a chart that `drawn` made, and ``in_legend`` of its own legend."""
    chart["params"] = [
        param | {"value": list(unchecked)} if param["name"] == UNCHECKED else param for param in chart["params"]
    ]
    for layer in chart["layer"] if in_legend else ():
        for channel in ("color", "shape"):
            if "field" in layer.get("encoding", {}).get(channel, {}):
                layer["encoding"][channel]["legend"] = {"labelExpr": marked("datum.label")}


def drawn(layers: list[Any], rows: list[dict[str, Any]], what: str, height: int, theme: Theme = PAGE) -> dict[str, Any]:
    """Return the layers as one chart that fills its place, and follows the page's legend."""
    (panel,) = beside(layers, {"": rows}, what, height, theme)
    return panel.chart


def beside(
    layers: Sequence[Any], rows: Mapping[str, list[dict[str, Any]]], what: str, height: int, theme: Theme = PAGE
) -> list[Panel]:
    """Return the layers as charts that stand beside each other, one for each title and its rows: they share layers."""
    inline: dict[str, Any] = {}  # the rows that layers bring along
    context = {"datasets": inline, "top_level": False, "data": alt.NamedData(name=ROWS)}
    specified = [layer.to_dict(validate=False, context=context) for layer in layers]
    frame = _frame(theme) | {"layer": specified, "height": height, "description": what}
    return [Panel(title, {**frame, "datasets": {**inline, ROWS: own}}) for title, own in rows.items()]


@cache
def _frame(theme: Theme) -> dict[str, Any]:
    """Return a chart without layers."""
    chart = alt.layer(alt.Chart().mark_point(), data=alt.NamedData(name=ROWS)).transform_filter(_SHOWN)
    chart = chart.transform_calculate(as_=_NAME, calculate=marked("datum.kernel"))
    chart = chart.add_params(alt.param("hidden_kernels", value=[]), alt.param(UNCHECKED, value=[]))
    chart = chart.properties(width="container", height=0, background="transparent", description="")
    muted: Any = dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor"), theme.muted)
    title: Any = {"titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 10}
    axis = alt.AxisConfig(gridColor=theme.grid, labelFontSize=12, **muted, **title)
    # The page has a legend of its own, one for all charts, that a keyboard can reach.
    chart = chart.configure(axis=axis, legend=alt.LegendConfig(disable=True), view=alt.ViewConfig(stroke=None))
    specification: dict[str, Any] = chart.to_dict(validate=False)
    specification.pop("$schema", None)  # nothing must look online
    return specification
