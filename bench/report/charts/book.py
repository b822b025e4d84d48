"""The book's cell, as an Altair specification: one bar for each way, made of the parts in order."""

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.analysis.book import BookFinding, Way
from mlpbench.bench.record.schema import PARTS, REST
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.style import PAGE
from mlpbench.bench.report.sections.book import PART_WORDS

#: Which of the theme's series is whose colour: far apart, as neighbours in the bar.
_COLOURS = {"load": 1, "initialise": 4, "infer": 0, "count": 2}
_BAR = 46


def book_chart(findings: Sequence[BookFinding], _: Sequence[str] = ()) -> dict[str, Any]:
    """Return the Vega-Lite specification of the stacked bars: seconds of each part, for each kernel and way."""
    several = len({finding.run for finding in findings}) > 1
    rows = [row for finding in findings for row in _of_finding(finding, several=several)]
    keys = list(dict.fromkeys(row["bar"] for row in rows))
    kernel, way = (f"split(datum.label, '|')[{line}]" for line in (0, 1))
    axis = base.name_axis(labelLimit=140, minExtent=105, labelExpr=f"[{base.marked(kernel)}, {way}]")
    x = base.seconds_axis("time for the book's images", 1.3 * max(row["x2"] for row in rows))
    bars = alt.Chart().encode(alt.Y("bar:N", sort=keys, axis=axis), x)
    told = {"kernel": "kernel", "way": "the cell", "part": "part", "time": "time", "share": "share"}
    parts = bars.transform_filter("datum.kind == 'part'").encode(**base.telling(told))
    whole = bars.transform_filter("datum.kind == 'whole'").encode(alt.X("x2:Q"), text=alt.Text("time:N"))
    names = [PART_WORDS[name] for name in (*PARTS, REST)]
    colours = [*(PAGE.series[_COLOURS[name]] for name in PARTS), PAGE.muted]
    layers = [
        base.stacked(parts, names, colours, columns=2, height=26, strokeWidth=0.5),
        whole.mark_text(align="left", dx=8, color=PAGE.ink, fontSize=12),
    ]
    what = "The book's cell, part by part, one at a time and in batches."
    return base.drawn(layers, rows, what, _BAR * len(keys))


def _of_finding(finding: BookFinding, *, several: bool) -> Iterator[dict[str, Any]]:
    if finding.apart is None:
        return
    batches = f"in batches of {finding.published.batch_size}"
    for way, said in ((finding.apart.one, "one at a time"), (finding.apart.batched, batches)):
        head = f"{finding.kernel}, {finding.run}" if several else finding.kernel
        at = {"kernel": finding.kernel, "way": said, "bar": f"{head}|{said}"}
        yield from ({**at, **row} for row in _segments(way))


def _segments(way: Way) -> Iterator[dict[str, Any]]:
    """Yield the parts one after the other, what they leave if that is more than nothing, and the whole."""
    at, rest = 0.0, max(way.rest_s, 0.0)
    parts = [(name, way.parts[name].value, words.duration(way.parts[name])) for name in PARTS]
    for name, time, said in [*parts, (REST, rest, words.seconds(rest))]:
        share = words.percent(time / way.whole.value)
        yield {"kind": "part", "part": PART_WORDS[name], "x": at, "x2": at + time, "time": said, "share": share}
        at += time
    yield {"kind": "whole", "part": "", "x": 0.0, "x2": at, "time": words.seconds(way.whole.value), "share": ""}


CHARTS = {"book": book_chart}
