"""What times come to: a case's estimate and speedup, which kernel is fastest, and how far whole runs differ."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from mlpbench.bench import words
from mlpbench.bench.analysis import judge, times
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.times import CaseTimes
from mlpbench.bench.cases import MODES
from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.runs import PLAN_FILE
from mlpbench.bench.stats import estimates, verdicts
from mlpbench.bench.stats.estimates import Estimate, Ratio, Wander

#: How much runs of virtual machines differ (docs/evidence/statistics.md), before a machine's own runs tell more.
USUAL_WANDER = Wander(0.01, 4.0, 0.006)


@dataclass(frozen=True)
class CaseSummary(CaseTimes):
    """A case with its seconds per ``sample``, and the kernel's time one at a time / this, or why it has none."""

    sample: Estimate
    speedup: Ratio | None = None
    no_speedup: str | None = None


def summarize(runs: Iterable[Judged], wander: Wander = USUAL_WANDER) -> list[CaseSummary]:
    """Return every case of some runs, by run, kernel, mode and batch size; runs and kernels in the order of records.

    ``wander``: how far runs differ, a part of the interval of a time; in a speedup what single cases wander by is left.
    Raises UserError where a run or a record is named twice.
    """
    summaries: list[CaseSummary] = []
    for _, of_run in groupby(times.cases(runs), lambda case: (case.run, case.machine)):
        measured = list(of_run)
        scatter = estimates.shared_scatter(case.by_repeat for case in measured)
        cases = [
            CaseSummary(
                *(case.run, case.machine, case.kernel, *case.at, case.every, case.sources),
                case.estimate(scatter, wander),
            )
            for case in measured
        ]
        kernels = list(dict.fromkeys(case.kernel for case in cases))
        cases.sort(key=lambda case: (kernels.index(case.kernel), MODES.index(case.mode), case.batch_size))
        # In a ratio of two cases of one run the run's level cancels.
        between_cases = Wander(0.0, wander.degrees, math.sqrt(2) * wander.case_sd)
        summaries += _with_speedups(cases, between_cases)
    return summaries


def of_kernels(cases: Iterable[CaseSummary]) -> dict[str, list[CaseSummary]]:
    """Return the cases of one run kernel by kernel."""
    return grouped((case.kernel, case) for case in cases)


def one_at_a_time(cases: Iterable[CaseSummary], mode: str = "per_sample") -> CaseSummary | None:
    """Return the baseline among the cases of one kernel and run: the longest block of single calls, if there is one."""
    singles = [case for case in cases if case.mode == mode and times.one_by_one(*case.at)]
    return max(singles, key=lambda case: case.batch_size, default=None)


def batched(cases: Iterable[CaseSummary]) -> list[CaseSummary]:
    """Return the cases that are one call for a batch, inference alone, by batch size."""
    return sorted((case for case in cases if case.mode == "batched"), key=lambda case: case.batch_size)


def best_batch(cases: Iterable[CaseSummary]) -> CaseSummary | None:
    """Return the batch with the shortest time per sample among the cases of one kernel and run; None without any."""
    return min(batched(cases), key=lambda case: case.sample.value, default=None)


def best_cases(kernels: Mapping[str, Sequence[CaseSummary]]) -> dict[str, CaseSummary]:
    """Return the best batch of each kernel of one run, or its single calls where it has no batch."""
    return {name: one for name, own in kernels.items() if (one := best_batch(own) or one_at_a_time(own))}


def ranked(cases: Iterable[CaseSummary]) -> list[tuple[CaseSummary, Ratio]]:
    """Return the cases of different kernels, the fastest first, each with its time / the fastest's.

    The fastest has the shortest time per sample, unless another is faster in the repeats that both have, and so on.
    Unchecked kernels come last; they and unclear times lead only where there are no others.
    """
    candidates = list(cases)
    leaders = [case for case in candidates if not case.unchecked] or candidates
    leaders = [case for case in leaders if not words.is_wide(case.sample.low, case.sample.high)] or leaders
    fastest = min(leaders, key=lambda case: case.sample.value)
    for _ in leaders:
        gains = [(times.ratio_or_apart(case, fastest).value, case) for case in leaders]
        gain, faster = min(gains, key=lambda item: item[0])
        if gain >= 1:
            break
        fastest = faster
    others = (case for case in candidates if case is not fastest)
    scatter = estimates.shared_scatter(estimates.ratios(*times.pairs(case, fastest)) for case in others)
    order = [(case, times.ratio_or_apart(case, fastest, scatter)) for case in candidates]
    return sorted(order, key=lambda item: (item[0] is not fastest, item[0].unchecked, item[1].value))


def _with_speedups(cases: Sequence[CaseSummary], wander: Wander) -> Iterator[CaseSummary]:
    """Yield the cases of one run with their speedups, whose scatter is known together."""
    kernels = of_kernels(cases)
    modes = ("book" if case.mode == "book" else "per_sample" for case in cases)
    against = [(case, one_at_a_time(kernels[case.kernel], mode)) for case, mode in zip(cases, modes, strict=True)]
    gains = ((baseline, case) for case, baseline in against if baseline and not times.one_by_one(*case.at))
    scatter = estimates.shared_scatter(estimates.ratios(*times.pairs(*sides)) for sides in gains)
    for case, baseline in against:
        if baseline is None:
            yield replace(case, no_speedup="no case one at a time to compare with")
        elif times.one_by_one(*case.at):
            yield replace(case, no_speedup="the baseline")
        else:
            gain = times.ratio(baseline, case, scatter, wander)
            yield replace(case, speedup=gain, no_speedup="no repeat has both sides" if gain is None else None)


def learnt_wander(like: Judged, *besides: Judged) -> Wander:
    """Return how far runs of this machine and code wander, from stored ones other than it and those ``besides``."""
    return wander_of(_alike(like, {run.path.resolve() for run in (like, *besides)}))


def wander_of(alike: Iterable[Judged]) -> Wander:
    """Return how far runs of the same code differ, the usual where there is one alone."""
    runs = list(alike)
    every = [case for case in times.cases(runs) if len(case.by_repeat.keys() - case.hit) > 1]
    of_runs = [{(case.kernel, case.at): case.by_repeat for case in every if case.run == run.name} for run in runs]
    return verdicts.learnt_wander(of_runs, USUAL_WANDER)


def _alike(like: Judged, without: Collection[Path]) -> Iterator[Judged]:
    """Yield the ten newest other runs of the machine that ran the same code; one that cannot be read tells nothing."""
    plans = like.path.parent.glob(f"*/{PLAN_FILE}")
    others = [plan.parent for plan in plans if plan.parent.resolve() not in without]
    for path in sorted(others, key=lambda path: path.name, reverse=True)[:10]:
        with suppress(UserError):  # whoever names that run hears why
            runs = judge.read(path)
            if len(runs) == 1 and _code(runs[0]) == _code(like) is not None:
                yield runs[0]


def _code(run: Judged) -> tuple[object, ...] | None:
    """Return what times depend on, beside the machine; None where nothing was timed."""
    first = next((record for record in run.records if record.cases), None)
    if first is None:
        return None
    here = first.environment
    return str(first.spec), first.threads, first.data.sha256, here.git.commit, here.python, here.libraries
