"""Parts of a report register themselves: modules of `sections` and of wings by ``SECTIONS`` and ``CHARTS``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from mlpbench.bench.analysis import headline
from mlpbench.bench.analysis.headline import Headline
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.registered import modules
from mlpbench.bench.report.document import Block, Findings
from mlpbench.bench.stats.estimates import Estimate, Ratio
from mlpbench.bench.words import plain

#: What draws a figure: its data, and the page's kernels with their names in texts, become specifications by title.
Chart = Callable[[Any, Mapping[str, str]], dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Part:
    """A section that makes itself: ``blocks`` are its content, nothing where there is none.

    ``place``: sections follow each other by it. The first that the runs ``asked`` for goes before all others, and its
    ``answer`` into the heading. ``notes``: lines below the heading. ``data``: what it is as JSON, by its name in the
    document (``headline.book``); ``data_of_run``: the same in ``trust`` of each run.
    """

    place: int
    slug: str
    title: str
    blocks: Callable[[Findings], Sequence[Block]]
    folded: Callable[[Findings], bool] | bool = False
    asked: Callable[[Findings], bool] | None = None
    answer: Callable[[Findings], str | None] | None = None
    notes: Callable[[Findings], Sequence[str]] | None = None
    data: Mapping[str, Callable[[Findings], Any]] = field(default_factory=dict)
    data_of_run: Mapping[str, Callable[[Findings, Judged], Any]] = field(default_factory=dict)


@cache
def registered() -> tuple[Part, ...]:
    """Return the parts of all modules of `sections`, in their order."""
    parts: list[Part] = [part for module in _modules("section") for part in getattr(module, "SECTIONS", ())]
    return tuple(sorted(parts, key=lambda part: part.place))


@cache
def charts() -> dict[str, Chart]:
    """Return what draws each kind of figure."""
    return {kind: chart for module in _modules("chart") for kind, chart in getattr(module, "CHARTS", {}).items()}


def _modules(kind: str) -> Iterator[Any]:
    own = import_module(f"mlpbench.bench.report.{kind}s")
    yield from (import_module(f"{own.__name__}.{module.name}") for module in iter_modules(own.__path__))
    yield from modules("section")


def first(findings: Findings) -> Part:
    """Return the part that answers what was asked, else the first of all."""
    return next((part for part in registered() if part.asked and part.asked(findings)), registered()[0])


def heading(findings: Findings) -> Headline:
    """Return what the runs show, with the answer to what was asked and the notes of all parts."""
    titles = {run.name: run.shown for run in findings.runs if run.shown}
    asked = first(findings)
    answer = asked.answer(findings) if asked.answer else None
    finding = headline.find(findings.cases, titles, answer, headline.threads_of(findings.runs))
    notes = [note for part in registered() if part.notes for note in part.notes(findings)]
    return replace(finding, notes=[*finding.notes, *notes])


def interval(value: Estimate | Ratio) -> dict[str, Any]:
    """Return a value with its interval as JSON can hold it."""
    return {**ends(value), "repeats": value.n, "no_interval": value.reason}


def ends(value: Estimate | Ratio) -> dict[str, float | None]:
    """Return a value and the ends of its interval, None where it has none."""
    return {name: plain(getattr(value, name)) for name in ("value", "low", "high")}
