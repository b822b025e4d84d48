"""The cases as tables: every case with all that is known about it, and one value against batch size."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from mlpbench.bench import words
from mlpbench.bench.analysis.headline import KernelFinding
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.record.plan import Ending
from mlpbench.bench.report.document import Column, Figure, Table, columns, table_of_runs

#: More lines in one chart cannot be told apart.
_MOST_LINES = 20
_MODES = {"per_sample": "one at a time", "batched": "batch", "book": "book's cell"}

_TIME_READING = (
    "Both axes are logarithmic. A line is one kernel called with whole batches, and the band around it is the 95 % "
    "interval from the repeats. The hollow symbols on the left are the same kernel called with one sample at a time."
)
_SPEEDUP_READING = (
    "Both axes are logarithmic. Time per sample one at a time divided by the time per sample in a batch, for the same "
    "kernel in the same process. The dashed line at 1x is one at a time; below it, batches are slower."
)
_RUNS = " Dashes tell the runs apart."
_SOME_RUNS = " On a page only the first run is drawn until others are switched on."
_NO_BAND = " With one repeat there is no interval, so no band is drawn."


def case_table(cases: Sequence[CaseSummary], endings: Mapping[str, Ending] = MappingProxyType({})) -> Table:
    """Return the table of all cases; the run is a column where there are several.

    ``endings``, by run, say what stopped the repeats of each case, where their number was open.
    """
    numbers = ("batch size", "time per sample", "samples/s", "speedup", "first call", "rounds", "repeats")
    made = columns(("kernel", "mode"), numbers)
    rows = [_case_row(case) for case in cases]
    rules = {made_of(case) for case in cases}
    if len(rules) > 1:
        made += (Column("made of"),)
        rows = [(*row, made_of(case)) for row, case in zip(rows, cases, strict=True)]
    if any(ending.target is not None for ending in endings.values()):
        made += (Column("stopped by"),)
        rows = [(*row, _limit(endings.get(case.run), case)) for row, case in zip(rows, cases, strict=True)]
    made_in_words = f"the median of its {rules.pop()}" if len(rules) == 1 else "the median of the rounds named"
    caption = (
        "Every case: the median over repeats, with the 95 % interval in brackets. Rounds are per repeat, the fewest; "
        f"a repeat's time is {made_in_words}."
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


def made_of(case: CaseSummary) -> str:
    """Return which rounds the time of a case was made of: ``quiet rounds``, or ``quiet rounds 2, fastest fifth 1``."""
    if len(case.rules) <= 1:
        return next(iter(case.rules), "rounds")
    return ", ".join(f"{rule} {repeats}" for rule, repeats in case.rules.items())


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
    for kernel in sorted(found, key=lambda one: min(time.value for time in (one.one, one.best) if time)):
        one, best = (words.seconds(time.value) if time else "not measured" for time in (kernel.one, kernel.best))
        size = f"{kernel.best_batch_size:,}" if kernel.best_batch_size else "none"
        rows.append((kernel.name, one, size, best, words.ratio(kernel.speedup) if kernel.speedup else "none"))
    made = columns(("kernel",), ("one at a time", "best batch", "time there", "speedup"))
    return Table("Time per sample, the fastest kernel first, with 95 % intervals of the speedups.", made, tuple(rows))


def hidden_at_first(cases: Sequence[CaseSummary]) -> list[str]:
    """Return the runs whose lines a reader has to switch on: all but the first, where together they are too many."""
    runs = list(dict.fromkeys(case.run for case in cases))
    lines = {(case.run, case.kernel) for case in cases}
    return runs[1:] if len(lines) > _MOST_LINES else []


def figures(cases: Sequence[CaseSummary]) -> tuple[Figure, ...]:
    """Return the two charts, each with its table; none where nothing was timed in batches."""
    if not any(case.mode == "batched" for case in cases):
        return ()
    note = _RUNS if _are_several(cases) else ""
    note += _SOME_RUNS if hidden_at_first(cases) else ""
    note += _NO_BAND if any(case.repeats == 1 for case in cases) else ""
    times = _against_batch_size(cases, lambda case: words.duration(case.sample))
    found = [Figure("time", "Time per sample", _TIME_READING + note, times, cases)]
    if any(case.speedup is not None for case in cases if case.mode == "batched"):
        gains = _against_batch_size(cases, _speedup)
        found.append(Figure("speedup", "Speedup over one at a time", _SPEEDUP_READING + note, gains, cases))
    return tuple(found)


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
