"""The experiment of the book, beside what the book prints.

*Deep Learning from Scratch* (Koki Saitoh, O'Reilly Japan 2016), chapter 3, "Batch processing": the 784-50-100-10
network over the 10,000 MNIST test images, one at a time and in batches of 100. Its cell loads the data and the weights,
infers and counts the hits, and all of that is in its time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from mlpbench.bench import words as units
from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.summary import CaseSummary, batched, of_kernels, one_at_a_time
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.schema import PARTS, REST
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
        """What follows from its two times (4.65); the text says "about 5 times faster"."""
        return self.one_s / self.batched_s

    def sentence(self) -> str:
        """Return the published figures as one sentence."""
        return (
            f"The book prints {units.seconds(self.one_s)} for {self.images:,} images one at a time and "
            f"{units.seconds(self.batched_s)} in batches of {self.batch_size}, loading included: {self.speedup:.2f}x "
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

    @property
    def adds_up(self) -> bool:
        """Whether the parts are the rounds, within 2 %: freeing what was read takes far less."""
        return abs(self.rest_s) <= 0.02 * self.whole.value


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
            f"{units.seconds(way.parts['load'].value)} of the {units.seconds(way.whole.value)} {words} "
            f"({units.percent(way.share('load'))})"
            for way, words in ways
        )
        alone = units.ratio(self.parts["infer"])
        without = f"{units.ratio(self.without_loading)} without loading, " if self.without_loading else ""
        gains = f"Batches are {units.ratio(self.whole)} as fast with loading in the clock, {without}{alone} inferring"
        yield f"With {kernel}, loading takes {loading}. {gains} alone."
        if self.of_book:
            share = self.batched.share("load")
            hidden, whole = units.seconds(share * BOOK.batched_s), units.seconds(BOOK.batched_s)
            yield (
                f"If loading took as long in both of the book's cells, and {units.percent(share)} of the batched one "
                f"({hidden} of its {whole}), its {BOOK.speedup:.2f}x would be {units.ratio(self.of_book)} without "
                "loading."
            )
        for way, words in ways:
            if not way.adds_up:
                left = units.percent(way.rest_s / way.whole.value)
                yield f"The parts of {kernel}'s cell do not add up {words}: they leave {left} of its time."


@dataclass(frozen=True)
class BookTimes:
    """Seconds for the book's images one at a time and in batches, and their ratio paired by repeat."""

    one: Estimate
    batched: Estimate
    speedup: Ratio | None

    def words(self) -> str:
        """Return the timing in words, without a full stop."""
        times = f"{units.seconds(self.one.value)} one at a time, {units.seconds(self.batched.value)} in batches"
        if self.speedup is None:
            return f"{times}; no repeat has both, so no ratio"
        return f"{times}: {units.ratio(self.speedup)}"


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
        alone, loading = units.ratio(self.alone.speedup), units.ratio(self.with_loading.speedup)
        return (
            f"The book's experiment with {self.kernel}: batches of {BOOK.batch_size} are {alone} as fast as "
            f"one at a time, {loading} with loading in the clock; the book prints {BOOK.speedup:.2f}x."
        )

    def sentences(self) -> list[str]:
        """Return the measured figures; `Published.sentence` has the book's."""
        head = f"The book's experiment with {self.kernel}, {BOOK.images:,} images"
        alone = self.alone.words() if self.alone else "not measured"
        loading = self.with_loading.words() if self.with_loading else "not measured"
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
