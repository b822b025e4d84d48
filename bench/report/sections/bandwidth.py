"""The report's part on where the gain is bandwidth: sentences, a table, a chart for each comparison of levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpbench.bench.analysis import bandwidth
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.bandwidth_words import CAPTION, FINDING, NAMES, NUMBERS, heading, row, sentences
from mlpbench.bench.analysis.explain_words import PART_WORDS, part_words
from mlpbench.bench.report.document import Block, Column, Figure, Paragraph, Points, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlpbench.bench.analysis.bandwidth import Group
    from mlpbench.bench.analysis.explain import Explanation


_READING = (
    "Each bar is what batching saves one kernel on one network, and its pieces are the causes: bandwidth is the piece "
    "weights reused, and where a piece reaches left of 0 % the others explain more than there is."
)


def chart_name(number: int) -> str:
    """Return the name of the chart of a comparison."""
    return f"bandwidth-{number}"


def blocks(explanations: Sequence[Explanation]) -> tuple[Block, ...]:
    """Return the part's content; nothing where no kernel has weights in two levels."""
    found = bandwidth.groups(explanations)
    return tuple(block for number, one in enumerate(found) for block in _of(one, number, several=len(found) > 1))


def _of(found: Group, number: int, *, several: bool) -> Iterator[Block]:
    after = f" With {heading(found)}:" if several else ""
    yield Paragraph(f'Is it the bandwidth? The book\'s "bus bandwidth", tested.{after}')
    yield Points(tuple(sentences(found)))
    columns = (*map(Column, (*NAMES, FINDING)), *(Column(name, number=True) for name in NUMBERS))
    yield Table(CAPTION, columns, tuple(map(row, found.by_kernel)), heads=len(NAMES))
    if any(place.attribution for place in found.places):
        title = f"What the gain is made of, where the weights lie{f', {heading(found)}' if several else ''}"
        yield Figure(chart_name(number), title, _READING, _parts_table(found))


def _parts_table(found: Group) -> Table:
    rows = tuple(
        (place.kernel, place.spec, *(part_words(parts.parts[name], parts) for name in PARTS))
        for place in found.by_kernel
        if (parts := place.attribution) is not None
    )
    names = (PART_WORDS[name] for name in PARTS)
    columns = (Column("kernel"), Column("network"), *(Column(name, number=True) for name in names))
    return Table("The same as times per sample: intervals are 95 % over repeats.", columns, rows, heads=2)
