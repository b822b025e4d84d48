"""Parts of a report register themselves: a module of `sections` has its ``SECTIONS``, one of `charts` its ``CHARTS``.

Whoever adds a section adds a module, and no list elsewhere names it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar, cast

from mlpbench.bench.analysis import headline
from mlpbench.bench.analysis.evidence import Evidence
from mlpbench.bench.analysis.headline import Headline
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.document import Block
from mlpbench.bench.stats.estimates import Estimate, Ratio

T = TypeVar("T")
#: What draws a figure: its data, and all kernels of the page, become one specification of Vega-Lite, or panels.
Chart = Callable[[Any, list[str]], Any]


@dataclass(frozen=True)
class Findings:
    """The runs of a report, and what was derived from them: each finding once, for all sections and formats.

    ``by_run``: each run with its cases; ``beside``: what was measured beside them, None of a run without times;
    ``p99_s``: a latency budget in seconds that the reader asks about. ``kept``: what was derived, by what derives it.
    """

    runs: tuple[Run, ...]
    cases: tuple[CaseSummary, ...]
    by_run: tuple[tuple[Run, tuple[CaseSummary, ...]], ...]
    beside: tuple[Evidence | None, ...]
    p99_s: float | None = None
    kept: dict[Any, Any] = field(default_factory=dict)

    def of(self, find: Callable[[Findings], T]) -> T:
        """Return what ``find`` derives from this; it is called the first time alone."""
        if find not in self.kept:
            self.kept[find] = find(self)
        return cast("T", self.kept[find])

    @property
    def profile(self) -> str | None:
        """The profile of all runs; None where they have none, or several."""
        profiles = {run.plan.profile for run in self.runs if run.plan}
        return profiles.pop() if len(profiles) == 1 else None


def _never(_: Findings) -> bool:
    return False


def _nothing(_: Findings) -> None:
    return None


@dataclass(frozen=True)
class Part:
    """A section that makes itself: ``blocks`` are its content, nothing where there is none.

    ``place``: sections follow each other by it. The first that the runs ``asked`` for goes before all others, and its
    ``answer`` into the heading. ``note``: a line below the heading. ``data``: what it is as JSON, by name.
    """

    place: int
    slug: str
    title: str
    blocks: Callable[[Findings], Sequence[Block]]
    folded: Callable[[Findings], bool] = _never
    asked: Callable[[Findings], bool] = _never
    answer: Callable[[Findings], str | None] = _nothing
    note: Callable[[Findings], str | None] = _nothing
    data: Mapping[str, Callable[[Findings], Any]] = field(default_factory=dict)


def always(_: Findings) -> bool:
    """Say that a section is folded whatever the runs are."""
    return True


@cache
def registered() -> tuple[Part, ...]:
    """Return the parts of all modules of `sections`, in their order."""
    parts: list[Part] = [part for module in _modules("sections") for part in getattr(module, "SECTIONS", ())]
    return tuple(sorted(parts, key=lambda part: part.place))


@cache
def charts() -> dict[str, Chart]:
    """Return what draws each kind of figure. Raises ImportError without Altair."""
    return {kind: chart for module in _modules("charts") for kind, chart in getattr(module, "CHARTS", {}).items()}


def _modules(folder: str) -> Iterator[Any]:
    package = import_module(f"mlpbench.bench.report.{folder}")
    return (import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__))


def first(found: Findings) -> Part:
    """Return the part that answers what was asked, else the first of all."""
    parts = registered()
    return next((part for part in parts if part.asked(found)), parts[0])


def heading(found: Findings) -> Headline:
    """Return what the runs show, with the answer to what was asked and the notes of all parts."""
    shown = {run.name: run.shown for run in found.runs if run.shown}
    made = headline.find(found.cases, shown, first(found).answer(found), headline.threads_of(found.runs))
    notes = filter(None, (part.note(found) for part in registered()))
    return replace(made, notes=[*made.notes, *notes])


def interval(value: Estimate | Ratio) -> dict[str, Any]:
    """Return a value with its interval as JSON can hold it."""
    low, high = (None if math.isnan(end) else end for end in (value.low, value.high))
    return {"value": value.value, "low": low, "high": high, "repeats": value.n, "no_interval": value.reason}
