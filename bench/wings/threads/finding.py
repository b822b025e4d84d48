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
Summarized = tuple["Run", "Sequence[CaseSummary]"]


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
        """The cases in batches, which a chart against batch size can show, of kernels that use more threads."""
        batches = (gain for gain in self.gains if gain.mode == "batched")
        return tuple(gain for gain in batches if gain.used is None or gain.used > self.fewest)


def find(runs: Sequence[Summarized]) -> tuple[Scaling, ...]:
    """Return one for each group of runs that differ in threads only; none where there is no such group.

    Repeats are paired by their number where the runs are settings of one sweep, which went through them side by side.
    """
    groups: dict[Any, list[Summarized]] = {}
    for run, cases in runs:
        timed = next((record for record in run.records if record.cases and record.threads is not None), None)
        if timed is not None and cases:
            alike = (timed.machine, timed.spec, timed.data, timed.weights, run.setting and run.setting.env)
            groups.setdefault(alike, []).append((run, cases))
    found = (_of_group(group) for group in groups.values())
    return tuple(one for one in found if one is not None)


def _of_group(group: Sequence[Summarized]) -> Scaling | None:
    by_threads = sorted(((_threads(run), run, cases) for run, cases in group), key=lambda item: item[0])
    fewest, base_run, base = by_threads[0]
    gains = [
        gain
        for threads, run, cases in by_threads[1:]
        if threads > fewest
        for case in cases
        if (gain := _gain(case, base, base_run, run, threads)) is not None
    ]
    if not gains:
        return None
    first = next(record for record in base_run.records if record.cases)
    runs = tuple(run.id for _, run, _ in by_threads)
    env = base_run.setting.env if base_run.setting else None
    return Scaling(first.spec.label(), first.spec.dtype, first.data.name, fewest, runs, tuple(gains), env)


def _threads(run: Run) -> int:
    return next(record.threads for record in run.records if record.cases and record.threads is not None)


def _gain(case: CaseSummary, base: Sequence[CaseSummary], base_run: Run, run: Run, threads: int) -> Gain | None:
    at = (case.kernel, *case.at)
    other = next((one for one in base if (one.kernel, *one.at) == at), None)
    if other is None:
        return None
    if same_sweep(base_run, run):
        speedup = times.ratio_or_apart(other, case)
    else:
        speedup = estimates.ratio(other.by_repeat, case.by_repeat, paired=False)
    says = (record.threads_used for record in run.records if record.kernel == case.kernel and record.cases)
    return Gain(*at, threads, next((used for used in says if used is not None), None), speedup, case.unchecked)
