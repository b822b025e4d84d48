"""The experiment of the book, beside what the book prints.

*Deep Learning from Scratch* (Koki Saitoh, O'Reilly Japan 2016), chapter 3, "Batch processing": the 784-50-100-10
network over the 10,000 MNIST test images, one at a time and in batches of 100. Its cell loads the data and the weights,
infers and counts the hits, and all of that is in its time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from mlpbench.bench import words as units
from mlpbench.bench.analysis.book_apart import take_apart
from mlpbench.bench.analysis.summary import batched, one_at_a_time, speedup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.analysis.book_apart import Apart
    from mlpbench.bench.analysis.summary import CaseSummary
    from mlpbench.bench.stats.estimates import Estimate, Ratio

__all__ = ["BOOK", "BookFinding", "Published", "Timing", "find"]


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
