"""What threads bring: the same kernel, case by case, with few threads and with more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.sides import same_sweep
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.record.runs import Run
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Ratio

#: A run with the summaries of its cases.
Summarized = tuple[Run, Sequence[CaseSummary]]


@dataclass(frozen=True)
class Gain:
    """One case: time with the fewest threads / time with ``threads``. ``used``: what the kernel says that it used."""

    kernel: str
    mode: str
    batch_size: int
    threads: int
    used: int | None
    speedup: Ratio
    unchecked: bool = False


@dataclass(frozen=True)
class Scaling:
    """Runs that differ in threads only. ``fewest``: the threads that all others are compared with."""

    spec: str
    dtype: str
    data: str
    fewest: int
    runs: tuple[str, ...]
    gains: tuple[Gain, ...]
    env: str | None = None

    @property
    def drawn(self) -> tuple[Gain, ...]:
        """The cases in batches, which a chart can show, of kernels that use more threads."""
        batches = (gain for gain in self.gains if gain.mode == "batched")
        return tuple(gain for gain in batches if gain.used is None or gain.used > self.fewest)


def find(runs: Sequence[Summarized]) -> tuple[Scaling, ...]:
    """Return one for each group of runs that differ in threads only; none where there is no such group."""
    groups: dict[Any, list[tuple[int, Run, Sequence[CaseSummary]]]] = {}
    for run, cases in runs:
        timed = next((record for record in run.records if record.cases and record.threads is not None), None)
        if timed is not None and timed.threads is not None and cases:
            alike = (timed.machine, timed.spec, timed.data, timed.weights, run.setting and run.setting.env)
            groups.setdefault(alike, []).append((timed.threads, run, cases))
    by_threads = (sorted(group, key=lambda item: item[0]) for group in groups.values())
    return tuple(scaling for group in by_threads if (scaling := _of_group(group)).gains)


def _of_group(group: Sequence[tuple[int, Run, Sequence[CaseSummary]]]) -> Scaling:
    (fewest, base_run, base), *others = group
    by_case = {(case.kernel, *case.at): case for case in base}
    gains = [
        _gain(by_case[case.kernel, *case.at], case, base_run, run, threads)
        for threads, run, cases in others
        if threads > fewest
        for case in cases
        if (case.kernel, *case.at) in by_case
    ]
    first = next(record for record in base_run.records if record.cases)
    runs = tuple(run.id for _, run, _ in group)
    env = base_run.setting.env if base_run.setting else None
    return Scaling(first.spec.label(), first.spec.dtype, first.data.name, fewest, runs, tuple(gains), env)


def _gain(base: CaseSummary, case: CaseSummary, base_run: Run, run: Run, threads: int) -> Gain:
    """Return the gain of a case, paired by repeat where one sweep went through both settings side by side."""
    if same_sweep(base_run, run):
        speedup = times.ratio_or_apart(base, case)
    else:
        speedup = estimates.ratio(base.by_repeat, case.by_repeat, paired=False)
    says = (record.threads_used for record in run.records if record.kernel == case.kernel and record.cases)
    used = next((used for used in says if used is not None), None)
    return Gain(case.kernel, *case.at, threads, used, speedup, case.unchecked)
