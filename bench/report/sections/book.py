"""The report's section on the book's cell: its four parts, one by one and in batches, and what loading hides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpbench.bench import words
from mlpbench.bench.analysis.explain_words import percent, signed
from mlpbench.bench.record.book_parts import PARTS, REST
from mlpbench.bench.report.document import Block, Column, Figure, Points, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlpbench.bench.analysis.book import Apart, BookFinding, Way


CHART = "book"
PART_WORDS = {
    "load": "loading the data",
    "initialise": "initialising",
    "infer": "inferring",
    "count": "counting",
    REST: "the rest",
}
_READING = (
    "Each bar is the book's cell, from left to right in the order of its parts: what both bars share, loading, is what "
    "batches cannot shorten, and so it hides what they gain in the part called inferring."
)
_NUMBERS = ("one by one", "share", "in batches", "share of it", "one by one / in batches")


def blocks(findings: Sequence[BookFinding]) -> tuple[Block, ...]:
    """Return the section's content; nothing where no parts were recorded."""
    found = [(finding, finding.apart) for finding in findings if finding.apart is not None]
    if not found:
        return ()
    said = [text for finding, apart in found for text in (*apart.sentences(finding.kernel), *_caveats(finding, apart))]
    said = list(dict.fromkeys(said))  # what is said of every kernel is said once
    rows = tuple(row for finding, apart in found for row in _rows(finding.kernel, apart))
    images = found[0][0].published.images
    caption = (
        f"The parts of the book's cell over {images:,} images, in order: median over repeats, with the 95 % interval "
        "in brackets. Initialising reads the weights and makes the network; inferring picks the class of each image "
        "too; the rest is freeing what was read."
    )
    columns = (Column("kernel"), Column("part"), *(Column(name, number=True) for name in _NUMBERS))
    table = Table(caption, columns, rows, heads=2)
    return Points(tuple(said)), Figure(CHART, "Where the time of the book's cell goes", _READING, table)


def _caveats(finding: BookFinding, apart: Apart) -> Iterator[str]:
    """Yield what limits the figure about the book, and what was read."""
    if apart.of_book is not None:
        yield (
            "The interval of the book's figure is that of our share of loading, and says nothing about the book's own "
            "share, on its machine and with its files, which is not known. Whatever it was: without loading, its ratio "
            f"is above {apart.published:.2f}x."
        )
    if apart.reads:
        yield f"The cell of {finding.kernel} loads {apart.reads}. The book's loads both halves of MNIST from one file."


def _rows(kernel: str, apart: Apart) -> Iterator[tuple[str, ...]]:
    for name in PARTS:
        cells = (*_cells(apart.one, name), *_cells(apart.batched, name))
        yield (kernel, PART_WORDS[name], *cells, words.ratio(apart.parts[name]))
    rests = [cell for way in (apart.one, apart.batched) for cell in (signed(way.rest_s), _of(way, way.rest_s))]
    yield (kernel, PART_WORDS[REST], *rests, "")
    wholes = [cell for way in (apart.one, apart.batched) for cell in (words.duration(way.whole), "100 %")]
    yield (kernel, "the whole cell", *wholes, words.ratio(apart.whole))
    if apart.without_loading:
        left = [way.whole.value - way.parts["load"].value for way in (apart.one, apart.batched)]
        cells_left = [
            cell
            for way, time in zip((apart.one, apart.batched), left, strict=True)
            for cell in (words.seconds(time), _of(way, time))
        ]
        yield (kernel, "the cell without loading", *cells_left, words.ratio(apart.without_loading))


def _cells(way: Way, name: str) -> tuple[str, str]:
    return words.duration(way.parts[name]), percent(way.share(name))


def _of(way: Way, time: float) -> str:
    return percent(time / way.whole.value)
