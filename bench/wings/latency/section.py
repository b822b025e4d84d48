"""Cold starts and memory, and what single calls say, kernel by kernel.

The rule of the percentiles is MLPerf LoadGen's (mlcommons/inference, ``loadgen/early_stopping.cc``): with t the largest
number for which ``P(Binomial(n, 1 - p) <= t) < 1 - c``, the t-th slowest of n calls lies above the percentile p with
confidence c = 99 %. There is such a t only from 11 calls on for p50, 64 for p90, 662 for p99, 6636 for p99.9.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
from numpy.typing import ArrayLike

from mlpbench.bench import words
from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.record.trust import Start
from mlpbench.bench.report.document import Block, Findings, Part, table
from mlpbench.bench.values import parse_duration

CONFIDENCE = 0.99
PERCENTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True)
class Percentile:
    """A percentile of ``n`` values; with 99 % confidence, that of what they were drawn from is below ``bound``.

    ``value``: the smallest of them that the share p of them does not exceed; None where ``n`` is below ``needed``.
    """

    p: float
    value: float | None
    bound: float | None
    n: int
    needed: int


def percentile(values: ArrayLike, p: float) -> Percentile:
    """Return the percentile ``p`` (0 to 1, both excluded) of some values, of which there may be too few."""
    ordered = np.sort(np.asarray(values, np.float64))
    n, needed = len(ordered), calls_needed(p)
    if n < needed:
        return Percentile(p, None, None, n, needed)
    # The largest t for which at most t of n values above the percentile would be rarer than 1 - c.
    above = bisect_left(range(1, n), True, key=lambda t: _chance(t, n, p) >= 1 - CONFIDENCE)
    return Percentile(p, float(ordered[math.ceil(p * n) - 1]), float(ordered[n - above]), n, needed)


def calls_needed(p: float) -> int:
    """Return the fewest values for which the rule bounds the percentile ``p``: the least n with t = 1."""
    return 2 + bisect_left(range(2, 2**31 - 1), True, key=lambda n: _chance(1, n, p) < 1 - CONFIDENCE)


def _chance(t: int, n: int, p: float) -> float:
    from scipy.special import bdtr

    return float(bdtr(t, n, 1 - p)) if t < n else 1.0


@dataclass(frozen=True)
class Latency:
    """Single calls of one case over all repeats: percentiles in seconds, the cost of a look at the clock taken off."""

    kernel: str
    mode: str
    batch_size: int
    calls: int
    clock_s: float
    percentiles: tuple[Percentile, ...]


@dataclass(frozen=True)
class Budget:
    """The largest batch, if any, whose p99 is within ``budget_s`` with 99 % confidence; sizes that nobody can judge."""

    kernel: str
    budget_s: float
    batch_size: int | None
    bound_s: float | None
    too_few: tuple[int, ...]
    untimed: tuple[int, ...] = ()


def latencies(records: Sequence[Record]) -> list[Latency]:
    """Return the latency of each case of each kernel whose single calls were timed, in the order of the records."""
    singles = grouped(
        ((record.kernel, case.mode, case.batch_size), case)
        for record in records
        for case in record.cases
        if case.single_calls
    )
    found = []
    for at, of_case in singles.items():
        each_ns = [np.repeat(*np.transpose(case.single_calls)) - (case.clock_ns or 0) for case in of_case]
        calls = np.maximum(np.concatenate(each_ns), 0) / 1e9
        clock_s = median(one.clock_ns or 0 for one in of_case) / 1e9
        found.append(Latency(*at, len(calls), clock_s, tuple(percentile(calls, p) for p in PERCENTILES)))
    return found


def asked_budget_s(plan: Plan | None) -> float | None:
    """Return the budget that the run was asked about (``--p99``), in seconds; None without one."""
    asked = [word for word in (plan.clock if plan else ()) if word.startswith("--p99=")]
    try:
        return parse_duration(asked[-1].removeprefix("--p99=")) if asked else None
    except UserError:  # a plan that somebody changed by hand: nothing was asked that we understand
        return None


def budgets(records: Sequence[Record], budget: float | None) -> list[Budget]:
    """Return what each kernel whose batches' single calls were timed can do within a budget in seconds, if any."""
    if budget is None:
        return []
    batches = [latency for latency in latencies(records) if latency.mode == "batched"]
    results = []
    for kernel, of_kernel in grouped((latency.kernel, latency) for latency in batches).items():
        bounds = {one.batch_size: next(p.bound for p in one.percentiles if p.p == 0.99) for one in of_kernel}
        largest = max((n for n, bound in bounds.items() if bound is not None and bound <= budget), default=None)
        too_few = tuple(sorted(size for size, bound in bounds.items() if bound is None))
        cases = (case for record in records if record.kernel == kernel for case in record.cases)
        untimed = tuple(sorted({case.batch_size for case in cases if case.mode == "batched"} - bounds.keys()))
        results.append(Budget(kernel, budget, largest, bounds[largest] if largest else None, too_few, untimed))
    return results


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
    rows = [(run.name, *_latency(case)) for run in findings.runs for case in latencies(run.records)]
    numbers = ("calls", "p50", "p90", "p99", "p99.9")
    return (tuple(texts), table(_LATENCY, ("kernel", "case"), numbers, rows=rows, several=findings.several))


def _budgets(findings: Findings, run: Run) -> list[Budget]:
    """Return what kernels can do within the p99 that the reader asks about, or else the run did."""
    asked_s = asked_budget_s(run.plan) if findings.p99_s is None else findings.p99_s
    return budgets(run.records, asked_s)


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
            "latency": lambda _, run: list(map(asdict, latencies(run.records))),
            "p99_budget": lambda findings, run: list(map(asdict, _budgets(findings, run))),
        },
    ),
)
