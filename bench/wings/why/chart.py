"""What the speedup is made of: waterfalls, shares of the limit, and the line through the times of calls."""

from collections.abc import Iterator

import numpy as np

from mlpbench.bench import words
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Names, Row, Spec
from mlpbench.bench.report.charts.style import MUTED
from mlpbench.bench.wings.why.attribution import PARTS, Attribution
from mlpbench.bench.wings.why.explain import Explanation, KernelExplanation
from mlpbench.bench.wings.why.section import PART_WORDS, limit_words


def waterfall_charts(explanation: Explanation, names: Names) -> dict[str, Spec]:
    """Return the waterfall of each kernel: shares of the time of a sample one at a time, and the time of each."""
    panels = {
        kernel.kernel: list(_steps(kernel.kernel, kernel.attribution))
        for kernel in explanation.kernels
        if kernel.attribution
    }
    every = [row for rows in panels.values() for row in rows]
    # The axis holds what bars reach, 0 and 1, and nothing far beyond them, whatever disturbed runs say.
    low, high = max(min(row["x"] for row in every), -1.0), min(max(row["x2"] for row in every), 2.0)
    scale = {"domain": [min(0.0, low) * 1.05, max(1.0, high) * 1.02], "nice": False}
    axis = base.name_axis(minExtent=112, labelLimit=112, labelExpr="split(datum.label, '|')")
    order = [row["step"] for step in zip(*panels.values(), strict=True) for row in step]
    title, share = "share of the time one at a time", {"format": "~%", "tickCount": 5}
    bars = {
        "x": base.field("x", title=title, scale=scale, axis=share),
        "x2": {"field": "x2"},
        "y": base.field("step", "nominal", sort=order, axis=axis),
        **base.telling({name: name for name in ("kernel", "part", "time")}),
    }
    of_kernel = bars | {"color": base.colour(names)}
    layers = [
        base.layer("bar", of_kernel, "datum.kind == 'end'", height=13, clip=True),
        base.layer("bar", of_kernel, "datum.kind == 'cause'", height=13, opacity=0.45, clip=True),
        base.layer("bar", bars, "datum.kind == 'rest'", height=13, opacity=0.45, clip=True, color=MUTED),
    ]
    return base.drawn(layers, panels, names, "The time of a sample, cause by cause.", 200)


def _steps(kernel: str, parts: Attribution) -> Iterator[Row]:
    """Yield the rows of one kernel: the whole, a step down for each cause, and what is left."""

    def row(kind: str, part: str, start: float, end: float, time: str) -> Row:
        ends = {"x": min(start, end), "x2": max(start, end)}
        return {"kernel": kernel, "kind": kind, "part": part, "step": f"{part}|{time}", "time": time, **ends}

    yield row("end", "one at a time", 0.0, 1.0, words.seconds(parts.one_s))
    level = 1.0
    for name in PARTS:
        part, share = parts.parts[name], parts.share(name)
        saved = 0.0 if part is None else part.value / parts.one_s
        of_saved = "" if share is None else f" ({words.percent(share)})"
        time = "not measured" if part is None else f"{words.signed(part.value)}{of_saved}"
        short = "arithmetic units" if name == "arithmetic" else PART_WORDS[name]
        yield row("rest" if name == "unexplained" else "cause", short, level - saved, level, time)
        level -= saved
    left = f"batches of {parts.batch_size:,}"
    yield row("end", left, 0.0, parts.batch_s / parts.one_s, words.seconds(parts.batch_s))


def share_chart(explanation: Explanation, names: Names) -> dict[str, Spec]:
    """Return how much of the limit that binds it each case reaches, against batch size."""
    rows = [row for kernel in explanation.kernels for row in _shares(kernel)]
    # What cannot be stands at the end of the axis; its tooltip says how much it would be.
    scale = {"domain": [0, 1.02], "clamp": True, "nice": False}
    axis = {"format": "~%", "tickCount": 5}
    y = base.field("value", title="share of the limit", scale=scale, axis=axis)
    lines, points = base.against_batch_size(rows, y, names)
    points |= base.telling({"kernel": "kernel", "at": "batch size", "share": "reaches", "limit": "of"})
    batch, single = f"datum.x != {base.SINGLE_X}", f"datum.x == {base.SINGLE_X}"
    layers = [
        base.layer("line", lines, batch, strokeWidth=2),
        base.symbols(points, batch),
        base.hollow(points, single),
    ]
    what = "Share of the limit that binds, against batch size."
    return base.drawn(layers, {"": base.dodged(rows)}, names, what, 300)


def _shares(kernel: KernelExplanation) -> Iterator[Row]:
    for share in kernel.shares:
        if share.verdict is not None:
            yield {
                "kernel": kernel.kernel,
                "x": base.SINGLE_X if share.mode == "per_sample" else share.batch_size,
                "at": words.case(share.mode, share.batch_size),
                "value": share.verdict.share,
                "share": words.percent(share.verdict.share),
                "limit": limit_words(share.verdict),
            }


def hockney_chart(explanation: Explanation, names: Names) -> dict[str, Spec]:
    """Return the time of a call against batch size, measured and fitted, both logarithmic."""
    rows = [row for kernel in explanation.kernels for row in _calls(kernel)]
    sizes = [row["x"] for row in rows if row["kind"] == "call"]
    lines = {
        "x": base.log_axis("x", "batch size (rows per call)", sizes, base.COUNT_LABEL),
        "y": base.log_axis("y", "time of a call", [row["y"] for row in rows], base.TIME_LABEL),
        "color": base.colour(names),
    }
    titles = {"kernel": "kernel", "at": "batch size", "time": "measured", "fitted": "fitted"}
    points = lines | {"shape": base.shape(names), **base.telling(titles)}
    layers = [
        base.layer("line", lines, "datum.kind == 'line'", strokeWidth=2, clip=True),
        base.symbols(points, "datum.kind == 'call'"),
    ]
    what = "Time of a call against batch size, with the line fitted to it."
    return base.drawn(layers, {"": rows}, names, what, 330)


def _calls(kernel: KernelExplanation) -> Iterator[Row]:
    """Yield the measured calls, and points of the fitted line, where it is above 0: logarithmic axes bend it."""
    if kernel.fit is None:
        return
    line = kernel.fit.line
    for size, seconds in kernel.measured.items():
        at = {"kernel": kernel.kernel, "kind": "call", "x": size, "y": seconds, "at": f"{size:,}"}
        yield {**at, "time": words.seconds(seconds), "fitted": words.seconds(line.call_s(size))}
    for size in np.geomspace(line.first, line.last, 25):
        if (fitted := line.call_s(size)) > 0:
            yield {"kernel": kernel.kernel, "kind": "line", "x": float(f"{size:.6g}"), "y": float(f"{fitted:.6g}")}


CHARTS = {"waterfall": waterfall_charts, "share": share_chart, "hockney": hockney_chart}
