"""The charts of what the speedup is made of, as Altair specifications: waterfall and Hockney's line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from mlpbench.bench import words as units
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.explain_words import PIECES, percent, signed
from mlpbench.bench.report.charts.parts import colours, drawn, log_axis, shapes
from mlpbench.bench.report.charts.roofline import roofline_chart
from mlpbench.bench.report.charts.style import PAGE, Theme
from mlpbench.bench.report.charts.times import TIME_LABEL
from mlpbench.bench.report.sections.explain import chart_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlpbench.bench.analysis.explain import Explanation, KernelExplanation


_ROW_HEIGHT = 24
#: Points of a fitted line, which is a bend between two straight ones on logarithmic axes.
_CURVE = 25
#: The axis ends here, whatever disturbed runs say.
_LEAST, _MOST = -1.0, 2.0
#: Share of the axis that the words of a bar take on a phone: where neither side has so much, the bar holds them.
_ROOM = 0.48
#: Pixels of a row's name: at the least, and for each of its letters.
_NAMES, _LETTER = 125, 7.6


def charts(explanations: Sequence[Explanation], names: Sequence[str], theme: Theme = PAGE) -> dict[str, dict[str, Any]]:
    """Return every chart of the section by its name; ``names`` are all kernels of the page, whose styles go by them."""
    found = {}
    for number, one in enumerate(explanations):
        if any(kernel.attribution for kernel in one.kernels):
            found[chart_name("waterfall", number)] = waterfall_chart(one, names, theme)
        if any(kernel.fit for kernel in one.kernels):
            found[chart_name("hockney", number)] = hockney_chart(one, names, theme)
        if any(share.verdict for kernel in one.kernels for share in kernel.shares):
            found[chart_name("roofline", number)] = roofline_chart(one, names, theme)
    return found


def waterfall_chart(found: Explanation, names: Sequence[str], theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of the waterfall: shares of the time of a sample one at a time."""
    rows = [row for kernel in found.kernels for row in _steps(kernel, found.run)]
    domain = share_domain(rows, _LEAST, _MOST)
    rows = [row | _words_at(row, *domain) for row in rows]
    extent = max(_NAMES, round(_LETTER * max(len(row["kernel"]) for row in rows)))
    x = alt.X(
        "x:Q",
        title="share of the time one at a time",
        scale=alt.Scale(domain=domain, nice=False),
        axis=alt.Axis(format="~%", tickCount=5),
    )
    base = alt.Chart().encode(alt.Y("key:N", sort=[row["key"] for row in rows], axis=row_axis(extent)), x)
    colour = alt.Color("kernel:N", scale=colours(names, theme))
    tip = [alt.Tooltip(f"{name}:N", title=name) for name in ("kernel", "part", "time")]
    bars = base.transform_filter("datum.part != ''").encode(alt.X2("x2:Q"), tooltip=tip)
    layers = [
        bars.transform_filter("datum.kind == 'end'").encode(colour).mark_bar(height=15, clip=True),
        bars.transform_filter("datum.kind == 'cause'").encode(colour).mark_bar(height=15, opacity=0.45, clip=True),
        bars.transform_filter("datum.kind == 'rest'").mark_bar(height=15, color=theme.muted, opacity=0.45, clip=True),
        *_bar_words(base, theme),
    ]
    return drawn(layers, rows, theme, "Where the time of a sample goes, cause by cause.", _ROW_HEIGHT * len(rows))


def share_domain(rows: Sequence[dict[str, Any]], least: float, most: float) -> list[float]:
    """Return the ends of an axis of shares: what the bars reach, 0 and 1, and nothing beyond ``least`` and ``most``."""
    low, high = max(min(row["x"] for row in rows), least), min(max(row["x2"] for row in rows), most)
    return [min(0.0, low) * 1.05, max(1.0, high) * 1.02]


def _words_at(row: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    """Return where the words of a bar stand, right or left of what an axis shows of it, or in it; and the place."""
    start, end = (min(max(row[end], low), high) for end in ("x", "x2"))
    if (high - end) / (high - low) >= _ROOM:
        return {"words": "right", "at": end}
    if (start - low) / (high - low) >= _ROOM:
        return {"words": "left", "at": start}
    return {"words": "in", "at": start}


def row_axis(extent: int) -> alt.Axis:
    """Return the axis of rows whose keys are ``unique|label|head``, the last for headings; ``extent`` in pixels."""
    bold: Any = {"condition": {"test": "split(datum.label, '|')[2] === 'head'", "value": "bold"}, "value": "normal"}
    return alt.Axis(
        labelExpr="split(datum.label, '|')[1]",
        labelFontWeight=bold,
        title=None,
        ticks=False,
        domain=False,
        labelLimit=extent + 15,
        minExtent=extent,
    )


def _steps(kernel: KernelExplanation, run: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one kernel: its name, the whole, a step down for each cause, and what is left."""
    parts = kernel.attribution
    if parts is None:
        return

    def row(kind: str, part: str, start: float, end: float, time: str, label: str = "") -> dict[str, Any]:
        head = "head" if kind == "head" else ""
        ends = {"x": min(start, end), "x2": max(start, end)}
        key = f"{kernel.kernel}/{part}|{label or part}|{head}"
        return {"kernel": kernel.kernel, "run": run, "kind": kind, "part": part, "key": key, "time": time, **ends}

    yield row("head", "", 0.0, 0.0, "", kernel.kernel)
    yield row("end", "one at a time", 0.0, 1.0, units.seconds(parts.one_s))
    at = 1.0
    for name in PARTS:
        part = parts.parts[name]
        share = 0.0 if part is None else part.value / parts.one_s
        kind = "rest" if name == "unexplained" else "cause"
        words = "not measured" if part is None else f"{signed(part.value)}{_of_saved(parts.share(name))}"
        yield row(kind, PIECES[name], at - share, at, words)
        at -= share
    left = f"batches of {parts.batch_size:,}"
    yield row("end", left, 0.0, parts.batch_s / parts.one_s, units.seconds(parts.batch_s))


def _of_saved(share: float | None) -> str:
    return "" if share is None else f" ({percent(share)})"


def _bar_words(base: alt.Chart, theme: Theme) -> list[alt.Chart]:
    """Return the times, where `_words_at` puts them; in a bar of full colour they have the page's."""
    places: tuple[tuple[str, Any, int, str], ...] = (
        ("datum.words == 'in' && datum.kind == 'end'", "left", 8, theme.surface),
        ("datum.words == 'in' && datum.kind != 'end'", "left", 8, theme.ink),
        ("datum.words == 'left'", "right", -8, theme.ink),
        ("datum.words == 'right'", "left", 8, theme.ink),
    )
    return [
        base.transform_filter(where)
        .encode(alt.X("at:Q"), text="time:N")
        .mark_text(align=align, dx=shift, color=colour, fontSize=12)
        for where, align, shift, colour in places
    ]


def hockney_chart(found: Explanation, names: Sequence[str], theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of time of a call against batch size, measured and fitted."""
    rows = [row for kernel in found.kernels for row in _points(kernel, found.run)]
    lines = [row for kernel in found.kernels for row in _lines(kernel, found.run)]
    sizes, seconds = [row["x"] for row in rows], [row["y"] for row in [*rows, *lines]]
    x = log_axis("x", "batch size (rows per call)", sizes, "format(datum.value, ',')")
    base = alt.Chart().encode(x, log_axis("y", "time of a call", seconds, TIME_LABEL))
    base = base.encode(alt.Color("kernel:N", scale=colours(names, theme)))
    told = (
        ("kernel", "kernel"),
        ("at", "batch size"),
        ("time", "measured"),
        ("fitted", "fitted"),
        ("guess", "predicted"),
    )
    tips = [alt.Tooltip(f"{name}:N", title=title) for name, title in told]
    curve = base.transform_filter("datum.kind == 'line'").encode(detail=["part:N"])
    layers = [
        curve.transform_filter("datum.part == 0").mark_line(strokeWidth=2, clip=True),
        curve.transform_filter("datum.part > 0").mark_line(strokeWidth=1.5, strokeDash=[5, 3], clip=True),
        base.transform_filter("datum.kind == 'point'")
        .encode(alt.Shape("kernel:N", scale=shapes(names, theme)), tooltip=tips)
        .mark_point(filled=True, opacity=1, size=150, stroke=theme.surface, strokeWidth=1),
    ]
    return drawn(layers, [*rows, *lines], theme, "Time of a call against batch size, with the line fitted to it.", 330)


def _points(kernel: KernelExplanation, run: str) -> Iterator[dict[str, Any]]:
    if kernel.fit is None:
        return
    guesses = {one.batch_size: units.seconds(one.predicted_s) for one in kernel.fit.predictions}
    for size, seconds in kernel.measured.items():
        yield {
            "kind": "point",
            "kernel": kernel.kernel,
            "run": run,
            "x": size,
            "y": seconds,
            "at": f"{size:,}",
            "time": units.seconds(seconds),
            "fitted": units.seconds(kernel.fit.line.call_s(size)),
            "guess": guesses.get(size, "used for predicting"),
        }


def _lines(kernel: KernelExplanation, run: str) -> Iterator[dict[str, Any]]:
    """Yield points of the fitted line (part 0), and of the lines of its parts, where they are above 0."""
    if kernel.fit is None:
        return
    for part, line in enumerate((kernel.fit.line, *kernel.fit.regimes)):
        for size in np.geomspace(line.first, line.last, _CURVE):
            if line.call_s(size) > 0:
                at = {"x": float(f"{size:.6g}"), "y": float(f"{line.call_s(size):.6g}")}
                yield {"kind": "line", "kernel": kernel.kernel, "run": run, "part": part, **at}
