"""Is a kernel faster when it sees the same input again? Then its times hold for a cache, and not for new data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlpbench.bench.measure.case import prepare, times_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mlpbench.bench.measure.session import Contestant
    from mlpbench.bench.plan.profiles import Case

__all__ = ["audit", "audited"]

#: Pairs of blocks, and how long a block takes: a third of a second for a case.
PAIRS, BLOCK_S = 15, 0.01
#: Batches in the rotation, from which on it means something.
ROTATION = 8


def audited(cases: Iterable[Case], rows: int) -> list[Case]:
    """Return the cases of a sweep that are audited: one at a time, and the batch nearest to 100 that can rotate."""
    cases = list(cases)
    batched = [case for case in cases if case.mode == "batched" and case.batch_size * ROTATION <= rows]
    nearest = sorted(batched, key=lambda case: abs(case.batch_size - 100))[:1]
    return [case for case in cases if case.mode == "per_sample"][:1] + nearest


def audit(contestant: Contestant, case: Case) -> dict[str, Any]:
    """Return pairs of seconds per call: with inputs that rotate, and with one input again and again.

    Both sides are prepared in the same way. Of a pair, either comes first in turn, so that a drift of the machine does
    not take a side.
    """
    x = contestant.inputs
    rotating = prepare(contestant.kernel, case, x)
    same = prepare(contestant.kernel, case, x[: case.batch_size])
    found: dict[str, list[float]] = {"rotating_s": [], "same_s": []}
    sides = [("rotating_s", rotating), ("same_s", same)]
    calls = max(1, round(BLOCK_S / min(times_s(rotating, 5))))
    for number in range(PAIRS):
        for name, call in sides if number % 2 else sides[::-1]:
            found[name].append(_block(call, calls))
    return {**case.as_dict(), **found}


def _block(call: Callable[[], None], calls: int) -> float:
    def block() -> None:
        for _ in range(calls):
            call()

    return times_s(block, 1)[0] / calls
