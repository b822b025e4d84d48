"""The charts of what the speedup is made of, as Altair specifications: waterfall and Hockney's line."""

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import numpy as np

from mlpbench.bench import words
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.explain import Explanation, KernelExplanation
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Panel
from mlpbench.bench.report.charts.style import PAGE
from mlpbench.bench.report.sections.explain import PART_WORDS, limit_words

#: The causes as pieces of a bar, where there is little room.
PIECES = {name: "arithmetic units" if name == "arithmetic" else PART_WORDS[name] for name in PARTS}
_ROW_HEIGHT = 20
#: Points of a fitted line, which is a bend between two straight ones on logarithmic axes.
_CURVE = 25
#: Share of the axis that the words of a bar take on a phone: where neither side has so much, the bar holds them.
_ROOM = 0.48
#: Pixels of a row's name.
_NAMES = 112


def waterfall_charts(found: Explanation, names: Sequence[str]) -> list[Panel]:
    """Return the waterfall of each kernel: shares of the time of a sample one at a time."""
    steps = {kernel.kernel: list(_steps(kernel)) for kernel in found.kernels if kernel.attribution}
    domain = base.share_domain([row for rows in steps.values() for row in rows])
    return [Panel(kernel, _waterfall(rows, domain, names)) for kernel, rows in steps.items()]


def _waterfall(rows: list[dict[str, Any]], domain: list[float], names: Sequence[str]) -> dict[str, Any]:
    rows = [row | _words_at(row, *domain) for row in rows]
    axis = base.name_axis(minExtent=_NAMES, labelLimit=_NAMES)
    x = base.share_axis("share of the time one at a time", domain)
    steps = alt.Chart().encode(alt.Y("part:N", sort=[row["part"] for row in rows], axis=axis), x)
    told = {name: name for name in ("kernel", "part", "time")}
    bars = steps.encode(alt.X2("x2:Q"), **base.telling(told))
    styled, rest = bars.encode(base.colour(names)), bars.transform_filter("datum.kind == 'rest'")
    layers = [
        styled.transform_filter("datum.kind == 'end'").mark_bar(height=13, clip=True),
        styled.transform_filter("datum.kind == 'cause'").mark_bar(height=13, opacity=0.45, clip=True),
        rest.mark_bar(height=13, color=PAGE.muted, opacity=0.45, clip=True),
        *_bar_words(steps),
    ]
    return base.drawn(layers, rows, "Where the time of a sample goes, cause by cause.", _ROW_HEIGHT * len(rows))


def share_chart(found: Explanation, names: Sequence[str]) -> dict[str, Any]:
    """Return how much of the limit that binds it each case reaches, against batch size."""
    rows = [row for kernel in found.kernels for row in _shares(kernel)]
    singles = any(row["x"] == base.SINGLE_X for row in rows)
    # What cannot be stands at the end of the axis; its tooltip says how much it would be.
    scale, axis = alt.Scale(domain=[0, 1.02], clamp=True, nice=False), alt.Axis(format="~%", tickCount=5)
    y = alt.Y("value:Q", title="share of the limit", scale=scale, axis=axis)
    kernels = alt.Chart().encode(base.batch_axis(rows, singles=singles), y, base.colour(names))
    told = {"kernel": "kernel", "at": "batch size", "share": "reaches", "limit": "of"}
    points = kernels.encode(base.shape(names), **base.telling(told))
    batches = kernels.transform_filter(f"datum.x != {base.SINGLE_X}")
    single = points.transform_filter(f"datum.x == {base.SINGLE_X}")
    layers = [
        batches.mark_line(strokeWidth=2),
        base.symbols(points.transform_filter(f"datum.x != {base.SINGLE_X}"), 110),
        single.mark_point(filled=False, opacity=1, size=120, strokeWidth=2, fill=PAGE.surface),
    ]
    return base.drawn(layers, base.dodged(rows), "Share of the limit that binds, against batch size.", 300)


def _shares(kernel: KernelExplanation) -> Iterator[dict[str, Any]]:
    for share in kernel.shares:
        if share.verdict is not None:
            single = share.mode == "per_sample"
            at = {"x": base.SINGLE_X if single else share.batch_size, "at": words.case(share.mode, share.batch_size)}
            told = {"share": words.percent(share.verdict.share), "limit": limit_words(share.verdict)}
            yield {"kernel": kernel.kernel, **at, "value": share.verdict.share, **told}


def _words_at(row: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    """Return where the words of a bar stand, right or left of what an axis shows of it, or in it; and the place."""
    start, end = base.seen(row, low, high)
    if (high - end) / (high - low) >= _ROOM:
        return {"words": "right", "at": end}
    return {"words": "left" if (start - low) / (high - low) >= _ROOM else "in", "at": start}


def _steps(kernel: KernelExplanation) -> Iterator[dict[str, Any]]:
    """Yield the rows of one kernel: the whole, a step down for each cause, and what is left."""
    parts = kernel.attribution
    if parts is None:
        return

    def row(kind: str, part: str, start: float, end: float, time: str) -> dict[str, Any]:
        ends = {"x": min(start, end), "x2": max(start, end)}
        return {"kernel": kernel.kernel, "kind": kind, "part": part, "time": time, **ends}

    yield row("end", "one at a time", 0.0, 1.0, words.seconds(parts.one_s))
    at = 1.0
    for name in PARTS:
        part = parts.parts[name]
        share = 0.0 if part is None else part.value / parts.one_s
        kind = "rest" if name == "unexplained" else "cause"
        saved = parts.share(name)
        of_saved = "" if saved is None else f" ({words.percent(saved)})"
        said = "not measured" if part is None else f"{words.signed(part.value)}{of_saved}"
        yield row(kind, PIECES[name], at - share, at, said)
        at -= share
    left = f"batches of {parts.batch_size:,}"
    yield row("end", left, 0.0, parts.batch_s / parts.one_s, words.seconds(parts.batch_s))


def _bar_words(steps: alt.Chart) -> list[alt.Chart]:
    """Return the times, where `_words_at` puts them; in a bar of full colour they have the page's."""
    places: tuple[tuple[str, Any, int, str], ...] = (
        ("datum.words == 'in' && datum.kind == 'end'", "left", 8, PAGE.surface),
        ("datum.words == 'in' && datum.kind != 'end'", "left", 8, PAGE.ink),
        ("datum.words == 'left'", "right", -8, PAGE.ink),
        ("datum.words == 'right'", "left", 8, PAGE.ink),
    )
    return [
        steps.transform_filter(where)
        .encode(alt.X("at:Q"), text=alt.Text("time:N"))
        .mark_text(align=align, dx=shift, color=ink, fontSize=12)
        for where, align, shift, ink in places
    ]


def hockney_chart(found: Explanation, names: Sequence[str]) -> dict[str, Any]:
    """Return the Vega-Lite specification of time of a call against batch size, measured and fitted."""
    rows = [row for kernel in found.kernels for row in _points(kernel)]
    lines = [row for kernel in found.kernels for row in _lines(kernel)]
    sizes, seconds = [row["x"] for row in rows], [row["y"] for row in [*rows, *lines]]
    x = base.log_axis("x", "batch size (rows per call)", sizes, base.COUNT_LABEL)
    y = base.log_axis("y", "time of a call", seconds, base.TIME_LABEL)
    kernels = alt.Chart().encode(x, y, base.colour(names))
    told = {"kernel": "kernel", "at": "batch size", "time": "measured", "fitted": "fitted"}
    curve = kernels.transform_filter("datum.kind == 'line'")
    points = kernels.transform_filter("datum.kind == 'point'")
    layers = [
        curve.mark_line(strokeWidth=2, clip=True),
        base.symbols(points.encode(base.shape(names), **base.telling(told))),
    ]
    what = "Time of a call against batch size, with the line fitted to it."
    return base.drawn(layers, [*rows, *lines], what, 330)


def _points(kernel: KernelExplanation) -> Iterator[dict[str, Any]]:
    if kernel.fit is None:
        return
    for size, seconds in kernel.measured.items():
        fitted = words.seconds(kernel.fit.line.call_s(size))
        told = {"at": f"{size:,}", "time": words.seconds(seconds), "fitted": fitted}
        yield {"kind": "point", "kernel": kernel.kernel, "x": size, "y": seconds, **told}


def _lines(kernel: KernelExplanation) -> Iterator[dict[str, Any]]:
    """Yield points of the fitted line, where it is above 0."""
    if kernel.fit is None:
        return
    line = kernel.fit.line
    for size in np.geomspace(line.first, line.last, _CURVE):
        if line.call_s(size) > 0:
            at = {"x": float(f"{size:.6g}"), "y": float(f"{line.call_s(size):.6g}")}
            yield {"kind": "line", "kernel": kernel.kernel, **at}


CHARTS = {"waterfall": waterfall_charts, "share": share_chart, "hockney": hockney_chart}
