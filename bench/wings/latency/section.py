"""A closer look at each kernel: cold starts and memory, latency percentiles."""

from collections.abc import Iterator
from dataclasses import asdict

from mlpbench.bench import words
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.trust import Start
from mlpbench.bench.report.document import Block, Findings, Part, table
from mlpbench.bench.wings.latency import latency
from mlpbench.bench.wings.latency.latency import Budget, Latency

_COLD = (
    "Each start is a new process. Import, construction and first calls follow each other in it; compiling is part of "
    "them. mlpbench itself loads NumPy before any kernel. Memory is what construction and first calls add to the "
    "resident memory at their peak; of a device, the most that the library's pool held."
)
_LATENCY = (
    "Single calls of the first repeat, disturbed ones too, less the cost of a look at the clock. A percentile stands "
    "here only where there are calls enough, by the binomial rule of MLPerf LoadGen."
)


def _cold(findings: Findings) -> tuple[Block, ...]:
    rows = [(run.name, *row) for run in findings.runs for row in _starts(run)]
    times = ("import", "construction", "of all, compiling", "first calls", "peak memory", "device's pool")
    heads = ("kernel", "compiled code")
    return (table(_COLD, heads, times, rows=rows, several=findings.several),)


def _percentiles(findings: Findings) -> tuple[Block, ...]:
    texts = [
        (f"{run.title}: " if findings.several else "") + _budget(budget)
        for run in findings.runs
        for budget in _budgets(findings, run)
    ]
    rows = [(run.name, *_latency(case)) for run in findings.runs for case in latency.latencies(run.records)]
    numbers = ("calls", "p50", "p90", "p99", "p99.9")
    return (tuple(texts), table(_LATENCY, ("kernel", "case"), numbers, rows=rows, several=findings.several))


def _budgets(findings: Findings, run: Run) -> list[Budget]:
    """Return what kernels can do within the p99 that the reader asks about, or else the run did."""
    asked_s = latency.asked_budget_s(run.plan) if findings.p99_s is None else findings.p99_s
    return latency.budgets(run.records, asked_s)


def _starts(run: Run) -> Iterator[tuple[str, ...]]:
    yield from (_start(record.kernel, start) for record in run.records for start in record.trust.starts)
    for record in run.records:
        if record.trust.no_starts:
            yield (record.kernel, "no start was measured", record.trust.no_starts, *[""] * 5)


def _start(kernel: str, start: Start) -> tuple[str, ...]:
    calls = [f"{words.case(*at)}: {words.seconds(time)}" for at, time in start.first_calls_s.items()]
    if len(calls) > 4:  # too many for a cell; the frame has them all
        calls = [*calls[:2], "…", *calls[-2:]]
    return (
        kernel,
        "none yet" if start.fresh else "kept from before",
        words.seconds(start.import_s),
        words.seconds(start.construct_s),
        "does not tell" if start.compile_s is None else words.seconds(start.compile_s) if start.compile_s else "none",
        ", ".join(calls),
        "not readable" if start.peak_bytes is None else words.data_size(start.peak_bytes),
        "" if start.pool_bytes is None else words.data_size(start.pool_bytes),
    )


def _budget(budget: Budget) -> str:
    limit = words.seconds(budget.budget_s)
    if budget.batch_size is None or budget.bound_s is None:
        text = f"{budget.kernel}: no batch size that was timed is sure to keep p99 under {limit}"
    else:
        rows, bound = words.things(budget.batch_size, "row"), words.seconds(budget.bound_s)
        text = f"{budget.kernel}: up to {rows} p99 stays under {limit}, there under {bound}"
    few, untimed = (", ".join(f"{size:,}" for size in sizes) for sizes in (budget.too_few, budget.untimed))
    text += f" (99 % confidence){f'; too few calls to tell at {few}' if few else ''}"
    return f"{text}{f'; single calls were not timed at {untimed}' if untimed else ''}."


def _latency(case: Latency) -> tuple[str, ...]:
    percentiles = (
        f"n too small: {one.needed:,} needed" if one.value is None else words.seconds(one.value)
        for one in case.percentiles
    )
    return (case.kernel, words.case(case.mode, case.batch_size), f"{case.calls:,}", *percentiles)


SECTIONS = (
    Part(160, "cold", "Cold starts and memory", _cold),
    Part(
        170,
        "latency",
        "Latency percentiles",
        _percentiles,
        answer=lambda findings: None if findings.p99_s is None else "",
        data_of_run={
            "latency": lambda _, run: list(map(asdict, latency.latencies(run.records))),
            "p99_budget": lambda findings, run: list(map(asdict, _budgets(findings, run))),
        },
    ),
)
