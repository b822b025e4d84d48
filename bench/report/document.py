"""What a report says, whatever it looks like: sections of paragraphs, tables and figures, all plain text.

Every text here may come from a file of unknown origin. It is not escaped for anything: each format does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlpbench.bench.analysis.headline import Headline, Overview
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.record.runs import Run
from mlpbench.bench.trust.latency import Budget, InputFinding, Latency
from mlpbench.bench.trust.state import State


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """Words to type, one line."""

    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers stand on the right."""

    name: str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts; the first `heads` columns name the row. A page lets readers sort the rows."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    heads: int = 1


def columns(texts: Iterable[str], numbers: Iterable[str] = (), last: Iterable[str] = ()) -> tuple[Column, ...]:
    """Return columns of texts, after them columns of numbers, and after those the ``last`` of texts."""
    return (*map(Column, texts), *(Column(name, number=True) for name in numbers), *map(Column, last))


def table_of_runs(
    caption: str, columns: tuple[Column, ...], rows: Iterable[tuple[str, ...]], heads: int = 1, *, several: bool
) -> Table:
    """Return a table of rows that begin with the name of their run, which has a column where there are ``several``."""
    if several:
        return Table(caption, (Column("run"), *columns), tuple(rows), heads + 1)
    return Table(caption, columns, tuple(row[1:] for row in rows), heads)


@dataclass(frozen=True)
class Figure:
    """A chart, how to read it, and a table for formats that cannot draw it.

    ``name`` is the kind of the chart, ``speedup``, and where there may be several of a kind its number: ``roofline-0``.
    ``data`` is what the kind's chart is drawn from; ``columns``: how many of its panels stand beside each other, None
    where that is left to the page.
    """

    name: str
    title: str
    reading: str
    table: Table
    data: Any = field(repr=False)
    columns: int | None = None

    @property
    def kind(self) -> str:
        """The kind of its chart."""
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class Fold:
    """Blocks that a page shows when their title is opened; other formats show them below it at once."""

    title: str
    blocks: tuple[Block, ...]


Block = Paragraph | Points | Command | Table | Figure | Fold
#: From more runs than this on, what is said of each of them would be most of a page.
MANY_RUNS = 2


@dataclass(frozen=True)
class Section:
    """A headed part; ``slug`` is its anchor. A page shows one that is ``folded`` when its heading is opened."""

    slug: str
    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


@dataclass(frozen=True)
class Judgement:
    """How far one run can be trusted: derived once, for all sections, charts and formats.

    ``cost_s``: what a call of the harness costs by mode, in seconds, the median over processes; None where the files do
    not say. ``budgets``: what kernels can do within a p99.
    """

    run: Run
    state: State
    cost_s: dict[str, float | None]
    latencies: list[Latency]
    budgets: list[Budget]
    inputs: list[InputFinding]


@dataclass(frozen=True, repr=False)
class Document:
    """A whole report. ``runs`` and ``cases`` are what its texts were made of; ``notices`` stand beside the headline.

    ``chips``: what was measured, where and how well, as names and values of a word or two. ``state``: one sentence on
    the machine, and the command that makes intervals narrower. ``data``: what sections say as data, by name.
    ``overviews``: of several runs, what stands below the lead in place of a sentence for each kernel.
    """

    title: str
    chips: tuple[tuple[str, str], ...]
    headline: Headline
    notices: tuple[str, ...]
    state: tuple[Paragraph | Command, ...]
    sections: tuple[Section, ...]
    runs: tuple[Run, ...]
    cases: tuple[CaseSummary, ...]
    judged: tuple[Judgement, ...]
    data: Mapping[str, Any]
    overviews: tuple[Overview, ...]

    def lines(self) -> list[str]:
        """Return what stands below the lead: a sentence for each kernel, or of several runs one for each run."""
        if self.overviews:
            return [*(one.sentence() for one in self.overviews), *self.headline.notes]
        return self.headline.lines()[1:]

    def figures(self) -> Iterator[Figure]:
        """Yield every figure of the report."""
        for section in self.sections:
            yield from _figures(section.blocks)


def _figures(blocks: Iterable[Block]) -> Iterator[Figure]:
    for block in blocks:
        if isinstance(block, Figure):
            yield block
        elif isinstance(block, Fold):
            yield from _figures(block.blocks)
