"""What a report says, whatever it looks like: sections of paragraphs, lists, tables and figures, all plain text.

Every text here may come from a file of unknown origin. It is not escaped for anything: each format does that. Parts of
a report register themselves: modules of `sections` and of wings by ``SECTIONS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar, cast

from mlpbench.bench import words
from mlpbench.bench.analysis import headline
from mlpbench.bench.analysis.headline import Headline, Overview
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.registered import modules
from mlpbench.bench.stats.estimates import Estimate, Ratio
from mlpbench.bench.words import plain

T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """Words to type, one line."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table of texts. The columns in ``numbers`` stand on the right; those before them name the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: range

    def __bool__(self) -> bool:
        return bool(self.rows)


def table(
    caption: str,
    texts: Iterable[str],
    numbers: Iterable[str] = (),
    last: Iterable[str] = (),
    *,
    rows: Iterable[tuple[str, ...]],
    several: bool | None = None,
) -> Table:
    """Return a table of columns of texts, which name the row, of numbers, and the ``last`` of texts.

    ``several``: rows begin with the name of their run, which has a column where there are several runs; None for rows
    that do not.
    """
    named, counted = [*(["run"] if several else []), *texts], tuple(numbers)
    return Table(
        caption,
        (*named, *counted, *last),
        tuple(row[1:] if several is False else row for row in rows),
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
    """A chart, how to read it, and a table for formats that cannot draw it; ``name`` is its anchor.

    ``draw``: what names of kernels in texts become panels of, by title (`bench.report.charts`).
    """

    name: str
    title: str
    reading: str
    table: Table
    draw: Callable[[Mapping[str, str]], Mapping[str, Any]] = field(repr=False)


@dataclass(frozen=True)
class Section:
    """Blocks under a title, with an anchor unless it is within another section. A page may show the title alone."""

    title: str
    blocks: tuple[Block, ...]
    slug: str = ""
    folded: bool = True


#: A text is a paragraph, several are a list. What is empty is left out.
Block = str | tuple[str, ...] | Command | Table | Figure | Section


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

    ``chips``: what was measured and where, as names and values. ``state``: how busy the machine was. ``data``: what
    sections say as data, by name. ``overviews``: a line for each of several runs, in place of one for each kernel.
    """

    chips: tuple[tuple[str, str], ...]
    headline: Headline
    notices: tuple[str, ...]
    state: str
    sections: tuple[Section, ...]
    data: Mapping[str, Any]
    overviews: tuple[Overview, ...]
    title: str = "mlpbench: one sample at a time against batches"

    def lines(self) -> list[str]:
        """Return what stands below the lead: a sentence for each kernel, or of several runs one for each run."""
        if self.overviews:
            return [*(overview.sentence() for overview in self.overviews), *self.headline.remarks]
        return self.headline.lines()[1:]

    def figures(self) -> Iterator[Figure]:
        """Yield every figure of the report."""
        blocks: list[Block] = list(self.sections)
        for block in blocks:
            if isinstance(block, Figure):
                yield block
            elif isinstance(block, Section):
                blocks += block.blocks


@dataclass(frozen=True)
class Part:
    """A section that makes itself: ``blocks`` are its content, nothing where there is none.

    ``place``: sections follow each other by it. ``answer``: a sentence for the heading, perhaps empty, where the runs
    ask for the part, and else None. A page folds what was not asked for and is not ``open``. ``notes``: lines below the
    heading. ``data``: what it is as JSON, by its name in the document (``headline.book``); ``data_of_run``: the same in
    ``trust`` of each run.
    """

    place: int
    slug: str
    title: str
    blocks: Callable[[Findings], Iterable[Block]]
    open: bool = False
    answer: Callable[[Findings], str | None] | None = None
    notes: Callable[[Findings], Iterable[str]] | None = None
    data: Mapping[str, Callable[[Findings], Any]] = field(default_factory=dict)
    data_of_run: Mapping[str, Callable[[Findings, Judged], Any]] = field(default_factory=dict)


@cache
def registered() -> tuple[Part, ...]:
    """Return the parts of all modules, in their order."""
    own = import_module("mlpbench.bench.report.sections")
    found = [import_module(f"{own.__name__}.{module.name}") for module in iter_modules(own.__path__)]
    parts: list[Part] = [part for module in (*found, *modules("section")) for part in getattr(module, "SECTIONS", ())]
    return tuple(sorted(parts, key=lambda part: part.place))


def answers(findings: Findings) -> dict[str, str]:
    """Return the answers, perhaps empty, of the parts that the runs ask for, by slug: the first goes before all."""
    found = {part.slug: part.answer(findings) for part in registered() if part.answer}
    return {slug: answer for slug, answer in found.items() if answer is not None}


def heading(findings: Findings) -> Headline:
    """Return what the runs show, with the answer to what was asked and the notes of all parts."""
    titles = {run.name: run.shown for run in findings.runs if run.shown}
    answer = next(iter(findings.of(answers).values()), None) or None
    finding = headline.find(findings.cases, titles, answer)
    notes = [note for part in registered() if part.notes for note in part.notes(findings)]
    timed = [record for run in findings.runs for record in run.records if record.cases]
    machines = [(record.threads, record.environment.machine) for record in timed]
    threads = {(given, len(there.affinity or ()) or there.logical_cpus) for given, there in machines}
    given, there = threads.pop() if len(threads) == 1 else (None, None)
    fewer = f" Measured with {given} of {words.things(there, 'thread')}." if given and there and given != there else ""
    return replace(finding, lead=finding.lead + fewer, remarks=[*finding.remarks, *notes])


def interval(value: Estimate | Ratio) -> dict[str, Any]:
    """Return a value with its interval as JSON can hold it."""
    return {**ends(value), "repeats": value.n, "no_interval": value.reason}


def ends(value: Estimate | Ratio) -> dict[str, float | None]:
    """Return a value and the ends of its interval, None where it has none."""
    return {name: plain(getattr(value, name)) for name in ("value", "low", "high")}
