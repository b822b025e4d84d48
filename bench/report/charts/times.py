"""The charts, as Altair specifications: time per sample and speedup against batch size. Nothing else draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.report.charts.style import PAGE, Theme, hidden_at_first, series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.analysis.summary import CaseSummary
    from mlpbench.bench.report.charts.style import Series


#: Where the times of single calls stand on the logarithmic axis of batch sizes: apart, left of 1.
SINGLE_X = 0.3
#: Kernels and runs that the reader has switched off in the legend; the page sets them.
HIDDEN_KERNELS = "hidden_kernels"
HIDDEN_RUNS = "hidden_runs"

TIME_LABEL = (
    " : ".join(
        f"datum.value < {below} ? format(datum.value * {scale}, '~g') + ' {unit}'"
        for below, scale, unit in (("1e-6", "1e9", "ns"), ("1e-3", "1e6", "µs"), ("1", "1e3", "ms"))
    )
    + " : format(datum.value, '~g') + ' s'"
)
_BATCHED = "datum.mode == 'batched'"
_SINGLE = "datum.mode == 'per_sample'"
_BANDED = "datum.low != null"


def time_chart(cases: Sequence[CaseSummary], theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of time per sample against batch size, both logarithmic.

    Lines with an interval band are batches; the hollow symbols on the left are single calls.
    """
    rows = [_row(case, case.sample.value, case.sample.low, case.sample.high) for case in _drawn(cases)]
    y = _value_axis(rows, "time per sample", TIME_LABEL)
    return _chart(cases, rows, y, theme, "Time per sample against batch size, one line per kernel.")


def speedup_chart(cases: Sequence[CaseSummary], theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of the speedup over one at a time against batch size, both logarithmic.

    One at a time is the dashed rule at 1.
    """
    found = [(case, case.speedup) for case in _drawn(cases) if case.speedup is not None]
    rows = [_row(case, gain.value, gain.low, gain.high) for case, gain in found]
    rule = {"value": 1.0, "low": None, "high": None}
    y = _value_axis([*rows, rule], "speedup over one at a time", "format(datum.value, '~g') + 'x'")
    return _chart(cases, rows, y, theme, "Speedup over one at a time against batch size, one line per kernel.")


def picture(cases: Sequence[CaseSummary], name: str, theme: Theme, width: int = 720, height: int = 380) -> str:
    """Return the chart `name`, "time" or "speedup", as SVG with a legend, for a page without JavaScript.

    ``theme``: one of real colours, `LIGHT` or `DARK`; ``width`` and ``height`` of the plot in pixels.
    """
    import vl_convert

    specification = {"time": time_chart, "speedup": speedup_chart}[name](cases, theme)
    specification |= {"width": width, "height": height, "background": theme.surface, "padding": 16}
    specification["config"]["legend"] = {
        "orient": "top",
        "labelColor": theme.ink,
        "labelFontSize": 13,
        "symbolOpacity": 1,
        "symbolSize": 130,
    }
    return str(vl_convert.vegalite_to_svg(specification, vl_version=vega_lite_version()))


def vega_lite_version() -> str:
    """Return the version of Vega-Lite that the specifications are written for, as vl-convert names it."""
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def _drawn(cases: Sequence[CaseSummary]) -> list[CaseSummary]:
    return [case for case in cases if case.mode != "book"]


def _row(case: CaseSummary, value: float, low: float, high: float) -> dict[str, Any]:
    """Return what one symbol needs; intervals that do not exist are None."""
    single = case.mode == "per_sample"
    return {
        "kernel": case.kernel,
        "run": case.run,
        "mode": case.mode,
        "x": SINGLE_X if single else case.batch_size,
        "value": value,
        "low": low if math.isfinite(low) else None,
        "high": high if math.isfinite(high) else None,
        "at": "one at a time" if single else f"{case.batch_size:,}",
        "time": words.duration(case.sample),
        "rate": f"{words.count(case.throughput)} per second",
        "gain": words.ratio(case.speedup) if case.speedup else case.no_speedup,
    }


def _chart(
    cases: Sequence[CaseSummary], rows: list[dict[str, Any]], y: alt.Y, theme: Theme, description: str
) -> dict[str, Any]:
    # Styles go by all cases, so that a kernel looks the same in both charts and in the page's legend.
    kernels = series(list(dict.fromkeys(case.kernel for case in cases)), theme)
    runs = series(list(dict.fromkeys(case.run for case in cases)), theme)
    colour = alt.Color("kernel:N", scale=scaled(kernels, [item.colour for item in kernels]), title=None)
    shape = alt.Shape("kernel:N", scale=scaled(kernels, [item.shape for item in kernels]), title=None)
    legend = alt.Undefined if len(runs) > 1 else None
    dash = alt.StrokeDash("run:N", scale=scaled(runs, [list(item.dash) for item in runs]), title=None, legend=legend)
    singles = any(row["mode"] == "per_sample" for row in rows)
    base: alt.Chart = alt.Chart().encode(_batch_axis(rows, singles), y, colour)
    layers = [
        *([] if singles else [_one_rule(theme)]),
        *_batches(base, shape, dash, theme),
        *(_single_calls(base, shape, theme) if singles else []),
        _targets(base, several=len(runs) > 1),
    ]
    shown = f"indexof({HIDDEN_KERNELS}, datum.kernel) < 0 && indexof({HIDDEN_RUNS}, datum.run) < 0"
    chart = alt.layer(*layers, data=alt.InlineData(rows)).transform_filter(shown)
    hidden = alt.param(HIDDEN_RUNS, value=hidden_at_first(cases))
    chart = chart.add_params(alt.param(HIDDEN_KERNELS, value=[]), hidden)
    chart = chart.properties(width="container", height=330, background="transparent", description=description)
    return finished(chart, theme)


def _batches(base: alt.Chart, shape: alt.Shape, dash: alt.StrokeDash, theme: Theme) -> list[alt.Chart]:
    """Return band, line and symbols of the batches of each kernel and run."""
    lines: alt.Chart = base.transform_filter(_BATCHED).encode(detail=["run:N"])
    band: alt.Chart = lines.transform_filter(_BANDED).encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    symbols: alt.Chart = lines.encode(shape)
    return [
        band.mark_area(opacity=0.18, clip=True, tooltip=None),
        lines.encode(dash).mark_line(strokeWidth=2),
        symbols.mark_point(filled=True, opacity=1, size=170, stroke=theme.surface, strokeWidth=1),
    ]


def _single_calls(base: alt.Chart, shape: alt.Shape, theme: Theme) -> list[alt.Chart]:
    """Return the hollow symbols of single calls, each with its interval."""
    single = base.transform_filter(_SINGLE)
    spread: alt.Chart = single.transform_filter(_BANDED).encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    symbols: alt.Chart = single.encode(shape)
    return [
        spread.mark_rule(strokeWidth=1.5, clip=True),
        symbols.mark_point(filled=False, opacity=1, size=170, strokeWidth=2, fill=theme.surface),
    ]


def _one_rule(theme: Theme) -> alt.Chart:
    rule = alt.Chart(alt.InlineData([{"value": 1}])).mark_rule(strokeDash=[4, 4], strokeWidth=1.5, color=theme.muted)
    drawn: alt.Chart = rule.encode(alt.Y("value:Q"))
    return drawn


def _targets(base: alt.Chart, *, several: bool) -> alt.Chart:
    """Return invisible discs around the symbols: easy to hit with a finger, and they carry the tooltip."""
    told = {"kernel": "kernel", "at": "batch size", "time": "time per sample", "rate": "samples", "gain": "speedup"}
    told |= {"run": "run"} if several else {}
    tips = [alt.Tooltip(f"{name}:N", title=title) for name, title in told.items()]
    discs = base.mark_point(filled=True, shape="circle", size=450, opacity=0, aria=False)
    drawn: alt.Chart = discs.encode(tooltip=tips)
    return drawn


def scaled(items: Sequence[Series], styles: list[Any]) -> alt.Scale:
    """Return the scale that gives each kernel or run its style."""
    return alt.Scale(domain=[item.name for item in items], range=styles)


def _batch_axis(rows: list[dict[str, Any]], singles: bool) -> alt.X:
    sizes = sorted({row["x"] for row in rows if row["mode"] == "batched"})
    ticks = [size for size in sizes if math.log10(size).is_integer()] or sizes
    low, high = (sizes[0], sizes[-1]) if sizes else (1, 10)
    at_single = "datum.value < 1 ? ['one at', 'a time'] : format(datum.value, ',')"
    scale = alt.Scale(type="log", domain=[(SINGLE_X if singles else low) / 1.35, high * 1.35], nice=False)
    values = [SINGLE_X, *ticks] if singles else ticks
    axis = alt.Axis(values=values, labelExpr=at_single, labelOverlap=False, grid=False, labelFlush=False)
    return alt.X("x:Q", title="batch size (rows per call)", scale=scale, axis=axis)


def _value_axis(rows: list[dict[str, Any]], title: str, label: str) -> alt.Y:
    low, high = _ends(rows)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(values=ladder(low, high), labelExpr=label, labelOverlap=True)
    return alt.Y("value:Q", title=title, scale=scale, axis=axis)


def _ends(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Return where the axis of values begins and ends: all values and their intervals, and a margin.

    The interval of two wildly different repeats spans decades and would flatten everything else: it is cut off.
    """
    values = [row["value"] for row in rows] or [1.0, 10.0]
    lows = [row["low"] for row in rows if row["low"] is not None]
    highs = [row["high"] for row in rows if row["high"] is not None]
    low = max(min([*values, *lows]), min(values) / 3)
    high = min(max([*values, *highs]), max(values) * 3)
    return low / 1.15, high * 1.15


def ladder(low: float, high: float) -> list[float]:
    """Return ticks 1, 2, 5, 10 ... between two ends, powers of ten alone where there would be too many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 5 else (1,)
    # Through text, because 5 * 10.0**-6 is 4.9999999999999996e-06 and labels would say so.
    ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def finished(chart: alt.LayerChart | alt.FacetChart, theme: Theme) -> dict[str, Any]:
    """Return the specification with the theme, and without the address of its schema: nothing must look online."""
    axis = alt.AxisConfig(
        labelColor=theme.muted,
        titleColor=theme.muted,
        gridColor=theme.grid,
        domainColor=theme.muted,
        tickColor=theme.muted,
        labelFontSize=12,
        titleFontSize=12,
        titleFontWeight="normal",
        titlePadding=10,
    )
    # The page has a legend of its own, one for all charts, that a keyboard can reach.
    legend = alt.LegendConfig(disable=True)
    styled = chart.configure(axis=axis, legend=legend, view=alt.ViewConfig(stroke=None))
    specification: dict[str, Any] = styled.to_dict()
    specification.pop("$schema", None)
    return specification
