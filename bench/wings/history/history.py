"""What became of the cases of a machine from run to run: their levels, where they changed for good, and what else did.

A level is the time of a case in a run. Levels of one network, data set, weights, dtype and number of threads make a
series, at one pace of the processor where every run knows its own.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mlpbench.bench import words
from mlpbench.bench.analysis import judge, sides, times
from mlpbench.bench.analysis.compare import Comparison, Row
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import USUAL_WANDER
from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record import runs
from mlpbench.bench.record.untrusted import clean_text
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Ratio, Wander
from mlpbench.bench.trust.rounds import fastest_looks
from mlpbench.bench.wings.history import change_points

#: A page reads so many runs again, the newest; `mlpbench history` reads them all.
NEWEST = 30


@dataclass(frozen=True)
class Level:
    """One case in one run. ``scatter``: the standard error of the logarithm of ``sample_s``, None from one repeat.

    ``look_ns``: the machine's best look at whose speed the time is, None in files without looks.
    """

    task: tuple[str, ...]
    kernel: str
    mode: str
    batch_size: int
    sample_s: float
    scatter: float | None
    look_ns: float | None
    unchecked: bool = False


@dataclass(frozen=True)
class RunLevels:
    """The levels of a run, or why it has none, and the facts of the run and of its kernels, by name."""

    run: str
    started: str
    host: str | None = None
    levels: tuple[Level, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    of_kernels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True)
class Change:
    """A change for good: ``before`` and ``after`` are the runs next to it, ``ratio`` the time after it / before it.

    ``besides`` says what else differs between these two runs.
    """

    at: int
    before: str
    after: str
    ratio: Ratio
    besides: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """One case of a kernel in all runs of a machine that computed the same, the oldest first.

    ``task``: network, data, weights, dtype and threads, in words. ``samples_s``: seconds per sample, by ``runs``.
    """

    machine: str
    task: str
    kernel: str
    mode: str
    batch_size: int
    runs: tuple[str, ...]
    started: tuple[str, ...]
    samples_s: tuple[float, ...]
    changes: tuple[Change, ...]

    def slowdown(self, threshold: float) -> Change | None:
        """Return the last change if it is one to the slower by more than a share, surely, in the last ten runs."""
        last = self.changes[-1] if self.changes and len(self.runs) - self.changes[-1].at <= 10 else None
        return last if last and last.ratio.low > 1 + threshold else None


@dataclass(frozen=True)
class History:
    """Everything that is known of a machine's runs. ``problems``: what could not be read, a line each."""

    machine: str
    runs: tuple[str, ...]
    series: tuple[Series, ...]
    problems: tuple[str, ...]

    @property
    def changed(self) -> tuple[Series, ...]:
        """The series with changes, the newest change first."""
        changed = (series for series in self.series if series.changes)
        return tuple(sorted(changed, key=lambda series: series.started[series.changes[-1].at], reverse=True))


def find(folder: Path, kernels: Sequence[str] = (), latest: int = 0) -> History:
    """Return the history of a machine from its folder of results; of some ``kernels`` alone where they are named.

    ``latest``: of so many runs at most, the newest. Raises UserError where the folder has no runs, and for a kernel
    that none of them has.
    """
    paths = sorted(path for path in runs.find_runs(folder.parent) if path.parent == folder)[-latest:]
    if not paths:
        raise UserError(f"no runs in {folder}: `mlpbench run` makes one")
    of_runs = [levels for path in paths for levels in levels_of(path)]
    known = {level.kernel for run in of_runs for level in run.levels}
    if unknown := [name for name in kernels if name not in known]:
        raise UserError(f"no kernel {unknown[0]!r} in the runs of {folder.name}; they have {', '.join(sorted(known))}")
    machine = clean_text(folder.name)
    return History(
        machine,
        tuple(clean_text(path.name) for path in paths),
        tuple(_series(machine, of_runs, USUAL_WANDER, kernels)),
        tuple(run.problem for run in of_runs if run.problem),
    )


def levels_of(path: Path) -> tuple[RunLevels, ...]:
    """Return the levels of a run, or of each setting of a sweep; read once until one of its files changes."""
    return _levels_of(path, max((file.stat().st_mtime_ns for file in path.rglob("*.json")), default=0))


@cache
def _levels_of(path: Path, _changed_ns: int) -> tuple[RunLevels, ...]:
    try:
        return tuple(map(_of_run, judge.read(path)))
    except UserError as error:
        name, problem = clean_text(path.name), clean_text(str(error))
        return (RunLevels(name, name, problem=problem),)


def _of_run(run: Judged) -> RunLevels:
    every, best = times.cases([run]), fastest_looks(run.records)
    look_ns = best[min(best, key=lambda kind: kind[1])] if best else None
    shared = estimates.shared_scatter(case.by_repeat for case in every)
    levels: list[Level] = []
    for case in every:
        logs = np.log(list(case.by_repeat.values()))
        scatter = math.sqrt(shared.of(logs).square) if len(logs) > 1 else None
        middle_s = math.exp(float(np.median(logs)))
        levels.append(Level(_task(run), case.kernel, *case.at, middle_s, scatter, look_ns, case.unchecked))
    started = run.plan.started if run.plan and run.plan.started else run.id
    kernels = {record.kernel: sides.of_kernel(record) for record in reversed(run.records)}
    facts = sides.facts(run.records[0]) if run.records else {}
    return RunLevels(run.id, started, run.environment.machine.host, tuple(levels), facts, kernels)


def _task(run: Judged) -> tuple[str, ...]:
    first = run.records[0]
    threads = run.setting.threads if run.setting else None
    which = (first.data.sha256 or "", first.weights.sha256 or "")
    return (str(first.spec), words.things(threads, "thread") if threads else "", first.data.name, *which)


def _series(machine: str, of_runs: Sequence[RunLevels], wander: Wander, kernels: Sequence[str]) -> Iterator[Series]:
    """Yield a series for each case that computed the same, on each host where there are several."""
    several = len({run.host for run in of_runs if run.host}) > 1
    points = grouped(
        (((*level.task, run.host if several else ""), level.kernel, level.mode, level.batch_size), (run, level))
        for run in of_runs
        for level in run.levels
        if not kernels or level.kernel in kernels
    )
    for ((spec, threads, data, *_, host), kernel, mode, batch_size), levels_of in points.items():
        own, levels = [run for run, _ in levels_of], [level for _, level in levels_of]
        samples, scatters = _at_one_speed(levels), [level.scatter for level in levels if level.scatter is not None]
        changes = change_points.find(
            np.log(samples).tolist(), math.hypot(median(scatters) if scatters else 0.0, wander.sd)
        )
        on_host = f"host {host or 'not known'}" if several else ""
        yield Series(
            machine,
            ", ".join(filter(None, (spec, threads, data, on_host))),
            kernel,
            mode,
            batch_size,
            tuple(run.run for run in own),
            tuple(run.started for run in own),
            tuple(samples),
            tuple(_change(at, ratio, own[at - 1], own[at], kernel) for at, ratio in changes.items()),
        )


def _at_one_speed(levels: Sequence[Level]) -> list[float]:
    """Return the times at the speed of the best look that any of the runs knew."""
    looks = [level.look_ns for level in levels if level.look_ns]
    if len(looks) < len(levels):
        return [level.sample_s for level in levels]
    return [level.sample_s * min(looks) / look for level, look in zip(levels, looks, strict=True)]


def _change(at: int, ratio: Ratio, before: RunLevels, after: RunLevels, kernel: str) -> Change:
    besides = sides.unequal("", before.facts, after.facts)
    besides += sides.unequal(kernel, before.of_kernels.get(kernel, {}), after.of_kernels.get(kernel, {}))
    return Change(at, before.run, after.run, ratio, tuple(besides))


def best(found: Comparison) -> tuple[Row, ...]:
    """Return each kernel's case with the best time."""
    of_kernels = grouped((row.kernels, row) for row in found.rows).values()
    return tuple(min(rows, key=lambda row: row.candidate.value) for rows in of_kernels)


def told(found: Comparison) -> str:
    """Say which kernels' best times surely changed, of which that is unclear, and how near the others are."""
    changed = [row for row in best(found) if row.verdict in {"slower", "faster"}]
    others = [row for row in best(found) if row not in changed]
    unclear = [row for row in others if not row.speedup.high <= 1.5 * row.speedup.low]
    near = [abs(math.log(row.speedup.value)) for row in others if row not in unclear]
    clauses = [f"{row.kernels}'s best time is {1 / row.speedup.value:.3g}x what it was" for row in changed]
    if unclear:
        clauses.append(f"whether that of {' and '.join(row.kernels for row in unclear)} changed is unclear")
    if near:
        whose = "the others are" if clauses else "every kernel's best time is"
        clauses.append(f"{whose} within {words.slowdown(math.ceil(100 * math.expm1(max(near))) / 100)}")
    return f"Against the previous run of this machine, {found.baseline}: {'; '.join(clauses)}."
