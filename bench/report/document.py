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
class Points:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """Words to type, one line."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table of texts. The first ``heads`` columns name the row; those in ``numbers`` stand on the right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    heads: int = 1
    numbers: range = range(0)


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
    named, counted = [*(["run"] if several else []), *texts], tuple(numbers)
    return Table(
        caption,
        (*named, *counted, *last),
        tuple(row[1:] if several is False else row for row in rows),
        len(named) if heads is None else heads + bool(several),
        range(len(named), len(named) + len(counted)),
    )


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
    what it is drawn from.
    """

    name: str
    title: str
    reading: str
    table: Table
    data: Any = field(repr=False)


@dataclass(frozen=True)
class Section:
    """Blocks under a title. A page shows one that is ``folded`` when its title is opened.

    ``slug`` is its anchor, which a section within another does without.
    """

    title: str
    blocks: tuple[Block, ...]
    slug: str = ""
    folded: bool = True


#: A text is a paragraph.
Block = str | Points | Command | Table | Figure | Section
#: From more runs than this on, what is said of each of them would be most of a page.
MANY_RUNS = 2


@dataclass(frozen=True, repr=False)
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


@dataclass(frozen=True, repr=False, kw_only=True)
class Document(Findings):
    """A whole report. ``notices`` stand beside the headline.

    ``chips``: what was measured and where, as names and values. ``state``: one sentence on the machine, and the command
    that makes intervals narrower. ``data``: what sections say as data, by name. ``overviews``: a line for each of
    several runs, in place of a sentence for each kernel.
    """

    chips: tuple[tuple[str, str], ...]
    headline: Headline
    notices: tuple[str, ...]
    state: tuple[str | Command, ...]
    sections: tuple[Section, ...]
    data: Mapping[str, Any]
    overviews: tuple[Overview, ...]
    title: str = "mlpbench: one sample at a time against batches"

    def lines(self) -> list[str]:
        """Return what stands below the lead: a sentence for each kernel, or of several runs one for each run."""
        if self.overviews:
            return [*(overview.sentence() for overview in self.overviews), *self.headline.notes]
        return self.headline.lines()[1:]

    def figures(self) -> Iterator[Figure]:
        """Yield every figure of the report."""
        blocks: list[Block] = list(self.sections)
        for block in blocks:
            if isinstance(block, Figure):
                yield block
            elif isinstance(block, Section):
                blocks += block.blocks
