"""The chart of the book's cell, as an Altair specification: one bar for each way, made of the parts in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from mlpbench.bench import words as units
from mlpbench.bench.analysis.explain_words import percent
from mlpbench.bench.record.book_parts import PARTS, REST
from mlpbench.bench.report.charts.parts import drawn, seconds_axis
from mlpbench.bench.report.charts.style import PAGE, Theme
from mlpbench.bench.report.sections.book import CHART, PART_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlpbench.bench.analysis.book import BookFinding, Way


#: Which of the theme's series is whose colour: far apart, as neighbours in the bar.
_COLOURS = {"load": 1, "initialise": 4, "infer": 0, "count": 2}
_BAR = 46


def charts(findings: Sequence[BookFinding], theme: Theme = PAGE) -> dict[str, dict[str, Any]]:
    """Return the chart by its name; nothing where no parts were recorded."""
    found = [finding for finding in findings if finding.apart is not None]
    return {CHART: book_chart(found, theme)} if found else {}


def book_chart(findings: Sequence[BookFinding], theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of the stacked bars: seconds of each part, for each kernel and way."""
    several = len({finding.run for finding in findings}) > 1
    rows = [row for finding in findings for row in _of_finding(finding, several=several)]
    names = [PART_WORDS[name] for name in (*PARTS, REST)]
    colours = [*(theme.series[_COLOURS[name]] for name in PARTS), theme.muted]
    keys = list(dict.fromkeys(row["bar"] for row in rows))
    axis = alt.Axis(
        title=None, ticks=False, domain=False, labelLimit=140, minExtent=105, labelExpr="split(datum.label, '|')"
    )
    x = seconds_axis("time for the book's images", 1.3 * max(row["x2"] for row in rows))
    base = alt.Chart().encode(alt.Y("bar:N", sort=keys, axis=axis), x)
    told = (("kernel", "kernel"), ("way", "the cell"), ("part", "part"), ("time", "time"), ("share", "share"))
    tips = [alt.Tooltip(f"{name}:N", title=title) for name, title in told]
    colour = alt.Color("part:N", sort=names, scale=alt.Scale(domain=names, range=colours), title=None)
    layers = [
        base.transform_filter("datum.kind == 'part'")
        .encode(alt.X2("x2:Q"), colour, tooltip=tips)
        .mark_bar(height=26, stroke=theme.surface, strokeWidth=0.5),
        base.transform_filter("datum.kind == 'whole'")
        .encode(alt.X("x2:Q"), text="time:N")
        .mark_text(align="left", dx=8, color=theme.ink, fontSize=12),
    ]
    chart = drawn(layers, rows, theme, "The book's cell, part by part, one by one and in batches.", _BAR * len(keys))
    # The page's own legend names kernels: this one names the parts.
    chart["config"]["legend"] = {
        "orient": "top",
        "columns": 2,
        "columnPadding": 24,
        "labelColor": theme.ink,
        "labelFontSize": 12,
    }
    return chart


def _of_finding(finding: BookFinding, *, several: bool) -> Iterator[dict[str, Any]]:
    if finding.apart is None:
        return
    batches = f"in batches of {finding.published.batch_size}"
    for way, words in ((finding.apart.one, "one by one"), (finding.apart.batched, batches)):
        head = f"{finding.kernel}, {finding.run}" if several else finding.kernel
        at = {"kernel": finding.kernel, "run": finding.run, "way": words, "bar": f"{head}|{words}"}
        yield from ({**at, **row} for row in _segments(way))


def _segments(way: Way) -> Iterator[dict[str, Any]]:
    """Yield the parts one after the other, what they leave if that is more than nothing, and the whole."""
    at = 0.0
    parts = [(name, way.parts[name].value, units.duration(way.parts[name])) for name in PARTS]
    for name, time, words in [*parts, (REST, max(way.rest_s, 0.0), units.seconds(max(way.rest_s, 0.0)))]:
        share = percent(time / way.whole.value)
        yield {"kind": "part", "part": PART_WORDS[name], "x": at, "x2": at + time, "time": words, "share": share}
        at += time
    yield {"kind": "whole", "part": "", "x": 0.0, "x2": at, "time": units.seconds(way.whole.value), "share": ""}
