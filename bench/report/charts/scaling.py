"""The speedup over threads as an Altair specification: against batch size, one line for each kernel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.report.charts.parts import colours, drawn, log_axis, shapes
from mlpbench.bench.report.charts.style import PAGE, Theme
from mlpbench.bench.report.sections.scaling import chart_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlpbench.bench.analysis.scaling import Scaling


def charts(found: Sequence[Scaling], names: Sequence[str], theme: Theme = PAGE) -> dict[str, dict[str, Any]]:
    """Return every chart by its name; ``names`` are all kernels of the page, whose styles go by them."""
    return {chart_name(number): scaling_chart(one, names, theme) for number, one in enumerate(found) if one.drawn}


def scaling_chart(found: Scaling, names: Sequence[str], theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of the speedup over the fewest threads against batch size."""
    rows = list(_rows(found))
    values = [row["value"] for row in rows]
    # An interval of two wildly different repeats would flatten everything else.
    seen = [end for row in rows for end in (row["low"], row["high"]) if end and min(values) / 3 < end < 3 * max(values)]
    x = log_axis("x", "batch size (rows per call)", [row["x"] for row in rows], "format(datum.value, ',')")
    label = "format(datum.value, '~g') + 'x'"
    y = log_axis(
        "value",
        f"time with {found.fewest} {'thread' if found.fewest == 1 else 'threads'} / with more",
        [*values, *seen, 0.9, 1.3],
        label,
    )
    base = alt.Chart().encode(x, y, alt.Color("kernel:N", scale=colours(names, theme)), detail=["threads:N"])
    told = (("kernel", "kernel"), ("x", "batch size"), ("threads", "threads given"), ("used", "threads used"))
    tips = [alt.Tooltip(f"{name}:N", title=title) for name, title in (*told, ("gain", "speedup"))]
    rule = alt.Chart(alt.InlineData([{"value": 1}])).mark_rule(strokeDash=[4, 4], strokeWidth=1.5, color=theme.muted)
    symbols = base.encode(alt.Shape("kernel:N", scale=shapes(names, theme)), tooltip=tips)
    layers = [
        rule.encode(alt.Y("value:Q")),
        base.transform_filter("datum.low != null")
        .encode(alt.Y("low:Q"), alt.Y2("high:Q"))
        .mark_area(opacity=0.18, clip=True, tooltip=None),
        base.mark_line(strokeWidth=2),
        symbols.mark_point(filled=True, opacity=1, size=150, stroke=theme.surface, strokeWidth=1),
    ]
    return drawn(layers, rows, theme, "Speedup over the fewest threads against batch size.", 330)


def _rows(found: Scaling) -> Iterator[dict[str, Any]]:
    for gain in found.drawn:
        low, high = (end if math.isfinite(end) else None for end in (gain.speedup.low, gain.speedup.high))
        yield {
            "kernel": gain.kernel,
            "run": "",
            "x": gain.batch_size,
            "value": gain.speedup.value,
            "low": low,
            "high": high,
            "threads": gain.threads,
            "used": "does not say" if gain.used is None else str(gain.used),
            "gain": words.ratio(gain.speedup),
        }
