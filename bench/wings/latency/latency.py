"""What single calls say, kernel by kernel: derived from the records of one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats.percentiles import Percentile, percentiles
from mlpbench.bench.values import parse_duration


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
    """The largest batch of a kernel whose p99 stays within ``budget_s`` with 99 % confidence; None if none does.

    ``too_few``: batch sizes with too few calls to say; ``untimed``: those of the sweep whose calls were not timed.
    """

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
        calls = np.concatenate([np.maximum(np.array(one.calls_ns) - (one.clock_ns or 0), 0) / 1e9 for one in of_case])
        clock_s = median(one.clock_ns or 0 for one in of_case) / 1e9
        found.append(Latency(*at, len(calls), clock_s, percentiles(calls)))
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
