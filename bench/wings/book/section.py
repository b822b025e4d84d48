"""The experiment of the book, beside what the book prints, and its cell taken apart.

*Deep Learning from Scratch* (Koki Saitoh, O'Reilly Japan 2016), chapter 3, "Batch processing": the 784-50-100-10
network over the 10,000 MNIST test images, one at a time and in batches of 100. Its cell loads the data and the weights,
infers and counts the hits, and all of that is in its time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median

from mlpbench.bench import words
from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.summary import CaseSummary, batched, of_kernels, one_at_a_time
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.schema import PARTS, REST
from mlpbench.bench.report import charts
from mlpbench.bench.report.charts import INK, MUTED, SERIES, SURFACE, Names, Row, Spec
from mlpbench.bench.report.document import Block, Figure, Findings, Part, table
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Estimate, Ratio


@dataclass(frozen=True)
class Published:
    """What the book prints for ``images`` images: seconds one at a time and in batches, and the share of hits."""

    images: int = 10_000
    batch_size: int = 100
    one_s: float = 1.25
    batched_s: float = 0.269
    accuracy: float = 0.9352

    @property
    def speedup(self) -> float:
        """What follows from its two times: 4.65."""
        return self.one_s / self.batched_s

    def sentence(self) -> str:
        """Return the published figures as one sentence."""
        return (
            f"The book prints {words.seconds(self.one_s)} for {self.images:,} images one at a time and "
            f"{words.seconds(self.batched_s)} in batches of {self.batch_size}, loading included: {self.speedup:.2f}x "
            f'("about 5 times faster"; single times, so without an interval), and accuracy {self.accuracy}.'
        )


BOOK = Published()


@dataclass(frozen=True)
class Way:
    """The cell one at a time or in batches, in seconds for all images; ``rest_s`` is what its ``parts`` leave."""

    whole: Estimate
    parts: Mapping[str, Estimate]
    rest_s: float

    def share(self, part: str) -> float:
        """Return a part as a share of the whole."""
        return self.parts[part].value / self.whole.value


@dataclass(frozen=True)
class Apart:
    """Both ways of the cell, and one at a time / in batches: ``whole``, ``parts`` by name, all but ``load``.

    ``of_book``: what the published ratio becomes (`book_without_loading`), if the data are its. ``reads``: what was
    loaded, in words.
    """

    one: Way
    batched: Way
    whole: Ratio
    parts: Mapping[str, Ratio]
    without_loading: Ratio | None
    of_book: Ratio | None
    reads: str | None = None

    def sentences(self, kernel: str) -> Iterator[str]:
        """Yield what loading costs and hides, and what that would make of the book's figure."""
        ways = ((self.one, "one at a time"), (self.batched, "in batches"))
        loading = " and ".join(
            f"{words.seconds(way.parts['load'].value)} of the {words.seconds(way.whole.value)} {how} "
            f"({words.percent(way.share('load'))})"
            for way, how in ways
        )
        alone = words.ratio(self.parts["infer"])
        without = f"{words.ratio(self.without_loading)} without loading, " if self.without_loading else ""
        gains = f"Batches are {words.ratio(self.whole)} as fast with loading in the clock, {without}{alone} inferring"
        yield f"With {kernel}, loading takes {loading}. {gains} alone."
        if self.of_book:
            share = self.batched.share("load")
            hidden, whole = words.seconds(share * BOOK.batched_s), words.seconds(BOOK.batched_s)
            yield (
                f"If loading took as long in both of the book's cells, and {words.percent(share)} of the batched one "
                f"({hidden} of its {whole}), its {BOOK.speedup:.2f}x would be {words.ratio(self.of_book)} without "
                "loading."
            )


@dataclass(frozen=True)
class BookTimes:
    """Seconds for the book's images one at a time and in batches, and their ratio paired by repeat."""

    one: Estimate
    batched: Estimate
    speedup: Ratio | None

    def text(self) -> str:
        """Return the timing in words, without a full stop."""
        times = f"{words.seconds(self.one.value)} one at a time, {words.seconds(self.batched.value)} in batches"
        if self.speedup is None:
            return f"{times}; no repeat has both, so no ratio"
        return f"{times}: {words.ratio(self.speedup)}"


@dataclass(frozen=True)
class BookFinding:
    """One kernel in the book's experiment: inference alone, as the book times it, and the cell ``apart``, if known."""

    run: str
    kernel: str
    data: str
    alone: BookTimes | None
    with_loading: BookTimes | None
    accuracy: float | None
    apart: Apart | None = None
    published: Published = BOOK

    def lead(self) -> str | None:
        """Return the finding as one sentence; None where one of the four times is missing."""
        if not (self.alone and self.alone.speedup and self.with_loading and self.with_loading.speedup):
            return None
        alone, loading = words.ratio(self.alone.speedup), words.ratio(self.with_loading.speedup)
        return (
            f"The book's experiment with {self.kernel}: batches of {BOOK.batch_size} are {alone} as fast as "
            f"one at a time, {loading} with loading in the clock; the book prints {BOOK.speedup:.2f}x."
        )

    def sentences(self) -> list[str]:
        """Return the measured figures; `Published.sentence` has the book's."""
        head = f"The book's experiment with {self.kernel}, {BOOK.images:,} images"
        alone = self.alone.text() if self.alone else "not measured"
        loading = self.with_loading.text() if self.with_loading else "not measured"
        what = "" if self.data == "mnist" else f" of {self.data}, which is not the book's test set"
        accuracy = "no accuracy" if self.accuracy is None else f"accuracy {self.accuracy:.4f}{what}"
        return [
            f"{head}, inference alone: {alone}.",
            f"{head}, data and weights loaded and hits counted in the clock as in the book: {loading}; {accuracy}.",
            *(self.apart.sentences(self.kernel) if self.apart else ()),
        ]


def find(cases: Sequence[CaseSummary]) -> list[BookFinding]:
    """Return the finding for each kernel with cases of mode ``book`` among the cases of one run."""
    findings = []
    for kernel, of_kernel in of_kernels(cases).items():
        if whole := [case for case in of_kernel if case.mode == "book"]:
            alone = one_at_a_time(of_kernel), _in_batches(batched(of_kernel))
            loading = one_at_a_time(of_kernel, "book"), _in_batches(whole)
            accuracy = next((case.accuracy for case in whole if case.accuracy is not None), None)
            data, times_of = whole[0].sources[0][0].data.name, (_times(*alone), _times(*loading))
            findings.append(BookFinding(whole[0].run, kernel, data, *times_of, accuracy, _apart(*loading)))
    return findings


def _in_batches(cases: Iterable[CaseSummary]) -> CaseSummary | None:
    return next((case for case in cases if case.batch_size == BOOK.batch_size), None)


def _times(one: CaseSummary | None, batch: CaseSummary | None) -> BookTimes | None:
    if one is None or batch is None:
        return None
    return BookTimes(_total(one.sample), _total(batch.sample), times.ratio(one, batch))


def _total(sample: Estimate) -> Estimate:
    return sample.through(lambda seconds: BOOK.images * seconds)


def _apart(one: CaseSummary | None, batch: CaseSummary | None) -> Apart | None:
    """Return the cell taken apart; None where no repeat has the parts of both ways."""
    whole = times.ratio(one, batch) if one and batch else None
    if one is None or batch is None or whole is None or not all(both := (_parts(one), _parts(batch))):
        return None
    sides = times.pairs(one, batch)
    rests = [
        {repeat: seconds - parts["load"][repeat] for repeat, seconds in by_repeat.items()}
        for by_repeat, parts in zip(sides, both, strict=True)
    ]
    least = min(seconds for rest in rests for seconds in rest.values())
    shares = [both[1]["load"][repeat] / seconds for repeat, seconds in sides[1].items()]
    of_book = None
    if one.sources[0][0].data.name == "mnist" and max(shares) < 1:
        of_book = estimates.estimate(book_without_loading(share, BOOK.speedup) for share in shares)
    return Apart(
        one=_way(one),
        batched=_way(batch),
        whole=whole,
        parts={name: estimates.ratio(_only(both[0][name], sides[0]), _only(both[1][name], sides[0])) for name in PARTS},
        without_loading=estimates.ratio(rests[0], rests[1]) if least > 0 else None,
        of_book=of_book,
        reads=next((timing.reads for timing in one.timings if timing.reads), None),
    )


def book_without_loading(share: float, published: float) -> float:
    """Return what a published ratio is without loading, if loading takes ``share`` of its batched time.

    With loading L: R = (L + a) / (L + b); for L = share * (L + b), a / b = (R - share) / (1 - share).
    """
    return (published - share) / (1 - share)


def _parts(case: CaseSummary) -> Mapping[str, Mapping[int, float]]:
    """Return seconds per sample by part (and the rest) and repeat; empty unless all are known."""
    if not all(timing.parts_s for timing in case.timings):
        return {}
    by_part = grouped(
        (name, (record.repeat, call_s / time.timing.rows_per_call))
        for record, time in case.sources
        for name, call_s in time.parts_s.items()
    )
    return {name: dict(by_repeat) for name, by_repeat in by_part.items()}


def _only(by_repeat: Mapping[int, float], repeats: Iterable[int]) -> dict[int, float]:
    return {repeat: by_repeat[repeat] for repeat in repeats}


def _way(case: CaseSummary) -> Way:
    counting = {name: _only(by_repeat, case.by_repeat) for name, by_repeat in _parts(case).items()}
    parts = {name: _total(estimates.estimate(counting[name])) for name in PARTS}
    return Way(_total(case.sample), parts, BOOK.images * median(counting[REST].values()))


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
        yield row("the cell without loading", [*map(words.seconds, left)], shares, words.ratio(apart.without_loading))


def found(findings: Findings) -> list[BookFinding]:
    """Return the finding of each kernel of each run."""
    return [cell for _, cases in findings.by_run for cell in find(cases)]


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
        data={"headline.book": lambda findings: [words.plain(asdict(cell)) for cell in findings.of(found)]},
    ),
)
