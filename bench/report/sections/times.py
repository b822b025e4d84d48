"""The cases as tables: every case with all that is known about it, and one value against batch size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis.headline import KernelFinding
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.record.plan import Ending
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report import parts
from mlpbench.bench.report.document import (
    Block,
    Column,
    Figure,
    Fold,
    Paragraph,
    Points,
    Table,
    columns,
    table_of_runs,
)
from mlpbench.bench.report.parts import Findings, Part

#: More panels beside each other are too narrow.
_MOST_COLUMNS = 4
_MODES = {"per_sample": "one at a time", "batched": "batch", "book": "book's cell"}

_TIME_READING = (
    "Lower is faster; both axes are logarithmic. A line is one kernel called with whole batches. Hollow symbols on the "
    "left: one sample at a time. Small dots are repeats, a whisker is the 95 % interval from them."
)
_SPEEDUP_READING = (
    "Higher gains more; both axes are logarithmic. Each kernel is compared with itself one at a time, in the same "
    "process. The dashed line at 1x is one at a time; below it, batches are slower."
)
_PANELS = " A panel is one run or setting; all have the same axes."
_NO_WHISKERS = " With one repeat there is no interval, so no whisker is drawn."


@dataclass(frozen=True)
class Grid:
    """Cases for charts of a panel each: the ``order`` of the runs, and how many panels stand beside each other."""

    cases: tuple[CaseSummary, ...]
    order: tuple[str, ...] = ()
    columns: int | None = None

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs in the order of their panels."""
        there = tuple(dict.fromkeys(case.run for case in self.cases))
        return self.order if set(self.order) == set(there) else there

    def of(self, run: str) -> list[CaseSummary]:
        """Return the cases of a run that are inference alone."""
        return [case for case in self.cases if case.run == run and case.mode != "book"]


def case_table(cases: Sequence[CaseSummary], endings: Mapping[str, Ending] = MappingProxyType({})) -> Table:
    """Return the table of all cases; the run is a column where there are several.

    ``endings``, by run, say what stopped the repeats of each case, where their number was open.
    """
    numbers = ("batch size", "time per sample", "samples/s", "speedup", "first call", "rounds", "repeats")
    made = columns(("kernel", "mode"), numbers)
    rows = [_case_row(case) for case in cases]
    if any(ending.target is not None for ending in endings.values()):
        made += (Column("stopped by"),)
        rows = [(*row, _limit(endings.get(case.run), case)) for row, case in zip(rows, cases, strict=True)]
    caption = (
        "Every case: the median over repeats, with the 95 % interval in brackets. Rounds are per repeat, the fewest; "
        "a repeat's time is the fastest tenth of its quiet rounds."
    )
    return table_of_runs(caption, made, rows, heads=2, several=_are_several(cases))


def _are_several(cases: Sequence[CaseSummary]) -> bool:
    return len({case.run for case in cases}) > 1


def _limit(ending: Ending | None, case: CaseSummary) -> str:
    return (ending and ending.limit(case.kernel, case.mode, case.batch_size)) or "not recorded"


def _case_row(case: CaseSummary) -> tuple[str, ...]:
    size = 1 if case.mode == "per_sample" else case.batch_size
    time, rate, first = words.duration(case.sample), words.count(case.throughput), words.seconds(case.first_call_s)
    repeats = f"{case.repeats}, {case.disturbed} disturbed" if case.disturbed else str(case.repeats)
    head = (case.run, case.name, _MODES.get(case.mode, case.mode))
    return (*head, f"{size:,}", time, rate, _speedup(case), first, f"{case.rounds:,}", repeats)


def _speedup(case: CaseSummary) -> str:
    return words.ratio(case.speedup) if case.speedup is not None else str(case.no_speedup)


def finding_table(found: Sequence[KernelFinding]) -> Table:
    """Return what batching does for each kernel of several runs: one at a time, in its best batch, the speedup."""
    rows = []
    for kernel in found:
        one, best = (words.duration(time) if time else "not measured" for time in (kernel.one, kernel.best))
        size = f"{kernel.best_batch_size:,}" if kernel.best_batch_size else "none"
        gain = words.ratio(kernel.speedup) if kernel.speedup else str(kernel.missing)
        rows.append((kernel.run, kernel.name, one, size, best, gain))
    numbers = ("one at a time", "best batch size", "time per sample in it", "speedup")
    caption = "Time per sample one at a time and in the best batch: medians over repeats, with 95 % intervals."
    return Table(caption, columns(("run", "kernel"), numbers), tuple(rows), heads=2)


def kernel_table(found: Sequence[KernelFinding]) -> Table:
    """Return what batching does for each kernel of one run, the fastest first, narrow enough for a terminal."""
    rows = []
    for kernel in found:
        one, best = (words.seconds(time.value) if time else "not measured" for time in (kernel.one, kernel.best))
        size = f"{kernel.best_batch_size:,}" if kernel.best_batch_size else "none"
        rows.append((kernel.name, one, size, best, words.ratio(kernel.speedup) if kernel.speedup else "none"))
    made = columns(("kernel",), ("one at a time", "best batch", "time there", "speedup"))
    return Table("Time per sample, the fastest kernel first, with 95 % intervals of the speedups.", made, tuple(rows))


def grid(runs: Sequence[Run], cases: Sequence[CaseSummary]) -> Grid:
    """Return the cases for panels: of a sweep, a column for each number of threads, or environment, and rows."""
    timed = {case.run for case in cases}
    points = {run.name: run.setting.point for run in runs if run.setting and run.name in timed}
    across = 1 if len({point[1] for point in points.values()}) > 1 else 3
    threads = sorted({point[1] for point in points.values()})
    heads: Sequence[Any] = threads if across == 1 else list(dict.fromkeys(point[3] for point in points.values()))
    rest = {name: (*point[:across], *point[across + 1 :]) for name, point in points.items()}
    rows = list(dict.fromkeys(rest.values()))
    order = sorted(points, key=lambda name: (rows.index(rest[name]), heads.index(points[name][across])))
    full = len(set(points.values())) == len(points) == len(rows) * len(heads)
    return Grid(tuple(cases), tuple(order), len(heads) if full and 1 < len(heads) <= _MOST_COLUMNS else None)


def figures(found: Grid) -> tuple[Figure | Fold, ...]:
    """Return the two charts, each with its table; none where nothing was timed in batches."""
    cases = found.cases
    if not any(case.mode == "batched" for case in cases):
        return ()
    many = len(found.runs) > 1
    note = _PANELS if many else ""
    note += _NO_WHISKERS if any(case.repeats == 1 for case in cases) else ""
    times = _against_batch_size(cases, lambda case: words.duration(case.sample))
    drawn = Figure("time", "Time per sample", _TIME_READING + note, times, found, found.columns)
    if not any(case.speedup is not None for case in cases if case.mode == "batched"):
        return (drawn,)
    gains = _against_batch_size(cases, _speedup)
    gain = Figure("speedup", "Speedup over one at a time", _SPEEDUP_READING + note, gains, found, found.columns)
    return (drawn, Fold("Speedup over one at a time, panel by panel", (gain,)) if many else gain)


def _against_batch_size(cases: Sequence[CaseSummary], text: Callable[[CaseSummary], str]) -> Table:
    """Return one row for each kernel (of each run), one column for single calls and one for each batch size."""
    sizes = sorted({case.batch_size for case in cases if case.mode == "batched"})
    lines: dict[tuple[str, str], dict[int, str]] = {}
    for case in cases:
        if case.mode != "book":
            at = 0 if case.mode == "per_sample" else case.batch_size
            lines.setdefault((case.run, case.name), {})[at] = text(case)
    rows = ((*key, *(line.get(at, "not measured") for at in (0, *sizes))) for key, line in lines.items())
    made = columns(["kernel"], ("one at a time", *(f"batch {size:,}" for size in sizes)))
    caption = "Median over repeats, with the 95 % interval in brackets."
    return table_of_runs(caption, made, rows, several=_are_several(cases))


def _kernel_by_kernel(found: Findings) -> tuple[Block, ...]:
    """Return what the heading of one run says of each kernel, as a table for several."""
    heading = found.of(parts.heading)
    if len(found.runs) < 2 or not heading.kernels:
        return ()
    return (finding_table(heading.kernels), *([Points(tuple(heading.ranks))] if heading.ranks else []))


def _cases(found: Findings) -> tuple[Block, ...]:
    """Return every case, and for each run whose repeats were open why it ended."""
    if not found.cases:
        return ()
    endings = {run.name: run.ending for run in found.runs if run.ending}
    texts = [f"{run.title}: {text}" for run in found.runs if run.ending and (text := run.ending.sentence())]
    return (case_table(found.cases, endings), *map(Paragraph, texts))


SECTIONS = (
    Part(10, "charts", "Time and speedup against batch size", lambda found: figures(grid(found.runs, found.cases))),
    Part(120, "kernel-by-kernel", "Kernel by kernel", _kernel_by_kernel, folded=parts.always),
    Part(140, "cases", "Every case", _cases, folded=parts.always),
)
