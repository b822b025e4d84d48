"""Who is fastest where: every kernel at every batch size, as its time / the time of the fastest kernel there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean

from mlpbench.bench.analysis.summary import CaseSummary, batched, best_cases, of_kernels, one_at_a_time, ranked
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.names import machine_name, machine_of
from mlpbench.bench.record.runs import Run
from mlpbench.bench.stats.estimates import Ratio

#: The column of single calls, before all batch sizes.
ONE = 0


@dataclass(frozen=True)
class Cell:
    """One kernel at one batch size: its time per sample in seconds, and that / the fastest kernel's there."""

    kernel: str
    batch_size: int
    sample_s: float
    fastest: str
    ratio: Ratio


@dataclass(frozen=True)
class HeatMap:
    """One run. ``kernels`` by their speed overall, the fastest first; ``columns`` are `ONE` and batch sizes.

    Of several machines the columns are numbers of ``labels``, and a kernel is in its best batch.
    """

    run: str
    kernels: tuple[str, ...]
    columns: tuple[int, ...]
    cells: Mapping[tuple[str, int], Cell]
    unchecked: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()


def of_machines(by_run: Sequence[tuple[Run, Sequence[CaseSummary]]]) -> HeatMap | None:
    """Return kernels by machine, each in its best batch; None unless several machines computed the same."""
    timed = [(run, best_cases(of_kernels(cases))) for run, cases in by_run if cases]
    machines = {machine_of(run) for run, _ in timed}
    computed = {(run.records[0].spec, run.records[0].data.sha256, run.records[0].weights.sha256) for run, _ in timed}
    if len(machines) < 2 or len(computed) != 1:
        return None
    names = [machine_name(run, machines) for run, _ in timed]
    labels = tuple(name if names.count(name) == 1 else run.name for name, (run, _) in zip(names, timed, strict=True))
    cells = {(cell.kernel, at): cell for at, (_, best) in enumerate(timed) for cell in _column(at, list(best.values()))}
    unchecked = frozenset(case.kernel for _, best in timed for case in best.values() if case.unchecked)
    return HeatMap("", _by_speed(cells, unchecked), tuple(range(len(timed))), cells, unchecked, labels)


def find(cases: Sequence[CaseSummary]) -> tuple[HeatMap, ...]:
    """Return a heat map for every run with two or more kernels that were timed in the same way at a point."""
    by_run = grouped((case.run, case) for case in cases)
    return tuple(heatmap for item in by_run.items() if (heatmap := _of_run(*item)) is not None)


def _of_run(run: str, cases: Sequence[CaseSummary]) -> HeatMap | None:
    singles = ((ONE, one) for own in of_kernels(cases).values() if (one := one_at_a_time(own)) is not None)
    points = grouped([*singles, *((case.batch_size, case) for case in batched(cases))])
    # A point with one kernel compares nothing.
    columns = tuple(sorted(at for at, there in points.items() if len(there) > 1))
    if not columns:
        return None
    cells = {(cell.kernel, at): cell for at in columns for cell in _column(at, points[at])}
    unchecked = frozenset(case.kernel for case in cases if case.unchecked)
    return HeatMap(run, _by_speed(cells, unchecked), columns, cells, unchecked)


def _by_speed(cells: Mapping[tuple[str, int], Cell], unchecked: Collection[str]) -> tuple[str, ...]:
    """Return the kernels in the order of the geometric means of their ratios, unchecked ones last."""
    ratios = grouped((kernel, cell.ratio.value) for (kernel, _), cell in cells.items())
    return tuple(sorted(ratios, key=lambda kernel: (kernel in unchecked, geometric_mean(ratios[kernel]))))


def _column(at: int, there: Sequence[CaseSummary]) -> list[Cell]:
    ratios = {case.kernel: ratio for case, ratio in ranked(there)}
    fastest = next(iter(ratios))
    return [Cell(case.kernel, at, case.sample.value, fastest, ratios[case.kernel]) for case in there]
