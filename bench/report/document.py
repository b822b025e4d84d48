"""What a report says, whatever it looks like: sections of paragraphs, tables and figures, all plain text.

Every text here may come from a file of unknown origin. It is not escaped for anything: each format does that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlpbench.bench.analysis.explain import Explanation
    from mlpbench.bench.analysis.headline import Headline, Overview
    from mlpbench.bench.analysis.heatmap import HeatMap
    from mlpbench.bench.analysis.limits import Limits
    from mlpbench.bench.analysis.scaling import Scaling
    from mlpbench.bench.analysis.summary import CaseSummary
    from mlpbench.bench.record.runs import Run


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
    """A table of texts; the first `heads` columns name the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    heads: int = 1


@dataclass(frozen=True)
class Figure:
    """A chart of `bench.report.charts.times`, how to read it, and a table for formats that cannot draw it."""

    name: str
    title: str
    reading: str
    table: Table


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
    """A headed part; ``slug`` is its anchor. A page shows one that is ``folded`` when it is opened."""

    slug: str
    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


@dataclass(frozen=True)
class Document:
    """A whole report. ``runs`` and ``cases`` are what its texts were made of; ``notices`` stand beside the headline."""

    title: str
    subtitle: str
    headline: Headline
    notices: tuple[str, ...]
    sections: tuple[Section, ...]
    runs: tuple[Run, ...]
    cases: tuple[CaseSummary, ...] = field(repr=False)
    #: What the speedups of the runs are made of; runs without any time have none.
    explanations: tuple[Explanation, ...] = field(default=(), repr=False)
    #: The budget for p99, in seconds, that the reader asks about.
    p99_s: float | None = None
    #: Who is fastest where, in runs of two or more kernels.
    heatmaps: tuple[HeatMap, ...] = field(default=(), repr=False)
    #: Where kernels stand beside peers, in runs with both.
    limits: tuple[Limits, ...] = field(default=(), repr=False)
    #: What threads bring, of runs that differ in nothing else.
    scalings: tuple[Scaling, ...] = field(default=(), repr=False)
    #: Of several runs, what stands below the lead in place of a sentence for each kernel.
    overviews: tuple[Overview, ...] = field(default=(), repr=False)

    def lines(self) -> list[str]:
        """Return what stands below the lead: a sentence for each kernel, or of several runs one for each run."""
        if self.overviews:
            return [*(one.sentence() for one in self.overviews), *self.headline.notes]
        return self.headline.lines()[1:]
