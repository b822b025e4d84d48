"""What threads bring: the same kernel, case by case, with few threads and with more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.sides import same_sweep
from mlpbench.bench.analysis.summary import CaseSummary, best_cases, of_kernels, ranked
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report import charts
from mlpbench.bench.report.charts import Names, Row, Spec
from mlpbench.bench.report.document import Block, Figure, Findings, Part, Section, Table, ends, interval, pivot, table
from mlpbench.bench.report.sections.times import line_charts
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

    @property
    def says(self) -> str:
        """How many threads the kernel used, in words."""
        return str(self.used or "does not say")


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
    """Return one for each group of runs that differ in threads only."""
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
    paired = same_sweep(base_run, run)
    speedup = times.ratio_or_apart(base, case) if paired else estimates.ratio(base.by_repeat, case.by_repeat, False)
    says = (record.threads_used for record in run.records if record.kernel == case.kernel and record.cases)
    used = next((used for used in says if used is not None), None)
    return Gain(case.kernel, *case.at, threads, used, speedup, case.unchecked)


_READING = (
    "Time per sample with the fewest threads divided by the time with more: the same kernel at the same batch size. "
    "Whiskers are 95 % intervals; both axes are logarithmic. Below the dashed line at 1x more threads are slower."
)


def _blocks(findings: Findings) -> tuple[Block, ...]:
    """Return the figure of all groups, or their tables where nothing was timed in batches."""
    groups = findings.of(gained)
    tables = tuple(map(_table, groups))
    if not any(group.drawn for group in groups):
        return tables
    first, *others = tables
    title = f"Speedup over {words.things(groups[0].fewest, 'thread')}"
    numbers = (Section("The numbers of the other settings", tuple(others)),) if others else ()
    return (Figure("scaling", title, _READING, first, partial(scaling_charts, groups)), *numbers)


def _table(group: Scaling) -> Table:
    """Return one row for each kernel and number of threads, one column for each case."""
    cases = sorted({(gain.mode, gain.batch_size) for gain in group.gains}, key=lambda at: (at[0] != "per_sample", at))
    cells = (
        ((gain.kernel, str(gain.threads), gain.says), (gain.mode, gain.batch_size), words.ratio(gain.speedup))
        for gain in group.gains
    )
    where = f"{group.spec}, {group.dtype}, {group.data}{f', env {group.env}' if group.env else ''}"
    caption = (
        f"{where}: time with {words.things(group.fewest, 'thread')} / time with more. Used: what "
        "the kernel says; small batches may use fewer."
    )
    numbers = ("threads given", "threads used", *(words.case(*at) for at in cases))
    return table(caption, ("kernel",), numbers, rows=pivot(cells, cases))


def gained(findings: Findings) -> tuple[Scaling, ...]:
    """Return what threads bring in the runs of a report."""
    return find(findings.by_run)


def _answer(findings: Findings) -> str | None:
    """Return who is fastest and gains most; None where runs differ not in threads."""
    groups = findings.of(gained)
    return " ".join(filter(None, (fastest(findings.by_run), most_gained(groups)))) if groups else None


def fastest(runs: Sequence[Summarized]) -> str | None:
    """Return the fastest kernel and setting of a sweep over one network, as a sentence; None where there is none."""
    cases = {run.name: best_cases(of_kernels(cases)).values() for run, cases in runs if run.shown}
    networks = {record.spec.sizes for run, _ in runs for record in run.records}
    every = [case for of_run in cases.values() for case in of_run if not case.unchecked]
    if len(cases) < len(runs) or len(networks) != 1 or not every:
        return None
    first = ranked(every)[0][0]
    where = "one at a time" if first.mode == "per_sample" else f"in batches of {first.batch_size:,}"
    return f"Fastest: {first.name} with {first.run}, {words.time(first.sample)} per sample {where}."


def most_gained(scalings: Sequence[Scaling]) -> str | None:
    """Return which kernel gains most from more threads, as a sentence; None where nothing was timed in batches."""
    gains = [(gain, one) for one in scalings for gain in one.drawn if not gain.unchecked]
    gains = [item for item in gains if not words.is_wide(item[0].speedup.low, item[0].speedup.high)] or gains[:1]
    if not gains:
        return None
    most, where = max(gains, key=lambda pair: pair[0].speedup.value)
    more = f"With {words.things(most.threads, 'thread')} instead of {where.fewest}"
    if most.speedup.value <= 1:
        return f"{more} no kernel is faster."
    if words.is_wide(most.speedup.low, most.speedup.high):
        return f"{more} how much faster kernels are is unclear."
    alone = len({one.dtype for one in scalings}) == 1
    gain = f"{words.ratio(most.speedup)} in batches of {most.batch_size:,}{'' if alone else f' of {where.dtype}'}"
    return f"{more} {most.kernel} gains most: {gain}."


def _as_data(group: Scaling) -> dict[str, Any]:
    gains = [{**vars(gain), "speedup": interval(gain.speedup)} for gain in group.gains]
    return {**vars(group), "runs": list(group.runs), "gains": gains}


def scaling_charts(groups: Sequence[Scaling], names: Names) -> dict[str, Spec]:
    """Return the speedup over the fewest threads against batch size, of each group and number of threads."""
    panels = {title: rows for group in groups for title, rows in _panels(group, several=len(groups) > 1)}
    every = [row for rows in panels.values() for row in rows]
    axis = charts.value_axis([*every, {"value": 0.9}, {"value": 1.3}], "times as fast", charts.RATIO_LABEL)
    titles = {"kernel": "kernel", "x": "batch size", "threads": "threads given", "used": "threads used"}
    what = "Speedup over the fewest threads against batch size."
    return line_charts(panels, axis, names, what, {**titles, "gain": "speedup"}, charts.rule_at_one())


def _panels(group: Scaling, *, several: bool) -> Iterator[tuple[str, list[Row]]]:
    """Yield title and rows for each number of threads of a group."""
    for threads, gains in sorted(grouped((gain.threads, gain) for gain in group.drawn).items()):
        title = f"{threads} threads instead of {group.fewest}"
        rows = [
            {
                "kernel": gain.kernel,
                "x": gain.batch_size,
                **ends(gain.speedup),
                "threads": threads,
                "used": gain.says,
                "gain": words.ratio(gain.speedup),
            }
            for gain in gains
        ]
        yield f"{title}, {group.spec}, {group.dtype}" if several else title, rows


SECTIONS = (
    Part(
        40,
        "threads",
        "What more threads bring",
        _blocks,
        answer=_answer,
        data={"threads": lambda findings: list(map(_as_data, findings.of(gained)))},
    ),
)
