"""The book's cell taken apart: what loading costs in it, and what its speedup is without. Knows no files.

The book's cell times four things in one: it loads the data, makes the network, infers all images, and counts the hits.
Loading takes as long however the images are then inferred, and so hides what batches gain.
"""

from __future__ import annotations

from dataclasses import dataclass
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

__all__ = ["Apart", "Way", "book_without_loading", "take_apart"]

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
