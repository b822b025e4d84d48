"""A closer look at each kernel: cold starts and memory, single calls, the same input again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpbench.bench import words
from mlpbench.bench.report.document import Column, Points, Section, Table
from mlpbench.bench.trust import latency as findings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlpbench.bench.record.runs import Run
    from mlpbench.bench.record.schema import Record
    from mlpbench.bench.record.trust import Start
    from mlpbench.bench.report.document import Block
    from mlpbench.bench.stats.percentiles import Percentile
    from mlpbench.bench.trust.latency import Budget, InputFinding, Latency


_COLD = (
    "Each start is a process of its own. Import, construction and first calls follow each other in it; compiling is "
    "part of them, and shown apart where the library tells. NumPy is there before any kernel is: mlpbench itself "
    "loads it. Memory is what construction and first calls add to the resident memory at their peak; of a device, the "
    "most that the library's pool of its memory held."
)
_LATENCY = (
    "Single calls of the first repeats, disturbed ones too: they are what a caller would meet. The cost of a look at "
    "the clock is taken off. A percentile stands here only where there are calls enough, by the binomial rule of "
    "MLPerf LoadGen."
)
_INPUTS = "Time with inputs that rotate / time with the same input again and again, in pairs within one process."


def case_name(mode: str, batch_size: int) -> str:
    """Return a case in words."""
    return {"per_sample": "one at a time", "book": f"book's cell {batch_size:,}"}.get(mode, f"batch {batch_size:,}")


def sections(runs: Sequence[Run], p99_s: float | None = None) -> tuple[Section, ...]:
    """Return the sections of the closer look; those without blocks where the files say nothing.

    ``p99_s``: a budget in seconds that the reader asks about; else the one that each run was asked about.
    """
    return (
        Section("cold", "Cold starts and memory", _tables(runs, _cold_rows, _COLD, _COLD_COLUMNS)),
        Section("latency", "Single calls", _latency(runs, p99_s)),
        Section("inputs", "The same input again", _tables(runs, _input_rows, _INPUTS, _INPUT_COLUMNS)),
    )


def _tables(
    runs: Sequence[Run],
    rows_of: Callable[[Run], list[tuple[str, ...]]],
    caption: str,
    names: tuple[tuple[str, ...], tuple[str, ...]],
) -> tuple[Block, ...]:
    """Return one table for all runs, the run in front where there are several; nothing without rows."""
    several = len(runs) > 1
    rows = tuple((run.name, *row) if several else row for run in runs for row in rows_of(run))
    if not rows:
        return ()
    heads, numbers = names
    columns = (*map(Column, (*(["run"] if several else []), *heads)), *(Column(name, number=True) for name in numbers))
    return (Table(caption, columns, rows, heads=len(heads) + several),)


#: More are too many for a cell.
_FIRST_CALLS = 4
_COLD_COLUMNS = (
    ("kernel", "compiled code"),
    ("import", "construction", "of all, compiling", "first calls", "peak memory", "device's pool"),
)
_INPUT_COLUMNS = (("kernel", "case"), ("factor (95 % interval)", "finding"))
_LATENCY_COLUMNS = (("kernel", "case"), ("calls", "p50", "p90", "p99", "p99.9"))


def _cold_rows(run: Run) -> list[tuple[str, ...]]:
    return [_start(record, start) for record in run.records for start in record.trust.starts] + [
        (record.kernel, "no start was measured", record.trust.no_starts, *[""] * 5)
        for record in run.records
        if record.trust.no_starts
    ]


def _start(record: Record, start: Start) -> tuple[str, ...]:
    calls = [f"{case_name(*at)}: {words.seconds(time)}" for at, time in start.first_calls_s.items()]
    shown = calls if len(calls) <= _FIRST_CALLS else [*calls[:2], "…", *calls[-2:]]  # the frame has them all
    return (
        record.kernel,
        "none yet" if start.fresh else "kept from before",
        words.seconds(start.import_s),
        words.seconds(start.construct_s),
        "does not tell" if start.compile_s is None else words.seconds(start.compile_s) if start.compile_s else "none",
        ", ".join(shown),
        _bytes(start.peak_bytes),
        "" if start.pool_bytes is None else _bytes(start.pool_bytes),
    )


def _bytes(size: int | None) -> str:
    return "not readable" if size is None else words.data_size(size)


def _latency(runs: Sequence[Run], p99_s: float | None) -> tuple[Block, ...]:
    several = len(runs) > 1
    said = [
        f"{run.title}: {budget_text(budget)}" if several else budget_text(budget)
        for run in runs
        for budget in budgets_of(run, p99_s)
    ]
    points: tuple[Block, ...] = (Points(tuple(said)),) if said else ()
    return points + _tables(runs, _latency_rows, _LATENCY, _LATENCY_COLUMNS)


def budgets_of(run: Run, p99_s: float | None) -> list[Budget]:
    """Return what the kernels of a run can do within a budget: the reader's, or else the run's own."""
    return findings.budgets(run.records, findings.asked_budget_s(run.plan) if p99_s is None else p99_s)


def budget_text(budget: Budget) -> str:
    """Return which batch a kernel can do within a budget, as a sentence."""
    limit = words.seconds(budget.budget_s)
    if budget.batch_size is None or budget.bound_s is None:
        text = f"{budget.kernel}: no batch size that was timed is sure to keep p99 under {limit}"
    else:
        bound = words.seconds(budget.bound_s)
        rows = "1 row" if budget.batch_size == 1 else f"{budget.batch_size:,} rows"
        text = f"{budget.kernel}: up to {rows} p99 stays under {limit}, there under {bound}"
    few, untimed = (", ".join(f"{size:,}" for size in sizes) for sizes in (budget.too_few, budget.untimed))
    text += f" (99 % confidence){f'; too few calls to tell at {few}' if few else ''}"
    return f"{text}{f'; single calls were not timed at {untimed}' if untimed else ''}."


def _latency_rows(run: Run) -> list[tuple[str, ...]]:
    return [_latency_row(latency) for latency in findings.latencies(run.records)]


def _latency_row(found: Latency) -> tuple[str, ...]:
    shown = map(_percentile, found.percentiles)
    return (found.kernel, case_name(found.mode, found.batch_size), f"{found.calls:,}", *shown)


def _percentile(found: Percentile) -> str:
    return f"n too small: {found.needed:,} needed" if found.value is None else words.seconds(found.value)


def _input_rows(run: Run) -> list[tuple[str, ...]]:
    return [_input_row(found) for found in findings.input_findings(run.records)]


def _input_row(found: InputFinding) -> tuple[str, ...]:
    said = f"{found.factor.value:.2f}x faster on the same input" if found.flagged else "not faster on the same input"
    return (found.kernel, case_name(found.mode, found.batch_size), words.ratio(found.factor), said)
