"""The only way from records to a time: seconds per sample of every case in each repeat, without the disturbed ones.

The rule (docs/method.md): a disturbed repeat of a case does not count, unless fewer than three repeats would be left. A
ratio of two cases takes the repeats that count on both sides, or every repeat where fewer than three count on both.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record, Timing
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Ratio
from mlpbench.bench.trust.disturbance import best_spin_s, disturbances
from mlpbench.bench.trust.pace import Pace, paces

#: (mode, batch size)
At = tuple[str, int]
#: One repeat of a case: where it comes from, seconds per sample, and whether it was disturbed.
_Measured = tuple[Record, Timing, float, bool]


class ByRepeat(Protocol):
    """What a ratio is made of: seconds per sample by repeat."""

    @property
    def by_repeat(self) -> Mapping[int, float]:
        """The repeats that count."""

    @property
    def every(self) -> Mapping[int, float]:
        """All repeats, disturbed or not."""


@dataclass(frozen=True)
class CaseTimes:
    """One case of one kernel: seconds per sample by repeat, of the repeats that count and of ``every`` one.

    ``sources``: the record and the timing that each repeat comes from.
    """

    run: str
    machine: str
    kernel: str
    mode: str
    batch_size: int
    by_repeat: Mapping[int, float]
    every: Mapping[int, float]
    disturbed: frozenset[int]
    sources: tuple[tuple[Record, Timing], ...]


def cases(runs: Iterable[Run], pace: Pace | None = None) -> list[CaseTimes]:
    """Return the times of every case of some runs, kernel by kernel, in the order of the records.

    With ``pace`` they are what they would have been at that pace of the processor, where theirs is known. Raises
    UserError where a run or a record is named twice, which would count its repeats twice.
    """
    found: dict[tuple[str, str, str], dict[At, list[_Measured]]] = {}
    for run in runs:
        for record, hit in zip(run.records, disturbed(run.records), strict=True):
            own = paces(record.trust) if pace else {}
            for timing in record.cases:
                whose, at = (run.name, record.machine, record.kernel), (timing.mode, timing.batch_size)
                sample_s = timing.sample_s * (pace.scale(own.get(at)) if pace else 1.0)
                found.setdefault(whose, {}).setdefault(at, []).append((record, timing, sample_s, at in hit))
    return [_case(*whose, *at, repeats) for whose, of_kernel in found.items() for at, repeats in of_kernel.items()]


def by_kernel(run: Run, pace: Pace | None = None) -> dict[str, dict[At, CaseTimes]]:
    """Return the times of one run by kernel and case."""
    found: dict[str, dict[At, CaseTimes]] = {}
    for case in cases([run], pace):
        found.setdefault(case.kernel, {})[case.mode, case.batch_size] = case
    return found


def _case(run: str, machine: str, kernel: str, mode: str, batch_size: int, repeats: Sequence[_Measured]) -> CaseTimes:
    every = {record.repeat: sample_s for record, _, sample_s, _ in repeats}
    if len(every) < len(repeats):
        raise UserError(f"the run {run} is named twice: name each run or record once")
    hit = frozenset(record.repeat for record, *_, disturbed in repeats if disturbed)
    sources = tuple((record, timing) for record, timing, *_ in repeats)
    return CaseTimes(run, machine, kernel, mode, batch_size, estimates.counted(every, hit), every, hit, sources)


def disturbed(records: Sequence[Record]) -> list[Collection[At]]:
    """Return the disturbed cases of each record of one run: all of them are held against the run's best spins."""
    best = best_spin_s(record.trust for record in records)
    return [disturbances(record.trust, best).keys() for record in records]


def pairs(a: ByRepeat, b: ByRepeat) -> tuple[dict[int, float], dict[int, float]]:
    """Return the repeats of two cases that count in their ratio, of either side; empty where no repeat has both."""
    common = a.by_repeat.keys() & b.by_repeat.keys()
    both = a.every.keys() & b.every.keys()
    if len(common) < min(estimates.LEAST_REPEATS, len(both)):
        # Each side may have three undisturbed repeats, and the two of them not three in common.
        return {repeat: a.every[repeat] for repeat in both}, {repeat: b.every[repeat] for repeat in both}
    return {repeat: a.by_repeat[repeat] for repeat in common}, {repeat: b.by_repeat[repeat] for repeat in common}


def ratio(a: ByRepeat, b: ByRepeat) -> Ratio | None:
    """Return the time of ``a`` / the time of ``b``, paired by repeat; None where no repeat has both."""
    paired = pairs(a, b)
    return estimates.ratio(*paired) if paired[0] else None


def ratio_or_apart(a: ByRepeat, b: ByRepeat) -> Ratio:
    """Return the ratio as `ratio` does, or where no repeat has both that of the medians, unpaired."""
    found = ratio(a, b)
    return estimates.ratio(a.by_repeat, b.by_repeat, paired=False) if found is None else found
