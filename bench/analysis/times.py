"""The only way from records to a time: seconds per sample of every case in each repeat, at the machine's best speed.

A repeat's time is that of its quiet rounds (`bench.trust.rounds`), divided by how slow the processor was by its looks.
A disturbed repeat does not count, in a time or a ratio, unless fewer than two others are left.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.cases import CPU, CUDA
from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.schema import Record, Timing
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import ALONE, NO_WANDER, Error, Estimate, Ratio, Wander
from mlpbench.bench.trust.rounds import At, CaseTime, fastest_looks, slowness

#: Why a number has no interval where no two repeats were undisturbed.
DISTURBED = "other programs disturbed it"


@dataclass(frozen=True)
class CaseTimes:
    """One case of one kernel: seconds per sample of ``every`` repeat, and the record that each comes from."""

    run: str
    machine: str
    kernel: str
    mode: str
    batch_size: int
    every: Mapping[int, float]
    sources: tuple[tuple[Record, CaseTime], ...]

    @property
    def at(self) -> At:
        """Mode and batch size."""
        return self.mode, self.batch_size

    @cached_property
    def hit(self) -> frozenset[int]:
        """The repeats that other programs disturbed: they have too few quiet rounds."""
        return frozenset(record.repeat for record, case in self.sources if case.disturbed)

    @cached_property
    def by_repeat(self) -> Mapping[int, float]:
        """The repeats that count."""
        return estimates.counted(self.every, self.hit)

    @property
    def repeats(self) -> int:
        """How many repeats count."""
        return len(self.by_repeat)

    @property
    def disturbed(self) -> int:
        """How many repeats are `hit`."""
        return len(self.hit)

    @property
    def name(self) -> str:
        """The kernel as texts call it: with a mark where its times are unchecked."""
        return words.marked(self.kernel, self.unchecked)

    @property
    def timings(self) -> list[Timing]:
        """The case in each record."""
        return [case.timing for _, case in self.sources]

    @property
    def rounds(self) -> int:
        """Rounds of a repeat, the fewest."""
        return min(len(timing.rounds_s) for timing in self.timings)

    @property
    def first_call_s(self) -> float:
        """Seconds of the whole first call, the median over repeats; NaN where no file says it."""
        known = [timing.first_call_s for timing in self.timings if timing.first_call_s is not None]
        return median(known) if known else math.nan

    @property
    def accuracy(self) -> float | None:
        """Share of rows answered right in the way of the case; None without labels."""
        shares = (accuracy(record, *self.at) for record, _ in self.sources)
        return next((share for share in shares if share is not None), None)

    @property
    def repeated_rows(self) -> bool:
        """Whether the data set was shorter than the sweep and its rows came again."""
        return any(timing.repeated_rows for timing in self.timings)

    @property
    def includes_loading(self) -> bool:
        """Whether loading data and weights is inside the time."""
        return any(timing.includes_loading for timing in self.timings)

    @cached_property
    def unchecked(self) -> bool:
        """Whether no roof tells if its times can be."""
        return any(unchecked(record) for record, _ in self.sources)

    def estimate(self, scatter: Error = ALONE, wander: Wander = NO_WANDER) -> Estimate:
        """Return the time over the repeats that count."""
        return estimates.estimate(self.by_repeat, scatter, wander, bool(self.hit & self.by_repeat.keys()))


def cases(runs: Iterable[Judged], beside: Iterable[Judged] | None = None) -> list[CaseTimes]:
    """Return the times of every case of some runs, kernel by kernel.

    Times of a machine can be compared at the speed of the best look that any of the runs knows, or of the runs
    ``beside``. Raises UserError where a run or a record is named twice.
    """
    runs = tuple(runs)
    of_machine = grouped((record.machine, record) for run in beside or runs for record in run.records)
    looks = {machine: fastest_looks(records) for machine, records in of_machine.items()}
    slow = {one.path: slowness(one, looks.get(one.machine, {})) for run in runs for one in run.records}
    sources = grouped(
        ((run.name, record.machine, record.kernel, *at), (record, case))
        for run in runs
        for record, of_record in zip(run.records, run.times, strict=True)
        for at, case in of_record.items()
    )
    result = []
    for whose, repeats in sources.items():
        every = {record.repeat: case.sample_s / slow[record.path] for record, case in repeats}
        if len(every) < len(repeats):
            raise UserError(f"the run {whose[0]} is named twice: name each run or record once")
        result.append(CaseTimes(*whose, every, tuple(repeats)))
    return result


def accuracy(record: Record, mode: str, batch_size: int) -> float | None:
    """Return the share of rows answered right in the way of a case, one at a time or batched; None without labels."""
    shares = record.kernel_info.accuracy
    return shares.per_sample if one_by_one(mode, batch_size) else shares.batched


def one_by_one(mode: str, batch_size: int) -> bool:
    """Return whether a case goes through its rows one at a time."""
    return mode == "per_sample" or (mode == "book" and batch_size == 1)


def unchecked(record: Record) -> bool:
    """Return whether no roof tells if times can be: work is skipped, or a device or the CPU's arithmetic has none."""
    measured = {CPU: (None, "fp32", "fp64"), CUDA: (record.facts.arithmetic,)}.get(record.device or CPU, ())
    return bool(record.facts.skips_work) or record.facts.arithmetic not in measured


def pairs(a: CaseTimes, b: CaseTimes) -> tuple[dict[int, float], dict[int, float]]:
    """Return the repeats of two cases that count in their ratio, of either side; empty where no repeat has both."""
    chosen = estimates.counted(dict.fromkeys(sorted(a.every.keys() & b.every.keys()), 1.0), a.hit | b.hit)
    return {repeat: a.every[repeat] for repeat in chosen}, {repeat: b.every[repeat] for repeat in chosen}


def ratio(a: CaseTimes, b: CaseTimes, scatter: Error = ALONE, wander: Wander = NO_WANDER) -> Ratio | None:
    """Return the time of ``a`` / the time of ``b``, paired by repeat; None where no repeat has both."""
    gains = estimates.ratios(*pairs(a, b))
    disturbed = bool((a.hit | b.hit) & gains.keys())
    return estimates.estimate(gains, scatter, wander, disturbed) if gains else None


def ratio_or_apart(a: CaseTimes, b: CaseTimes, scatter: Error = ALONE) -> Ratio:
    """Return the ratio as `ratio` does, or of the medians, unpaired, where no repeat has both.

    It is unpaired too where only disturbed repeats have both: who leads by the times shown leads in the ratio too.
    """
    paired, hit = ratio(a, b, scatter), a.hit | b.hit
    left_out = hit & pairs(a, b)[0].keys() and not (a.hit & a.by_repeat.keys() or b.hit & b.by_repeat.keys())
    if paired is None or left_out:
        return estimates.ratio(a.by_repeat, b.by_repeat, paired=False, scatter=scatter)
    return paired
