"""The report's section on the book's cell: its four parts, one at a time and in batches, and what loading hides."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.record.schema import PARTS, REST
from mlpbench.bench.report import charts
from mlpbench.bench.report.charts import INK, MUTED, SERIES, SURFACE, Names, Row, Spec
from mlpbench.bench.report.document import Block, Figure, Findings, Part, table
from mlpbench.bench.wings.book import finding
from mlpbench.bench.wings.book.finding import BOOK, Apart, BookFinding, Way

_PARTS = {"load": "loading the data", "initialise": "initialising", "infer": "inferring", "count": "counting"}
PART_WORDS = {**_PARTS, REST: "the rest"}
_READING = (
    "Each bar is the book's cell, from left to right in the order of its parts: what both bars share, loading, is what "
    "batches cannot shorten, and so it hides what they gain in the part called inferring."
)
_NUMBERS = ("one at a time", "share", "in batches", "share of it", "one at a time / in batches")


def _blocks(findings: Findings) -> tuple[Block, ...]:
    """Return the section's content; nothing where no parts were recorded."""
    cells = [(cell, cell.apart) for cell in findings.of(found) if cell.apart is not None]
    if not cells:
        return ()
    # What is said of every kernel is said once.
    texts = dict.fromkeys(text for cell, apart in cells for text in _sentences(cell.kernel, apart))
    rows = [row for cell, apart in cells for row in _rows(cell.kernel, apart)]
    caption = (
        f"The parts of the book's cell over {BOOK.images:,} images, in order: median over repeats, with the 95 % "
        "interval in brackets. Initialising reads the weights and makes the network; inferring picks the class of "
        "each image too; the rest is freeing what was read."
    )
    numbers = table(caption, ("kernel", "part"), _NUMBERS, rows=rows)
    title, drawn = "Where the time of the book's cell goes", [cell for cell, _ in cells]
    return tuple(texts), Figure("book", title, _READING, numbers, partial(book_chart, drawn))


def _sentences(kernel: str, apart: Apart) -> Iterator[str]:
    """Yield what limits the figure about the book, and what was read; the finding itself stands in the heading."""
    if apart.of_book is not None:
        yield (
            "The interval of the book's figure covers our share of loading. The book's own share, on its machine and "
            f"with its files, is not known. In any case its ratio without loading is above {BOOK.speedup:.2f}x."
        )
    if apart.reads:
        yield f"The cell of {kernel} loads {apart.reads}. The book's loads both halves of MNIST from one file."


def _rows(kernel: str, apart: Apart) -> Iterator[tuple[str, ...]]:
    """Yield each part both ways, what they leave, the whole, and where it is known the whole without loading."""
    ways = (apart.one, apart.batched)

    def row(part: str, times: Sequence[str], shares: Sequence[float], gain: str) -> tuple[str, ...]:
        cells = (cell for time, share in zip(times, shares, strict=True) for cell in (time, words.percent(share)))
        return (kernel, part, *cells, gain)

    for name in PARTS:
        times = [words.duration(way.parts[name]) for way in ways]
        yield row(PART_WORDS[name], times, [way.share(name) for way in ways], words.ratio(apart.parts[name]))
    rests = [way.rest_s / way.whole.value for way in ways]
    yield row(PART_WORDS[REST], [words.seconds(way.rest_s) for way in ways], rests, "")
    yield row("the whole cell", [words.duration(way.whole) for way in ways], [1.0, 1.0], words.ratio(apart.whole))
    if apart.without_loading:
        left = [way.whole.value - way.parts["load"].value for way in ways]
        shares = [time / way.whole.value for time, way in zip(left, ways, strict=True)]
        gain = words.ratio(apart.without_loading)
        yield row("the cell without loading", list(map(words.seconds, left)), shares, gain)


def found(findings: Findings) -> list[BookFinding]:
    """Return the finding of each kernel of each run."""
    return [cell for _, cases in findings.by_run for cell in finding.find(cases)]


def _answer(findings: Findings) -> str | None:
    """Return the first figure; without one, nothing to say of runs of the book alone."""
    profiles = {run.plan.profile for run in findings.runs if run.plan}
    return next(filter(None, (cell.lead() for cell in findings.of(found))), "" if profiles == {"book"} else None)


def _notes(findings: Findings) -> list[str]:
    """Return the measured figures, run by run, and the book's."""
    titles = {run.name: f"{run.title}: " if findings.several else "" for run in findings.runs}
    cells = findings.of(found)
    notes = [titles.get(cell.run, f"{cell.run}: ") + text for cell in cells for text in cell.sentences()]
    return [*notes, BOOK.sentence()] if cells else []


def _as_data(cell: BookFinding) -> dict[str, Any]:
    data: dict[str, Any] = words.plain(asdict(cell))
    return data


#: Neighbours in the bar are far apart.
_COLOURS = {"load": SERIES[1], "initialise": SERIES[3], "infer": SERIES[0], "count": SERIES[2], REST: MUTED}


def book_chart(findings: Sequence[BookFinding], names: Names) -> dict[str, Spec]:
    """Return the stacked bars: seconds of each part, for each kernel and way."""
    several = len({finding.run for finding in findings}) > 1
    rows = [row for finding in findings for row in _of_finding(finding, names, several=several)]
    keys = list(dict.fromkeys(row["bar"] for row in rows))
    seconds = {"labelExpr": f"datum.value == 0 ? '0' : {charts.TIME_LABEL}", "tickCount": 5, "labelOverlap": True}
    domain = {"domain": [0, 1.3 * max(row["x2"] for row in rows)], "nice": False}
    legend = {"title": None, "orient": "top", "columns": 2, "columnPadding": 24, "labelColor": INK, "labelFontSize": 12}
    parts = [PART_WORDS[name] for name in (*PARTS, REST)]
    scale = {"domain": parts, "range": [_COLOURS[name] for name in (*PARTS, REST)]}
    axis = {**charts.NAME_AXIS, "labelLimit": 140, "minExtent": 105, "labelExpr": "split(datum.label, '|')"}
    y = charts.field("bar", "nominal", sort=keys, axis=axis)
    x = charts.field("x", title="time for the book's images", scale=domain, axis=seconds | {"labelSeparation": 8})
    titles = {"kernel": "kernel", "way": "the cell", "part": "part", "time": "time", "share": "share"}
    colour = charts.field("part", "nominal", sort=parts, scale=scale, legend=legend)
    bars = {"x": x, "x2": {"field": "x2"}, "y": y, "color": colour, **charts.telling(titles)}
    whole = {"x": charts.field("x2"), "y": y, "text": charts.field("time", "nominal")}
    layers = [
        charts.layer("bar", bars, "datum.kind == 'part'", height=26, stroke=SURFACE, strokeWidth=0.5),
        charts.layer("text", whole, "datum.kind == 'whole'", align="left", dx=8, color=INK, fontSize=12),
    ]
    what = "The book's cell, part by part, one at a time and in batches."
    return charts.drawn(layers, {"": rows}, names, what, 46 * len(keys))


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


SECTIONS = (
    Part(
        100,
        "book",
        "Where the time of the book's cell goes",
        _blocks,
        answer=_answer,
        notes=_notes,
        data={"headline.book": lambda findings: list(map(_as_data, findings.of(found)))},
    ),
)
