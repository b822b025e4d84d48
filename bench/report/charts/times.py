"""Time per sample and speedup against batch size, as Altair specifications; and as pictures."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.style import PAGE, Theme, series
from mlpbench.bench.report.sections.times import hidden_at_first
from mlpbench.bench.stats.estimates import Estimate, Ratio

#: Where the times of single calls stand on the logarithmic axis of batch sizes: apart, left of 1.
SINGLE_X = 0.3


def time_chart(cases: Sequence[CaseSummary], names: Sequence[str], theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of time per sample against batch size, both logarithmic.

    Lines with an interval band are batches; the hollow symbols on the left are single calls. ``names`` are all kernels
    of the page, so that a kernel looks the same in every chart and in the page's legend.
    """
    rows = [_row(case, case.sample) for case in _drawn(cases)]
    y = _value_axis(rows, "time per sample", base.TIME_LABEL)
    return _chart(cases, rows, y, names, theme, "Time per sample against batch size, one line per kernel.")


def speedup_chart(cases: Sequence[CaseSummary], names: Sequence[str], theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of the speedup over one at a time against batch size, both logarithmic.

    One at a time is the dashed rule at 1.
    """
    rows = [_row(case, case.speedup) for case in _drawn(cases) if case.speedup is not None]
    rule = {"value": 1.0, "low": None, "high": None}
    y = _value_axis([*rows, rule], "speedup over one at a time", base.RATIO_LABEL)
    return _chart(cases, rows, y, names, theme, "Speedup over one at a time against batch size, one line per kernel.")


def picture(cases: Sequence[CaseSummary], name: str, theme: Theme, width: int = 720, height: int = 380) -> str:
    """Return the chart `name`, "time" or "speedup", as SVG with a legend, for a page without JavaScript.

    ``theme``: one of real colours, `LIGHT` or `DARK`; ``width`` and ``height`` of the plot in pixels.
    """
    import vl_convert

    names = list(dict.fromkeys(case.kernel for case in cases))
    specification = {"time": time_chart, "speedup": speedup_chart}[name](cases, names, theme)
    specification |= {"width": width, "height": height, "background": theme.surface, "padding": 16}
    symbols = {"symbolOpacity": 1, "symbolSize": 130}
    specification["config"]["legend"] = {"orient": "top", "labelColor": theme.ink, "labelFontSize": 13, **symbols}
    return str(vl_convert.vegalite_to_svg(specification, vl_version=vega_lite_version()))


def vega_lite_version() -> str:
    """Return the version of Vega-Lite that the specifications are written for, as vl-convert names it."""
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def _drawn(cases: Sequence[CaseSummary]) -> list[CaseSummary]:
    return [case for case in cases if case.mode != "book"]


def _row(case: CaseSummary, found: Estimate | Ratio) -> dict[str, Any]:
    single = case.mode == "per_sample"
    return {
        "kernel": case.kernel,
        "run": case.run,
        "mode": case.mode,
        "x": SINGLE_X if single else case.batch_size,
        **base.value_ends(found),
        "at": "one at a time" if single else f"{case.batch_size:,}",
        "time": words.duration(case.sample),
        "rate": f"{words.count(case.throughput)} per second",
        "gain": words.ratio(case.speedup) if case.speedup else case.no_speedup,
    }


def _chart(
    cases: Sequence[CaseSummary], rows: list[dict[str, Any]], y: alt.Y, names: Sequence[str], theme: Theme, what: str
) -> dict[str, Any]:
    runs = series(list(dict.fromkeys(case.run for case in cases)), theme)
    several = len(runs) > 1
    scale = alt.Scale(domain=[run.name for run in runs], range=[list(run.dash) for run in runs])
    dash = alt.StrokeDash("run:N", scale=scale, title=None, legend=alt.Undefined if several else None)
    singles = any(row["mode"] == "per_sample" for row in rows)
    kernels: alt.Chart = alt.Chart().encode(_batch_axis(rows, singles), y, base.colour(names, theme))
    batches = kernels.transform_filter("datum.mode == 'batched'").encode(detail=["run:N"])
    shape = base.shape(names, theme)
    layers = [
        *([] if singles else [base.rule_at_one(theme)]),
        *base.band_lines(batches, batches.encode(dash), batches.encode(shape), theme, size=170),
        *(_single_calls(kernels, shape, theme) if singles else []),
        _targets(kernels, several=several),
    ]
    return base.drawn(layers, rows, theme, what, 330, hidden_at_first(cases))


def _single_calls(kernels: alt.Chart, shape: alt.Shape, theme: Theme) -> list[alt.Chart]:
    single = kernels.transform_filter("datum.mode == 'per_sample'")
    spread = single.transform_filter("datum.low != null").encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    return [
        spread.mark_rule(strokeWidth=1.5, clip=True),
        single.encode(shape).mark_point(filled=False, opacity=1, size=170, strokeWidth=2, fill=theme.surface),
    ]


def _targets(kernels: alt.Chart, *, several: bool) -> Any:
    """Return invisible discs around the symbols: easy to hit with a finger, and they carry the tooltip."""
    told = {"kernel": "kernel", "at": "batch size", "time": "time per sample", "rate": "samples", "gain": "speedup"}
    discs = kernels.mark_point(filled=True, shape="circle", size=450, opacity=0, aria=False)
    return discs.encode(tooltip=base.tips(told | ({"run": "run"} if several else {})))


def _batch_axis(rows: list[dict[str, Any]], singles: bool) -> alt.X:
    sizes = sorted({row["x"] for row in rows if row["mode"] == "batched"})
    ticks = [size for size in sizes if math.log10(size).is_integer()] or sizes
    low, high = (sizes[0], sizes[-1]) if sizes else (1, 10)
    at_single = f"datum.value < 1 ? ['one at', 'a time'] : {base.COUNT_LABEL}"
    scale = alt.Scale(type="log", domain=[(SINGLE_X if singles else low) / 1.35, high * 1.35], nice=False)
    values = [SINGLE_X, *ticks] if singles else ticks
    axis = alt.Axis(values=values, labelExpr=at_single, labelOverlap=False, grid=False, labelFlush=False)
    return alt.X("x:Q", title="batch size (rows per call)", scale=scale, axis=axis)


def _value_axis(rows: list[dict[str, Any]], title: str, label: str) -> Any:
    # The interval of two wildly different repeats spans decades and would flatten everything else: it is cut off.
    values = [row["value"] for row in rows] or [1.0, 10.0]
    ends = [row[end] for row in rows for end in ("low", "high") if row[end] is not None]
    held = [min(max(end, min(values) / 3), 3 * max(values)) for end in ends]
    return base.log_axis("value", title, [*values, *held], label, margins=(1.15, 1.15))
