"""Single calls, one by one: what a caller waits for, and how long at worst."""

from collections.abc import Callable, Iterable

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import clock_pairs_ns, single_calls_ns, times_s
from mlpbench.bench.measure.case import prepare
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.record.trust import Audit, Singles

#: Enough for p99.9 (`bench.stats.percentiles`), and no more than this long.
MOST, LIMIT_S = 7_000, 0.5
#: The first calls of a series are slower: they are made and not kept.
DROPPED = 20


def is_asked(case: Case, batch_sizes: Iterable[int], budget: str | None) -> bool:
    """Return whether the single calls of a case are timed: at batch size 1, where asked for, and for a budget all."""
    if case.mode == "book":
        return False
    return case.mode == "per_sample" or case.batch_size in {1, *batch_sizes} or budget is not None


def single_calls(contestant: Contestant, case: Case) -> Singles:
    """Return the nanoseconds of single calls of a case; ``per_sample`` is a call on one row."""
    one = Case(case.mode, 1) if case.mode == "per_sample" else case
    call = prepare(contestant.kernel, one, contestant.inputs[: max(one.batch_size, 1000)]).call
    for _ in range(DROPPED if one.batch_size == 1 else 1):
        call()
    calls = single_calls_ns(call, LIMIT_S, MOST)
    return Singles(case.mode, case.batch_size, tuple(clock_pairs_ns()), tuple(calls))


#: Pairs of blocks, and how long a block takes: a tenth of a second for a case.
PAIRS, BLOCK_S = 9, 0.005
#: Batches in the rotation, from which on it means something.
ROTATION = 8


def audited(cases: Iterable[Case], rows: int) -> list[Case]:
    """Return the cases of a sweep that are audited: one at a time, and the batch nearest to 100 that can rotate."""
    cases = list(cases)
    batched = [case for case in cases if case.mode == "batched" and case.batch_size * ROTATION <= rows]
    nearest = sorted(batched, key=lambda case: abs(case.batch_size - 100))[:1]
    return [case for case in cases if case.mode == "per_sample"][:1] + nearest


def audit(contestant: Contestant, case: Case) -> Audit:
    """Return pairs of seconds per call: with inputs that rotate, and with one input again and again.

    Both sides are prepared in the same way. Of a pair, either comes first in turn, so that a drift of the machine does
    not take a side.
    """
    x = contestant.inputs
    rotating = prepare(contestant.kernel, case, x).call
    same = prepare(contestant.kernel, case, x[: case.batch_size]).call
    rotating_s: list[float] = []
    same_s: list[float] = []
    sides = [(rotating_s, rotating), (same_s, same)]
    calls = max(1, round(BLOCK_S / min(times_s(rotating, 5))))
    for number in range(PAIRS):
        for seconds, call in sides if number % 2 else sides[::-1]:
            seconds.append(_block(call, calls))
    return Audit(case.mode, case.batch_size, tuple(rotating_s), tuple(same_s))


def _block(call: Callable[[], object], calls: int) -> float:
    def block() -> None:
        for _ in range(calls):
            call()

    return times_s(block, 1)[0] / calls
