"""What a report says, whatever it looks like: sections of paragraphs, tables and figures, all plain text.

Every text here may come from a file of unknown origin. It is not escaped for anything: each format does that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from mlpbench.bench.analysis.headline import Headline, Overview
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import CaseSummary

T = TypeVar("T")


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


def table(
    caption: str,
    texts: Iterable[str],
    numbers: Iterable[str] = (),
    last: Iterable[str] = (),
    *,
    rows: Iterable[tuple[str, ...]],
    heads: int | None = None,
    several: bool | None = None,
) -> Table:
    """Return a table of columns of texts, of numbers, and the ``last`` of texts.

    ``heads``: how many columns name the row; None for the first texts. ``several``: rows begin with the name of their
    run, which has a column where there are several runs; None for rows that do not.
    """
    named = [*(["run"] if several else []), *texts]
    columns = (*map(Column, named), *(Column(name, number=True) for name in numbers), *map(Column, last))
    count = len(named) if heads is None else heads + bool(several)
    return Table(caption, columns, tuple(row[1:] if several is False else row for row in rows), count)


def pivot(
    cells: Iterable[tuple[tuple[str, ...], Any, str]], columns: Iterable[Any], missing: str = ""
) -> list[tuple[str, ...]]:
    """Return a row for each first item of the cells, with its text in each of the columns, or ``missing``."""
    rows: dict[tuple[str, ...], dict[Any, str]] = {}
    for heads, column, text in cells:
        rows.setdefault(heads, {})[column] = text
    columns = tuple(columns)
    return [(*heads, *(row.get(column, missing) for column in columns)) for heads, row in rows.items()]


@dataclass(frozen=True)
class Figure:
    """A chart, how to read it, and a table for formats that cannot draw it.

    ``name`` is the kind of the chart, and where there may be several of a kind its number: ``hockney-0``. ``data`` is
    what it is drawn from; ``columns``: how many panels stand beside each other, None where that is left to the page.
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
class Findings:
    """The runs of a report, and what is derived from them once, for all sections and formats.

    ``by_run``: each run with its cases; ``p99_s``: a latency budget in seconds that the reader asks about.
    """

    runs: tuple[Judged, ...]
    cases: tuple[CaseSummary, ...]
    by_run: tuple[tuple[Judged, tuple[CaseSummary, ...]], ...]
    p99_s: float | None = None
    kept: dict[Any, Any] = field(default_factory=dict)

    def of(self, find: Callable[[Findings], T]) -> T:
        """Return what ``find`` derives from this; it is called once."""
        if find not in self.kept:
            self.kept[find] = find(self)
        return cast("T", self.kept[find])

    @property
    def several(self) -> bool:
        """Whether there are several runs, which texts then name."""
        return len(self.runs) > 1


@dataclass(frozen=True, repr=False)
class Document:
    """A whole report. ``notices`` stand beside the headline.

    ``chips``: what was measured and where, as names and values. ``state``: one sentence on the machine, and the command
    that makes intervals narrower. ``data``: what sections say as data, by name. ``overviews``: a line for each of
    several runs, in place of a sentence for each kernel.
    """

    findings: Findings
    chips: tuple[tuple[str, str], ...]
    headline: Headline
    notices: tuple[str, ...]
    state: tuple[Paragraph | Command, ...]
    sections: tuple[Section, ...]
    data: Mapping[str, Any]
    overviews: tuple[Overview, ...]
    title: str = "mlpbench: one sample at a time against batches"

    @property
    def runs(self) -> tuple[Judged, ...]:
        """The runs that its texts were made of."""
        return self.findings.runs

    @property
    def cases(self) -> tuple[CaseSummary, ...]:
        """The cases that its texts were made of."""
        return self.findings.cases

    def lines(self) -> list[str]:
        """Return what stands below the lead: a sentence for each kernel, or of several runs one for each run."""
        if self.overviews:
            return [*(overview.sentence() for overview in self.overviews), *self.headline.notes]
        return self.headline.lines()[1:]

    def figures(self) -> Iterator[Figure]:
        """Yield every figure of the report."""
        blocks: list[Section | Block] = list(self.sections)
        for block in blocks:
            if isinstance(block, Figure):
                yield block
            elif isinstance(block, Section | Fold):
                blocks += block.blocks
