"""The experiment of the book, beside what the book prints.

*Deep Learning from Scratch* (Koki Saitoh, O'Reilly Japan 2016), chapter 3, "Batch processing": the 784-50-100-10
network over the 10,000 MNIST test images, one at a time and in batches of 100. Its cell loads the data and the weights,
infers and counts the hits, and all of that is in its time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING

from mlpbench.bench import words as units
from mlpbench.bench.analysis.explain_words import percent
from mlpbench.bench.record.book_parts import PARTS, REST
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Estimate, Ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlpbench.bench.analysis.summary import CaseSummary

from mlpbench.bench.analysis.summary import batched, one_at_a_time, speedup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.analysis.summary import CaseSummary
    from mlpbench.bench.stats.estimates import Estimate


@dataclass(frozen=True)
class Published:
    """What the book prints for ``images`` images: seconds one by one and in batches, and the share of hits."""

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
        """Return the published figures as one sentence. Its ratio has no interval: the book gives single times."""
        return (
            f"The book prints {units.seconds(self.one_s)} for {self.images:,} images one by one and "
            f"{units.seconds(self.batched_s)} in batches of {self.batch_size}, loading included: {self.speedup:.2f}x "
            f'("about 5 times faster"; single times, so without an interval), and accuracy {self.accuracy}.'
        )


BOOK = Published()


@dataclass(frozen=True)
class Timing:
    """Seconds for the book's 10,000 images one at a time and in batches of 100, and their ratio paired by repeat."""

    one: Estimate
    batched: Estimate
    speedup: Ratio | None

    def words(self) -> str:
        """Return the timing in words, without a full stop."""
        times = f"{units.seconds(self.one.value)} one by one, {units.seconds(self.batched.value)} in batches"
        if self.speedup is None:
            return f"{times}; no repeat has both, so no ratio"
        return f"{times}: {units.ratio(self.speedup)}"


@dataclass(frozen=True)
class BookFinding:
    """One kernel in the book's experiment, inference alone and as the book times it; None where not measured.

    ``apart``: the parts of the book's cell; None where they were not recorded, as in older files.
    """

    run: str
    kernel: str
    data: str
    alone: Timing | None
    with_loading: Timing | None
    accuracy: float | None
    apart: Apart | None = None
    published: Published = BOOK

    def lead(self) -> str | None:
        """Return the finding as one sentence; None where one of the four times is missing."""
        if not (self.alone and self.alone.speedup and self.with_loading and self.with_loading.speedup):
            return None
        alone, loading = units.ratio(self.alone.speedup), units.ratio(self.with_loading.speedup)
        return (
            f"The book's experiment with {self.kernel}: batches of {self.published.batch_size} are {alone} as fast as "
            f"one at a time, {loading} with loading in the clock; the book prints {self.published.speedup:.2f}x."
        )

    def sentences(self) -> list[str]:
        """Return the measured figures; `Published.sentence` has the book's."""
        head = f"The book's experiment with {self.kernel}, {self.published.images:,} images"
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
    for kernel, group in groupby(cases, lambda case: case.kernel):
        of_kernel = list(group)
        whole = [case for case in of_kernel if case.mode == "book"]
        if not whole:
            continue
        in_batches = [case for case in batched(of_kernel) if case.batch_size == BOOK.batch_size]
        whole_batched = [case for case in whole if case.batch_size == BOOK.batch_size]
        whole_one, data = one_at_a_time(of_kernel, "book"), of_kernel[0].data
        findings.append(
            BookFinding(
                run=of_kernel[0].run,
                kernel=kernel,
                data=data,
                alone=_timing(one_at_a_time(of_kernel), in_batches),
                with_loading=_timing(whole_one, whole_batched),
                accuracy=next((case.accuracy for case in whole if case.accuracy is not None), None),
                apart=_apart(whole_one, whole_batched, data),
            )
        )
    return findings


def _timing(one: CaseSummary | None, in_batches: Sequence[CaseSummary]) -> Timing | None:
    if one is None or not in_batches:
        return None
    return Timing(_total(one.sample), _total(in_batches[0].sample), speedup(one, in_batches[0]))


def _apart(one: CaseSummary | None, in_batches: Sequence[CaseSummary], data: str) -> Apart | None:
    if one is None or not in_batches:
        return None
    published = BOOK.one_s, BOOK.batched_s
    return take_apart(one, in_batches[0], BOOK.images, published, books_data=data == "mnist")


def _total(sample: Estimate) -> Estimate:
    """Return the time for all images from the time per sample."""
    n = BOOK.images
    return replace(sample, value=sample.value * n, low=sample.low * n, high=sample.high * n)


#: The share of a round that its parts may leave: freeing what was read takes far less.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Way:
    """The cell in one way, one by one or in batches: seconds for all images.

    ``parts`` by name; ``rest_s`` is what they leave of a round.
    """

    whole: Estimate
    parts: Mapping[str, Estimate]
    rest_s: float

    def share(self, part: str) -> float:
        """Return a part as a share of the whole."""
        return self.parts[part].value / self.whole.value

    @property
    def adds_up(self) -> bool:
        """Whether the parts are the rounds, within `TOLERANCE`."""
        return abs(self.rest_s) <= TOLERANCE * self.whole.value


@dataclass(frozen=True)
class Apart:
    """Both ways of the cell. Ratios are one by one / in batches, paired by repeat.

    ``parts`` by name: the ratio of a part alone. ``without_loading``: of everything but ``load``; None where loading is
    as long as the whole. ``of_book``: what the published ratio becomes, see `book_without_loading`; None where the
    data are not the book's. ``reads``: what was loaded, in words.
    """

    one: Way
    batched: Way
    whole: Ratio
    parts: Mapping[str, Ratio]
    without_loading: Ratio | None
    of_book: Ratio | None
    published: float
    published_batched_s: float
    reads: str | None

    def sentences(self, kernel: str) -> list[str]:
        """Return the finding: what loading costs and hides, and what that would make of the book's figure."""
        ways = ((self.one, "one by one"), (self.batched, "in batches"))
        loading = " and ".join(
            f"{units.seconds(way.parts['load'].value)} of the {units.seconds(way.whole.value)} {words} "
            f"({percent(way.share('load'))})"
            for way, words in ways
        )
        alone = units.ratio(self.parts["infer"])
        without = f"{units.ratio(self.without_loading)} without loading, " if self.without_loading else ""
        first = (
            f"Of the book's cell with {kernel}, loading the data is {loading}: batches are {units.ratio(self.whole)} "
            f"as fast with everything in the clock, {without}{alone} inferring alone."
        )
        found = [first]
        found += [self._book_sentence(self.of_book)] if self.of_book else []
        return found + [
            f"The parts of {kernel}'s cell do not add up {words}: they leave "
            f"{percent(way.rest_s / way.whole.value)} of its time."
            for way, words in ways
            if not way.adds_up
        ]

    def _book_sentence(self, ratio: Ratio) -> str:
        share = self.batched.share("load")
        hidden, whole = (units.seconds(time) for time in (share * self.published_batched_s, self.published_batched_s))
        return (
            f"The book's {self.published:.2f}x would be {units.ratio(ratio)} without loading, if loading took as long "
            f"in both of its cells and {percent(share)} of the batched one, as here: {hidden} of its {whole}."
        )


def take_apart(
    one: CaseSummary, batched: CaseSummary, images: int, published_s: tuple[float, float], *, books_data: bool
) -> Apart | None:
    """Return the cell taken apart, for so many images; None where no repeat has the parts of both ways.

    ``published_s``: the book's seconds one by one and in batches. ``books_data``: whether the data are the book's, so
    that the share of loading can stand for the book's.
    """
    common = one.by_repeat.keys() & batched.by_repeat.keys()
    if not (one.parts and batched.parts and common):
        return None
    published = published_s[0] / published_s[1]
    shares = {repeat: batched.parts["load"][repeat] / batched.by_repeat[repeat] for repeat in common}
    return Apart(
        one=_way(one, images),
        batched=_way(batched, images),
        whole=estimates.ratio(one.by_repeat, batched.by_repeat),
        parts={name: estimates.ratio(one.parts[name], batched.parts[name]) for name in PARTS},
        without_loading=_without(one, batched, common),
        of_book=_of_book(shares, published) if books_data else None,
        published=published,
        published_batched_s=published_s[1],
        reads=one.reads,
    )


def book_without_loading(share: float, published: float) -> float:
    """Return what a published ratio is without loading, if loading takes ``share`` of its batched time.

    With loading L and the rest a one by one, b in batches, the published ratio is R = (L + a) / (L + b). For
    L = share * (L + b), the same in both, a / b = (R - share) / (1 - share).
    """
    return (published - share) / (1 - share)


def _way(case: CaseSummary, images: int) -> Way:
    whole = _scaled(case.by_repeat, images)
    parts = {name: _scaled(case.parts[name], images) for name in PARTS}
    return Way(whole, parts, images * median(case.parts[REST].values()))


def _scaled(by_repeat: Mapping[int, float], images: int) -> Estimate:
    return estimates.estimate({repeat: value * images for repeat, value in by_repeat.items()})


def _without(one: CaseSummary, batched: CaseSummary, common: Iterable[int]) -> Ratio | None:
    rest_one, rest_batched = (
        {repeat: case.by_repeat[repeat] - case.parts["load"][repeat] for repeat in common} for case in (one, batched)
    )
    if min((*rest_one.values(), *rest_batched.values())) <= 0:
        return None
    return estimates.ratio(rest_one, rest_batched)


def _of_book(shares: Mapping[int, float], published: float) -> Ratio | None:
    if max(shares.values()) >= 1:
        return None
    found = estimates.estimate({at: book_without_loading(share, published) for at, share in shares.items()})
    return Ratio(found.value, found.low, found.high, found.n, True, found.reason)
