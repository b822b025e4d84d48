"""What single calls say, kernel by kernel: derived from the records of one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats.percentiles import Percentile, largest_within, percentiles
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

    ``too_few`` are the batch sizes of which there were not calls enough to say, ``untimed`` those of the sweep whose
    single calls were not timed.
    """

    kernel: str
    budget_s: float
    batch_size: int | None
    bound_s: float | None
    too_few: tuple[int, ...]
    untimed: tuple[int, ...] = ()


def latencies(records: Sequence[Record]) -> list[Latency]:
    """Return the latency of each case of each kernel whose single calls were timed, in the order of the records."""
    pooled: dict[tuple[str, str, int], list[NDArray[np.float64]]] = {}
    looks: dict[tuple[str, str, int], list[float]] = {}
    for record in records:
        for singles in record.trust.singles:
            at = (record.kernel, singles.mode, singles.batch_size)
            looks.setdefault(at, []).append(singles.clock_ns / 1e9)
            pooled.setdefault(at, []).append(np.maximum(np.array(singles.calls_ns) - singles.clock_ns, 0) / 1e9)
    found = {at: np.concatenate(parts) for at, parts in pooled.items()}
    return [Latency(*at, len(calls), median(looks[at]), percentiles(calls)) for at, calls in found.items()]


def asked_budget_s(plan: Plan | None) -> float | None:
    """Return the budget that the run was asked about (``--p99``), in seconds; None without one."""
    asked = [word for word in (plan.clock if plan else ()) if word.startswith("--p99=")]
    try:
        return parse_duration(asked[-1].removeprefix("--p99=")) if asked else None
    except UserError:  # a plan that somebody changed by hand: nothing was asked that we understand
        return None


def budgets(records: Sequence[Record], budget: float | None) -> list[Budget]:
    """Return what each kernel can do within a budget in seconds; none without one.

    Kernels whose single calls were not timed at any batch size have no answer.
    """
    if budget is None:
        return []
    found = latencies(records)
    results = []
    for kernel in dict.fromkeys(latency.kernel for latency in found):
        bounds = {
            latency.batch_size: next(p for p in latency.percentiles if p.p == 0.99)
            for latency in found
            if latency.kernel == kernel and latency.mode == "batched"
        }
        if not bounds:
            continue
        largest = largest_within(bounds, budget)
        too_few = tuple(sorted(size for size, p in bounds.items() if p.bound is None))
        cases = (case for record in records if record.kernel == kernel for case in record.cases)
        untimed = tuple(sorted({case.batch_size for case in cases if case.mode == "batched"} - bounds.keys()))
        results.append(Budget(kernel, budget, largest, bounds[largest].bound if largest else None, too_few, untimed))
    return results
