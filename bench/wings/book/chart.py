"""The book's cell: one bar for each way, made of the parts in order."""

from collections.abc import Iterator, Sequence

from mlpbench.bench import words
from mlpbench.bench.record.schema import PARTS, REST
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Names, Row, Spec
from mlpbench.bench.report.charts.style import INK, MUTED, SERIES, SURFACE
from mlpbench.bench.wings.book.finding import BookFinding, Way
from mlpbench.bench.wings.book.section import PART_WORDS

#: Neighbours in the bar are far apart.
_COLOURS = {"load": SERIES[1], "initialise": SERIES[3], "infer": SERIES[0], "count": SERIES[2], REST: MUTED}


def book_chart(findings: Sequence[BookFinding], names: Names) -> dict[str, Spec]:
    """Return the stacked bars: seconds of each part, for each kernel and way."""
    several = len({finding.run for finding in findings}) > 1
    rows = [row for finding in findings for row in _of_finding(finding, names, several=several)]
    keys = list(dict.fromkeys(row["bar"] for row in rows))
    seconds = {"labelExpr": f"datum.value == 0 ? '0' : {base.TIME_LABEL}", "tickCount": 5, "labelOverlap": True}
    domain = {"domain": [0, 1.3 * max(row["x2"] for row in rows)], "nice": False}
    legend = {"title": None, "orient": "top", "columns": 2, "columnPadding": 24, "labelColor": INK, "labelFontSize": 12}
    parts = [PART_WORDS[name] for name in (*PARTS, REST)]
    scale = {"domain": parts, "range": [_COLOURS[name] for name in (*PARTS, REST)]}
    axis = base.name_axis(labelLimit=140, minExtent=105, labelExpr="split(datum.label, '|')")
    y = base.field("bar", "nominal", sort=keys, axis=axis)
    x = base.field("x", title="time for the book's images", scale=domain, axis=seconds | {"labelSeparation": 8})
    titles = {"kernel": "kernel", "way": "the cell", "part": "part", "time": "time", "share": "share"}
    colour = base.field("part", "nominal", sort=parts, scale=scale, legend=legend)
    bars = {"x": x, "x2": {"field": "x2"}, "y": y, "color": colour, **base.telling(titles)}
    whole = {"x": base.field("x2"), "y": y, "text": base.field("time", "nominal")}
    layers = [
        base.layer("bar", bars, "datum.kind == 'part'", height=26, stroke=SURFACE, strokeWidth=0.5),
        base.layer("text", whole, "datum.kind == 'whole'", align="left", dx=8, color=INK, fontSize=12),
    ]
    what = "The book's cell, part by part, one at a time and in batches."
    return base.drawn(layers, {"": rows}, names, what, 46 * len(keys))


def _of_finding(finding: BookFinding, names: Names, *, several: bool) -> Iterator[Row]:
    if finding.apart is None:
        return
    batches = f"in batches of {finding.published.batch_size}"
    for way, how in ((finding.apart.one, "one at a time"), (finding.apart.batched, batches)):
        bar = f"{names[finding.kernel]}{f', {finding.run}' if several else ''}|{how}"
        yield from ({"kernel": finding.kernel, "way": how, "bar": bar, **row} for row in _segments(way))


def _segments(way: Way) -> Iterator[Row]:
    """Yield the parts one after the other, what they leave if that is more than nothing, and the whole."""
    start, rest = 0.0, max(way.rest_s, 0.0)
    parts = [(name, way.parts[name].value, words.duration(way.parts[name])) for name in PARTS]
    for name, time, text in [*parts, (REST, rest, words.seconds(rest))]:
        share = words.percent(time / way.whole.value)
        yield {"kind": "part", "part": PART_WORDS[name], "x": start, "x2": start + time, "time": text, "share": share}
        start += time
    yield {"kind": "whole", "part": "", "x": 0.0, "x2": start, "time": words.seconds(way.whole.value), "share": ""}


CHARTS = {"book": book_chart}
