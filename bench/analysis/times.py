"""The only way from records to a time: seconds per sample of every case in each repeat, at the machine's best speed.

A repeat's time is that of its quiet rounds (`bench.trust.rounds`), divided by how slow its looks say that the processor
was. A disturbed repeat does not count. Where fewer than two are left, all count, and there is no interval: nobody knows
how far they are off. A ratio of two cases does the same with the repeats that both have.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import ALONE, NO_WANDER, Estimate, Ratio, Scatter, Wander
from mlpbench.bench.trust.rounds import At, CaseTime, Kind, fastest_looks, of_run, slowness

#: Why a number has no interval where no two repeats were undisturbed.
DISTURBED = "other programs disturbed it"

_E = TypeVar("_E", Estimate, Ratio)
#: One repeat of a case: where it comes from, what was taken of it, and seconds per sample.
_Measured = tuple[Record, CaseTime, float]


class ByRepeat(Protocol):
    """What a ratio is made of: seconds per sample by repeat."""

    @property
    def by_repeat(self) -> Mapping[int, float]:
        """The repeats that count."""

    @property
    def every(self) -> Mapping[int, float]:
        """All repeats, disturbed or not."""

    @property
    def hit(self) -> frozenset[int]:
        """The repeats that other programs disturbed."""


@dataclass(frozen=True)
class CaseTimes:
    """One case of one kernel: seconds per sample by repeat, of ``every`` one.

    ``sources``: the record that each repeat comes from, and what was taken of it.
    """

    run: str
    machine: str
    kernel: str
    mode: str
    batch_size: int
    every: Mapping[int, float]
    sources: tuple[tuple[Record, CaseTime], ...]

    @property
    def hit(self) -> frozenset[int]:
        """The repeats with too few quiet rounds."""
        return frozenset(record.repeat for record, case in self.sources if case.disturbed)

    @property
    def by_repeat(self) -> Mapping[int, float]:
        """The repeats that count."""
        return estimates.counted(self.every, self.hit)

    def estimate(self, scatter: Scatter = ALONE, wander: Wander = NO_WANDER) -> Estimate:
        """Return the time over the repeats that count."""
        return estimates.estimate(self.by_repeat, scatter, wander)


#: The best look of each kind, by machine.
Looks = Mapping[str, Mapping[Kind, float]]


def best_looks(runs: Iterable[Run]) -> Looks:
    """Return the best looks that any of the runs knows: at this speed the times of a machine can be compared."""
    of_machine = grouped((record.machine, record) for run in runs for record in run.records)
    return {machine: fastest_looks(records) for machine, records in of_machine.items()}


def cases(runs: Iterable[Run], looks: Looks | None = None) -> list[CaseTimes]:
    """Return the times of every case of some runs, kernel by kernel, in the order of the records.

    Those of one machine are at one speed of its processor: that of ``looks``, or the best that any of the runs knows.
    Raises UserError where a run or a record is named twice, which would count its repeats twice.
    """
    runs = list(runs)
    looks = best_looks(runs) if looks is None else looks
    measured: dict[tuple[str, str, str], dict[At, list[_Measured]]] = {}
    for run in runs:
        for record, own in zip(run.records, of_run(run), strict=True):
            slow = slowness(record, looks.get(record.machine, {}))
            for at, case in own.items():
                whose = run.name, record.machine, record.kernel
                measured.setdefault(whose, {}).setdefault(at, []).append((record, case, case.sample_s / slow))
    return [_case(*whose, *at, repeats) for whose, of_kernel in measured.items() for at, repeats in of_kernel.items()]


def by_kernel(run: Run, looks: Looks | None = None) -> dict[str, dict[At, CaseTimes]]:
    """Return the times of one run by kernel and case."""
    result: dict[str, dict[At, CaseTimes]] = {}
    for case in cases([run], looks):
        result.setdefault(case.kernel, {})[case.mode, case.batch_size] = case
    return result


def _case(run: str, machine: str, kernel: str, mode: str, batch_size: int, repeats: Sequence[_Measured]) -> CaseTimes:
    every = {record.repeat: sample_s for record, _, sample_s in repeats}
    if len(every) < len(repeats):
        raise UserError(f"the run {run} is named twice: name each run or record once")
    return CaseTimes(
        run, machine, kernel, mode, batch_size, every, tuple((record, case) for record, case, _ in repeats)
    )


def pairs(a: ByRepeat, b: ByRepeat) -> tuple[dict[int, float], dict[int, float]]:
    """Return the repeats of two cases that count in their ratio, of either side; empty where no repeat has both."""
    both = dict.fromkeys(sorted(a.every.keys() & b.every.keys()), 1.0)
    chosen = estimates.counted(both, a.hit | b.hit)
    return {repeat: a.every[repeat] for repeat in chosen}, {repeat: b.every[repeat] for repeat in chosen}


def ratio(a: ByRepeat, b: ByRepeat, scatter: Scatter = ALONE, wander: Wander = NO_WANDER) -> Ratio | None:
    """Return the time of ``a`` / the time of ``b``, paired by repeat; None where no repeat has both."""
    paired = pairs(a, b)
    return estimates.ratio(*paired, scatter=scatter, wander=wander) if paired[0] else None


def withheld(found: _E) -> _E:
    """Return a number without its interval: other programs disturbed all that it is made of."""
    return replace(found, low=math.nan, high=math.nan, reason=DISTURBED)


def ratio_or_apart(a: ByRepeat, b: ByRepeat, scatter: Scatter = ALONE) -> Ratio:
    """Return the ratio as `ratio` does, or where no repeat has both that of the medians, unpaired."""
    paired = ratio(a, b, scatter)
    return estimates.ratio(a.by_repeat, b.by_repeat, paired=False, scatter=scatter) if paired is None else paired
