"""The only way from records to a time: seconds per sample of every case in each repeat, without the disturbed ones.

A repeat's time is that of its quiet rounds (`bench.trust.quiet`). One that was disturbed and has too few of them does
not count, unless fewer than three repeats are left: then the fastest of the others make up three (docs/method.md). A
ratio of two cases does the same with the repeats that both have.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Ratio
from mlpbench.bench.trust.pace import Pace, paces
from mlpbench.bench.trust.quiet import At, Rule, Taken, of_run

#: One repeat of a case: where it comes from, what was taken of it, and seconds per sample.
_Measured = tuple[Record, Taken, float]


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

    ``sources``: the record that each repeat comes from, and what was taken of it.
    """

    run: str
    machine: str
    kernel: str
    mode: str
    batch_size: int
    by_repeat: Mapping[int, float]
    every: Mapping[int, float]
    sources: tuple[tuple[Record, Taken], ...]

    @property
    def disturbed(self) -> int:
        """How many repeats something disturbed, whether they count or not."""
        return sum(bool(found.disturbances) for _, found in self.sources)

    @property
    def rules(self) -> dict[Rule, int]:
        """Which rule made the time of how many of the repeats that count, the most frequent first."""
        used = Counter(found.rule for record, found in self.sources if record.repeat in self.by_repeat)
        return dict(used.most_common())


def cases(runs: Iterable[Run], pace: Pace | None = None) -> list[CaseTimes]:
    """Return the times of every case of some runs, kernel by kernel, in the order of the records.

    With ``pace`` they are what they would have been at that pace of the processor, where theirs is known. Raises
    UserError where a run or a record is named twice, which would count its repeats twice.
    """
    found: dict[tuple[str, str, str], dict[At, list[_Measured]]] = {}
    for run in runs:
        for record, cases_taken in zip(run.records, of_run(run), strict=True):
            own = paces(record.trust) if pace else {}
            for at, case in cases_taken.items():
                whose = run.name, record.machine, record.kernel
                sample_s = case.sample_s * (pace.scale(own.get(at)) if pace else 1.0)
                found.setdefault(whose, {}).setdefault(at, []).append((record, case, sample_s))
    return [_case(*whose, *at, repeats) for whose, of_kernel in found.items() for at, repeats in of_kernel.items()]


def by_kernel(run: Run, pace: Pace | None = None) -> dict[str, dict[At, CaseTimes]]:
    """Return the times of one run by kernel and case."""
    found: dict[str, dict[At, CaseTimes]] = {}
    for case in cases([run], pace):
        found.setdefault(case.kernel, {})[case.mode, case.batch_size] = case
    return found


def _case(run: str, machine: str, kernel: str, mode: str, batch_size: int, repeats: Sequence[_Measured]) -> CaseTimes:
    every = {record.repeat: sample_s for record, _, sample_s in repeats}
    if len(every) < len(repeats):
        raise UserError(f"the run {run} is named twice: name each run or record once")
    hit = {record.repeat for record, found, _ in repeats if not found.counts}
    sources = tuple((record, found) for record, found, _ in repeats)
    return CaseTimes(run, machine, kernel, mode, batch_size, estimates.counted(every, hit), every, sources)


def half_width(run: Run) -> float | None:
    """Return half the width of the interval that half of a run's cases are within, as a share; None without intervals.

    Of several repeats only: the interval of a case with one is not known.
    """
    found = [estimates.estimate(case.by_repeat) for case in cases([run])]
    widths = [(one.high - one.low) / (2 * one.value) for one in found if one.n > 1]
    return min(median(widths), 1e9) if widths else None


def pairs(a: ByRepeat, b: ByRepeat) -> tuple[dict[int, float], dict[int, float]]:
    """Return the repeats of two cases that count in their ratio, of either side; empty where no repeat has both."""
    both = {repeat: a.every[repeat] * b.every[repeat] for repeat in a.every.keys() & b.every.keys()}
    # Each side may have three repeats that count, and the two of them not three in common: then the fastest besides.
    chosen = estimates.counted(both, both.keys() - (a.by_repeat.keys() & b.by_repeat.keys()))
    return {repeat: a.every[repeat] for repeat in chosen}, {repeat: b.every[repeat] for repeat in chosen}


def ratio(a: ByRepeat, b: ByRepeat) -> Ratio | None:
    """Return the time of ``a`` / the time of ``b``, paired by repeat; None where no repeat has both."""
    paired = pairs(a, b)
    return estimates.ratio(*paired) if paired[0] else None


def ratio_or_apart(a: ByRepeat, b: ByRepeat) -> Ratio:
    """Return the ratio as `ratio` does, or where no repeat has both that of the medians, unpaired."""
    found = ratio(a, b)
    return estimates.ratio(a.by_repeat, b.by_repeat, paired=False) if found is None else found
