"""How a run ended: which process ran when, and what made each case stop. Added to ``run.json`` when it is over.

While a run goes on, its number of repeats is not known; the plan then holds ``target`` and ``budget_s`` beside the
least number of repeats. A run with such a plan and without an ending was interrupted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlpbench.bench.record.untrusted import Block


#: What can end the repeats of a case, and the words for it.
LIMITS = {
    "target": "interval narrow enough",
    "budget": "budget spent",
    "repeats": "repeats done",
    "failed": "failed",
    "interrupted": "interrupted",
}


@dataclass(frozen=True)
class CaseEnd:
    """One case: half the width of its 95 % interval as a share of its time (None without one), and what ended it."""

    kernel: str
    mode: str
    batch_size: int
    repeats: int
    half_width: float | None
    limit: str


@dataclass(frozen=True)
class Ending:
    """``order`` holds (kernel, repeat) of every process that ended, in running order; ``spent_s`` their seconds.

    ``target`` and ``budget_s`` are None where the number of repeats was given. ``sweep_s``, of one setting of a sweep
    over several: the seconds of all of them, which share the budget.
    """

    target: float | None
    budget_s: float | None
    spent_s: float
    interrupted: bool
    ended: str | None
    order: tuple[tuple[str, int], ...]
    cases: tuple[CaseEnd, ...]
    sweep_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the ending as JSON can hold it."""
        block = {**vars(self), "order": [list(point) for point in self.order]}
        return {**block, "cases": [vars(case) for case in self.cases]}

    def limit(self, kernel: str, mode: str, batch_size: int) -> str | None:
        """Return what ended a case, a key of `LIMITS`; None for a case that is not there."""
        found = (
            case.limit for case in self.cases if (case.kernel, case.mode, case.batch_size) == (kernel, mode, batch_size)
        )
        return next(found, None)

    def sentence(self) -> str | None:
        """Say how many cases reached the target and what stopped the others; None where there was no target."""
        if self.target is None:
            return None
        ends = Counter(case.limit for case in self.cases)
        said = f"{ends['target']} of {len(self.cases)} cases have an interval within {100 * self.target:.3g} %"
        others = [f"{ends[limit]} {words}" for limit, words in LIMITS.items() if ends[limit] and limit != "target"]
        if not others:
            return f"{said}, after {self.spent_s:.0f} s."
        all_s = self.spent_s if self.sweep_s is None else self.sweep_s
        spent = f"{all_s:.0f} of {self.budget_s:.0f} s"
        spent += "" if self.sweep_s is None else f" with the other settings, {self.spent_s:.0f} s of them here"
        wide = [case for case in self.cases if case.half_width is not None]
        widest = max(wide, key=lambda case: case.half_width or 0.0, default=None)
        told = f"{said}; {', '.join(others)}, after {spent}"
        if widest is None or widest.half_width is None:
            return f"{told}."
        where = f"{widest.kernel} {widest.mode} {widest.batch_size}"
        return f"{told}. Widest: {where}, ±{100 * widest.half_width:.2g} % after {widest.repeats} repeats."


def was_cut_off(block: Block, ending: Ending | None) -> bool:
    """Return whether the run of a ``run.json`` stopped before its number of repeats, which it left open, was settled.

    Raises UserError where the plan is damaged.
    """
    left_open = block.block("plan").number("budget_s", None) is not None
    return ending.interrupted if ending else left_open


def read_ending(block: Block) -> Ending | None:
    """Return the ending in the block of a ``run.json``, None if there is none. Raises UserError as `bench.record.schema`."""
    if "ending" not in block:
        return None
    ending = block.block("ending")
    return Ending(
        target=ending.number("target", None),
        budget_s=ending.seconds("budget_s", None),
        spent_s=ending.seconds("spent_s"),
        interrupted=ending.flag("interrupted", False),
        ended=ending.text("ended", None),
        order=tuple(ending.pairs("order")),
        cases=tuple(_case(case) for case in ending.blocks("cases")),
        sweep_s=ending.seconds("sweep_s", None),
    )


def _case(block: Block) -> CaseEnd:
    limit = block.name("limit")
    if limit not in LIMITS:
        block.refuse("limit", limit, f"one of {', '.join(LIMITS)}")
    return CaseEnd(
        kernel=block.name("kernel"),
        mode=block.name("mode"),
        batch_size=block.integer("batch_size", 1),
        repeats=block.integer("repeats", 0),
        half_width=block.number("half_width", None),
        limit=limit,
    )
