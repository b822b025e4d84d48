"""A closer look at each kernel: cold starts and memory, latency percentiles, repeated input."""

from collections.abc import Callable, Iterable, Iterator

from mlpbench.bench import words
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.trust import Start
from mlpbench.bench.report.document import Block, Column, Judgement, Points, columns, table_of_runs
from mlpbench.bench.report.parts import Findings, Part, always
from mlpbench.bench.report.sections import trust
from mlpbench.bench.trust.latency import Budget, InputFinding, Latency

_COLD = (
    "Each start is a process of its own. Import, construction and first calls follow each other in it; compiling is "
    "part of them, and shown apart where the library tells. NumPy is there before any kernel is: mlpbench itself "
    "loads it. Memory is what construction and first calls add to the resident memory at their peak; of a device, the "
    "most that the library's pool of its memory held."
)
_LATENCY = (
    "Single calls of the first repeat, disturbed ones too: they are what a caller would meet. The cost of a look at "
    "the clock is taken off. A percentile stands here only where there are calls enough, by the binomial rule of "
    "MLPerf LoadGen."
)
_INPUTS = "Time with inputs that rotate / time with the same input again and again, in pairs within one process."
#: More are too many for a cell.
_FIRST_CALLS = 4


def _cold(found: Findings) -> tuple[Block, ...]:
    times = ("import", "construction", "of all, compiling", "first calls", "peak memory", "device's pool")
    return _table(found, _COLD, columns(("kernel", "compiled code"), times), lambda one: _starts(one.run))


def _percentiles(found: Findings) -> tuple[Block, ...]:
    heads = [(f"{one.run.title}: " if len(found.runs) > 1 else "", one) for one in found.of(trust.judged)]
    texts = tuple(f"{head}{_budget(budget)}" for head, one in heads for budget in one.budgets)
    calls = columns(("kernel", "case"), ("calls", "p50", "p90", "p99", "p99.9"))
    table = _table(found, _LATENCY, calls, lambda one: map(_latency, one.latencies))
    return (*([Points(texts)] if texts else []), *table)


def _inputs(found: Findings) -> tuple[Block, ...]:
    made = columns(("kernel", "case"), ("factor (95 % interval)", "finding"))
    return _table(found, _INPUTS, made, lambda one: map(_input, one.inputs))


def _table(
    found: Findings,
    caption: str,
    made: tuple[Column, ...],
    rows_of: Callable[[Judgement], Iterable[tuple[str, ...]]],
) -> tuple[Block, ...]:
    rows = [(one.run.name, *row) for one in found.of(trust.judged) for row in rows_of(one)]
    return (table_of_runs(caption, made, rows, heads=2, several=len(found.runs) > 1),) if rows else ()


def _starts(run: Run) -> Iterator[tuple[str, ...]]:
    yield from (_start(record.kernel, start) for record in run.records for start in record.trust.starts)
    for record in run.records:
        if record.trust.no_starts:
            yield (record.kernel, "no start was measured", record.trust.no_starts, *[""] * 5)


def _start(kernel: str, start: Start) -> tuple[str, ...]:
    calls = [f"{words.case(*at)}: {words.seconds(time)}" for at, time in start.first_calls_s.items()]
    shown = calls if len(calls) <= _FIRST_CALLS else [*calls[:2], "…", *calls[-2:]]  # the frame has them all
    return (
        kernel,
        "none yet" if start.fresh else "kept from before",
        words.seconds(start.import_s),
        words.seconds(start.construct_s),
        "does not tell" if start.compile_s is None else words.seconds(start.compile_s) if start.compile_s else "none",
        ", ".join(shown),
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


def _latency(found: Latency) -> tuple[str, ...]:
    shown = (
        f"n too small: {one.needed:,} needed" if one.value is None else words.seconds(one.value)
        for one in found.percentiles
    )
    return (found.kernel, words.case(found.mode, found.batch_size), f"{found.calls:,}", *shown)


def _input(found: InputFinding) -> tuple[str, ...]:
    said = f"{found.factor.value:.2f}x faster on the same input" if found.flagged else "not faster on the same input"
    return (found.kernel, words.case(found.mode, found.batch_size), words.ratio(found.factor), said)


SECTIONS = (
    Part(160, "cold", "Cold starts and memory", _cold, folded=always),
    Part(170, "latency", "Latency percentiles", _percentiles, folded=lambda found: found.p99_s is None),
    Part(180, "inputs", "Is it faster on repeated input?", _inputs, folded=always),
)
