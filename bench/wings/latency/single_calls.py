"""Single calls, one by one: what a caller waits for, and how long at worst."""

from statistics import median

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import clock_pairs_ns, single_calls_ns
from mlpbench.bench.measure.case import prepare
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.record.trust import Singles

#: Enough for p99.9 (`bench.stats.percentiles`), and no more than this long.
MOST, LIMIT_S = 7_000, 0.5
#: The first calls of a series are slower: they are made and not kept.
DROPPED = 20


def is_asked(case: Case, budget: str | None) -> bool:
    """Return whether the single calls of a case are timed: at batch size 1, and for a budget all."""
    if case.mode == "book":
        return False
    return case.mode == "per_sample" or case.batch_size == 1 or budget is not None


def single_calls(contestant: Contestant, case: Case) -> Singles:
    """Return the nanoseconds of single calls of a case; ``per_sample`` is a call on one row."""
    single = Case(case.mode, 1) if case.mode == "per_sample" else case
    call = prepare(contestant.kernel, single, contestant.inputs[: max(single.batch_size, 1000)]).call
    for _ in range(DROPPED if single.batch_size == 1 else 1):
        call()
    calls = single_calls_ns(call, LIMIT_S, MOST)
    return Singles.of(case, round(median(clock_pairs_ns())), calls)
