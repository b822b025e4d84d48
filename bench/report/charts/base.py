"""What several charts are made of: axes, styles of kernels, lines with bands, and the whole that fills its place."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from mlpbench.bench.report.charts.style import Theme, series
from mlpbench.bench.stats.estimates import Estimate, Ratio

#: The data set of every chart.
ROWS = "rows"
#: A row is shown but where the reader has switched its kernel or its run off in the legend; the page sets both lists.
_SHOWN = "!datum.kernel || (indexof(hidden_kernels, datum.kernel) < 0 && indexof(hidden_runs, datum.run) < 0)"
_UNITS = (("1e-6", "1e9", "ns"), ("1e-3", "1e6", "µs"), ("1", "1e3", "ms"))
_IN_UNITS = (
    f"datum.value < {below} ? format(datum.value * {scale}, '~g') + ' {unit}'" for below, scale, unit in _UNITS
)
TIME_LABEL = f"{' : '.join(_IN_UNITS)} : format(datum.value, '~g') + ' s'"
RATIO_LABEL = "format(datum.value, '~g') + 'x'"
COUNT_LABEL = "format(datum.value, ',')"
#: An axis of shares ends here, whatever disturbed runs say.
_LEAST_SHARE, _MOST_SHARE = -1.0, 2.0


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
    """Return ticks 1, 2, 5, 10 ... between two ends, powers of ten alone where there would be too many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 5 else (1,)
    # Through text, because 5 * 10.0**-6 is 4.9999999999999996e-06 and labels would say so.
    ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


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
    label = "split(datum.label, '|')[1]"
    return name_axis(minExtent=extent, labelLimit=extent + 15, labelExpr=label, labelFontWeight=bold)


def name_axis(**settings: Any) -> alt.Axis:
    """Return an axis of names: without title, ticks and line."""
    return alt.Axis(title=None, ticks=False, domain=False, **settings)


# -- marks


def value_ends(found: Estimate | Ratio) -> dict[str, float | None]:
    """Return a value and the ends of its interval, None where it has none."""
    low, high = (end if math.isfinite(end) else None for end in (found.low, found.high))
    return {"value": found.value, "low": low, "high": high}


def colour(names: Sequence[str], theme: Theme) -> alt.Color:
    """Return the colours of kernels; ``names`` are all kernels of the page, whose styles go by them."""
    scale = alt.Scale(domain=list(names), range=[style.colour for style in series(names, theme)])
    return alt.Color("kernel:N", scale=scale, title=None)


def shape(names: Sequence[str], theme: Theme) -> alt.Shape:
    """Return the shapes of kernels' symbols; ``names`` as of `colour`."""
    scale = alt.Scale(domain=list(names), range=[style.shape for style in series(names, theme)])
    return alt.Shape("kernel:N", scale=scale, title=None)


def tips(told: Mapping[str, str]) -> list[alt.Tooltip]:
    """Return what a mark tells when it is pointed at: titles by field."""
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in told.items()]


def styled(base: alt.Chart, names: Sequence[str], theme: Theme, told: Mapping[str, str]) -> Any:
    """Return the chart with each row in its kernel's colour and shape, telling ``told`` when it is pointed at."""
    return base.encode(colour(names, theme), shape(names, theme), tooltip=tips(told))


def symbols(base: alt.Chart, theme: Theme, size: int = 150) -> Any:
    """Return filled symbols with a line of the page's colour around them."""
    return base.mark_point(filled=True, opacity=1, size=size, stroke=theme.surface, strokeWidth=1)


def band_lines(base: alt.Chart, lines: alt.Chart, points: alt.Chart, theme: Theme, size: int = 150) -> list[alt.Chart]:
    """Return the band of intervals, the line, and symbols on it; ``lines`` and ``points`` are ``base`` and more."""
    band = base.transform_filter("datum.low != null").encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    area = band.mark_area(opacity=0.18, clip=True, tooltip=None)
    return [area, lines.mark_line(strokeWidth=2), symbols(points, theme, size)]


def rule_at_one(theme: Theme) -> Any:
    """Return the dashed line at which a ratio is 1."""
    rule = alt.Chart(alt.InlineData([{"value": 1}])).mark_rule(strokeDash=[4, 4], strokeWidth=1.5, color=theme.muted)
    return rule.encode(alt.Y("value:Q"))


def stacked(
    base: alt.Chart, names: Sequence[str], colours: Sequence[str], theme: Theme, columns: Any, **marks: Any
) -> Any:
    """Return bars from ``x`` to ``x2`` in the colours of their parts, named in a legend of ``columns`` above them."""
    text: Any = {"labelColor": theme.ink, "labelFontSize": 12}
    legend = alt.Legend(title=None, orient="top", columns=columns, columnPadding=24, **text)
    scale = alt.Scale(domain=list(names), range=list(colours))
    parts = base.encode(alt.X2("x2:Q"), alt.Color("part:N", sort=list(names), scale=scale, legend=legend))
    return parts.mark_bar(stroke=theme.surface, **marks)


# -- the whole


def drawn(
    layers: list[Any], rows: list[dict[str, Any]], theme: Theme, what: str, height: int, hidden: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the layers as one chart that fills its place, and follows the page's legend."""
    chart = alt.layer(*layers, data=alt.NamedData(name=ROWS)).transform_filter(_SHOWN)
    chart = chart.add_params(alt.param("hidden_kernels", value=[]), alt.param("hidden_runs", value=list(hidden)))
    chart = chart.properties(width="container", height=height, background="transparent", description=what)
    muted: Any = dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor"), theme.muted)
    title: Any = {"titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 10}
    axis = alt.AxisConfig(gridColor=theme.grid, labelFontSize=12, **muted, **title)
    # The page has a legend of its own, one for all charts, that a keyboard can reach.
    chart = chart.configure(axis=axis, legend=alt.LegendConfig(disable=True), view=alt.ViewConfig(stroke=None))
    # Tests hold the charts to the schema, which takes long; Altair would copy the rows a dozen times, too.
    specification: dict[str, Any] = chart.to_dict(validate=False)
    specification.pop("$schema", None)  # nothing must look online
    specification.setdefault("datasets", {})[ROWS] = rows
    return specification
