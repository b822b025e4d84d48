"""Anybody's pytest-benchmark files in Python, with the verdicts that they support and the reason for those they do not.

A file holds the rounds of one process. They say how that process ran: its level, and which of two benchmarks was faster
in it. A verdict of mlpbench is about the next process too, and needs several: give several files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.bench import values, words
from mlpbench.bench.analysis.summary import USUAL_WANDER
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.record import foreign
from mlpbench.bench.record.foreign import ForeignBenchmark, ForeignFile
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import NO_WANDER, Estimate, Ratio, Verdict
from mlpbench.bench.stats.rounds import TOO_FEW, ratio_within, within
from mlpbench.bench.stats.verdicts import Judgement, judge
from mlpbench.kernels.registry import nearest

if TYPE_CHECKING:
    import pandas as pd

ONE_PROCESS = (
    "one process has no between-process variance: these numbers hold in this process, and the next one has another "
    "level; verdicts need the files of several processes"
)

#: Every column of `PytestBenchmark.benchmarks`: its dtype, and what it holds.
BENCHMARKS = {
    "file": ("str", "path of the file: one process"),
    "machine": ("str", "name and processor of the machine"),
    "name": ("str", "name of the benchmark"),
    "group": ("str", "its group; missing without one"),
    "rounds": ("int64", "rounds in the process"),
    "iterations": ("int64", "calls timed together as one round"),
    "median_s": ("float64", "median over the rounds of the seconds of one iteration"),
    "here_low_s": ("float64", "lower end of its 95 % interval in this process; missing without rounds"),
    "here_high_s": ("float64", "upper end of its 95 % interval in this process"),
    "min_s": ("float64", "minimum over the rounds"),
    "mean_s": ("float64", "mean over the rounds"),
    "stddev_s": ("float64", "standard deviation of the rounds"),
}
#: Every column of `ForeignComparison.cases`: its dtype, and what it holds.
COMPARED = {
    "baseline": ("str", "a benchmark"),
    "candidate": ("str", "the other one"),
    "baseline_s": ("float64", "median over processes of the medians, seconds of one iteration"),
    "candidate_s": ("float64", "the same of the other one"),
    "processes": ("int64", "processes on each side, the fewer"),
    "speedup": ("float64", "baseline time / candidate time: above 1 the candidate is faster"),
    "here_low": ("float64", "lower end of its 95 % interval in the one process there is; missing with several"),
    "here_high": ("float64", "upper end of its 95 % interval in that process"),
    "verdict_here": ("str", "faster, slower, same or unclear, in that process and in no other"),
    "speedup_low": ("float64", "lower end of the 95 % interval over processes; missing with one"),
    "speedup_high": ("float64", "upper end of the 95 % interval over processes"),
    "p_adjusted": ("float64", "p-value over processes, corrected for the number of rows"),
    "verdict": ("str", "faster, slower, same or unclear, over processes; with one always unclear"),
    "no_verdict": ("str", "why there is none; missing where there is one"),
}


@dataclass(frozen=True, repr=False)
class PytestBenchmark:
    """The files of one side: each is one process. ``paths`` and ``files`` are in the order that they were named."""

    paths: tuple[Path, ...]
    files: tuple[ForeignFile, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The benchmarks, by name; where two have one name, by their full names."""
        return tuple(dict.fromkeys(name for own in self._by_name() for name in own))

    @property
    def limits(self) -> str:
        """What these files do not support, as a sentence; what they do, where they are several."""
        if len(self.files) == 1:
            return ONE_PROCESS
        return f"{len(self.files)} processes: verdicts are about processes like these, on one machine in one sitting"

    def benchmarks(self) -> pd.DataFrame:
        """Return a row for each benchmark of each file: what its rounds say of that process."""
        from mlpbench.bench.analysis import frame

        rows = []
        for path, file, own in zip(self.paths, self.files, self._by_name(), strict=True):
            for name, one in own.items():
                here, stats = _within(one), one.stats
                row: dict[str, Any] = {"file": str(path), "machine": file.machine, "name": name, "group": one.group}
                row |= {"rounds": stats.rounds, "iterations": stats.iterations}
                row |= {"here_low_s": here.low, "here_high_s": here.high}
                row |= {f"{field}_s": getattr(stats, field) for field in ("median", "min", "mean", "stddev")}
                rows.append(row)
        return frame.framed(rows, BENCHMARKS)

    def compare(self, baseline: str, candidate: str, threshold: str = "2.5%") -> ForeignComparison:
        """Compare two benchmarks of the same processes. Raises UserError for a name that is not there."""
        for name in (baseline, candidate):
            if name not in self.names:
                there = ", ".join(self.names)
                raise UserError(f"no benchmark {name!r}{nearest(name, list(self.names))}; there are {there}")
        pairs = [(own[baseline], own[candidate]) for own in self._by_name() if baseline in own and candidate in own]
        if not pairs:
            raise NothingComparable(f"nothing to compare: no file has both {baseline} and {candidate}")
        one, other = ([pair[side] for pair in pairs] for side in (0, 1))
        return _compared([(baseline, candidate, one, other)], threshold, paired=True)

    def against(
        self, candidate: PytestBenchmark, threshold: str = "2.5%", *, anyway: bool = False
    ) -> ForeignComparison:
        """Compare the benchmarks of two sides that have one name.

        Raises NothingComparable where there are none and, unless ``anyway``, for files of two machines.
        """
        machines = {file.machine for file in (*self.files, *candidate.files)}
        if len(machines) > 1 and not anyway:
            said = f"the machines are {' and '.join(sorted(machines))}"
            raise NothingComparable(f"not comparable: {said}: measure on one, or compare with anyway=True")
        if twice := {path.resolve() for path in self.paths} & {path.resolve() for path in candidate.paths}:
            raise UserError(f"nothing to compare: {min(twice).name} is on both sides")
        sides = self._by_name(), candidate._by_name()
        cases = []
        for name in self.names:
            one, other = ([own[name] for own in side if name in own] for side in sides)
            if other:
                cases.append((name, name, one, other))
        if not cases:
            raise NothingComparable("nothing to compare: the files have no benchmark in common")
        return _compared(cases, threshold, paired=False)

    def _by_name(self) -> list[dict[str, ForeignBenchmark]]:
        alone = all(len({one.name for one in file.benchmarks}) == len(file.benchmarks) for file in self.files)
        return [
            {one.name if alone else one.fullname or one.name: one for one in file.benchmarks} for file in self.files
        ]

    def __repr__(self) -> str:
        return f"<pytest-benchmark: {words.things(len(self.names), 'benchmark')}, {self.limits}>"

    def _repr_html_(self) -> str:
        rows = [
            (name, f"{number + 1}", words.duration(_within(one)), f"{one.stats.rounds:,}")
            for number, own in enumerate(self._by_name())
            for name, one in own.items()
        ]
        return _html(self.limits, ("benchmark",), ("process", "median of an iteration", "rounds"), (), rows)


@dataclass(frozen=True, kw_only=True)
class ForeignRow(Judgement):
    """Two benchmarks, and the verdict over processes; with one on a side it is "unclear", and ``no_verdict`` says why.

    ``here`` is their ratio in the one process that there is, ``verdict_here`` what it says of that.
    """

    baseline: str
    candidate: str
    baseline_s: float
    candidate_s: float
    processes: int
    here: Ratio | None
    verdict_here: Verdict | None

    @property
    def no_verdict(self) -> str | None:
        """Why there is no verdict; None where there is one."""
        return ONE_PROCESS if self.processes == 1 else None


@dataclass(frozen=True, repr=False)
class ForeignComparison:
    """Benchmarks of pytest-benchmark compared; ``limits``: what these files do not support."""

    rows: tuple[ForeignRow, ...]
    limits: str

    def cases(self) -> pd.DataFrame:
        """Return a row for each pair of benchmarks: both times, the speedup, and the verdicts."""
        from mlpbench.bench.analysis import frame

        rows = []
        for row in self.rows:
            cells = {name: getattr(row, name) for name in COMPARED if hasattr(row, name)}
            here = {"here_low": row.here.low, "here_high": row.here.high} if row.here else {}
            rows.append({**cells, **frame.ratio(row.speedup), **here})
        return frame.framed(rows, COMPARED)

    def __repr__(self) -> str:
        told = "; ".join(f"{row.candidate} against {row.baseline}: {row.verdict}" for row in self.rows)
        return f"<pytest-benchmark comparison: {told}; {self.limits}>"

    def _repr_html_(self) -> str:
        rows = [
            (
                *(row.baseline, row.candidate, words.seconds(row.baseline_s), words.seconds(row.candidate_s)),
                words.ratio(row.here or row.speedup),
                row.verdict_here or "not asked",
                ": ".join(filter(None, (row.verdict, row.no_verdict))),
            )
            for row in self.rows
        ]
        numbers = ("baseline's time", "candidate's time", "speedup")
        return _html(self.limits, ("baseline", "candidate"), numbers, ("in this process", "verdict"), rows)


def read_pytest_benchmark(
    file: str | PathLike[str], *more: str | PathLike[str], anyway: bool = False
) -> PytestBenchmark:
    """Return the benchmarks of files that ``pytest --benchmark-json`` wrote, for any project; each is one process.

    Raises UserError, one line, for what is no such file, for one that is named twice, and for files of two machines,
    unless ``anyway``: a container may have another name each time.
    """
    paths = tuple(map(Path, (file, *more)))
    files = tuple(map(foreign.read, paths))
    for number, one in enumerate(files):
        if not one.benchmarks:
            raise UserError(f"{paths[number]}: no benchmark in it")
        if one in files[:number]:
            raise UserError(f"{paths[number]}: the same process as {paths[files.index(one)]}: name each file once")
    machines = sorted({one.machine for one in files})
    if len(machines) > 1 and not anyway:
        raise UserError(
            f"these files are of several machines, {' and '.join(machines)}: read those of each by themselves"
        )
    return PytestBenchmark(paths, files)


def _compared(
    cases: Sequence[tuple[str, str, list[ForeignBenchmark], list[ForeignBenchmark]]], threshold: str, *, paired: bool
) -> ForeignComparison:
    share = values.parse_threshold(threshold)
    medians = [
        ({n: own.stats.median for n, own in enumerate(one)}, {n: own.stats.median for n, own in enumerate(other)})
        for _, _, one, other in cases
    ]
    # Files of two sides were made at two times, and nobody knows how far the level wandered between them.
    wander = NO_WANDER if paired else USUAL_WANDER
    judged = judge(medians, paired, share, wander=wander)
    rows = []
    for (baseline, candidate, one, other), medians_of, found in zip(cases, medians, judged, strict=True):
        here = ratio_within(_within(one[0]), _within(other[0])) if paired and len(one) == 1 else None
        one_s, other_s = (estimates.estimate(side.values()).value for side in medians_of)
        rows.append(
            ForeignRow(
                **vars(found),
                baseline=baseline,
                candidate=candidate,
                baseline_s=one_s,
                candidate_s=other_s,
                processes=min(len(one), len(other)),
                here=here,
                verdict_here=None if here is None else estimates.verdict(here, share),
            )
        )
    fewest = min(row.processes for row in rows)
    limits = ONE_PROCESS if fewest == 1 else f"at least {fewest} processes on each side"
    if not paired and fewest > 1:
        limits += f"; measured apart, so the level is taken to wander by {100 * wander.sd:.2g} %"
    return ForeignComparison(tuple(rows), limits)


def _within(one: ForeignBenchmark) -> Estimate:
    """Return what the rounds say, if the file holds them; else the median alone."""
    if one.stats.data:
        return within(one.stats.data)
    return Estimate(one.stats.median, math.nan, math.nan, 1, TOO_FEW)


def _html(
    limits: str, texts: Sequence[str], numbers: Sequence[str], last: Sequence[str], rows: Sequence[tuple[str, ...]]
) -> str:
    from mlpbench.bench.report.document import Paragraph, table
    from mlpbench.bench.report.formats import notebook

    return notebook.render((Paragraph(limits), table("", texts, numbers, last, rows=rows)))
