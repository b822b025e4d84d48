"""Saved results in Python: read, given out as data frames, and compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from mlpbench.bench import values
from mlpbench.bench.analysis import compare as analysis
from mlpbench.bench.analysis import judge, sides
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.sides import Side
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import environment
from mlpbench.bench.record import runs as record
from mlpbench.kernels.registry import one_of

if TYPE_CHECKING:
    import pandas as pd

#: A run as the commands take it: a folder, a file, the name of a run, or "latest".
Named = str | PathLike[str]


@dataclass(frozen=True, repr=False)
class Results:
    """Runs that were read and judged: without the times that are refused. The methods derive frames from them.

    Every frame has one row for each of what its name says, times in seconds, and NaN where a file does not know.
    `columns` describes theirs.
    """

    runs: tuple[Judged, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the runs, one line each: files left out, missing repeats, failures."""
        lines: dict[str, None] = {}
        for run in self.runs:
            failed = (f"{failure.kernel} failed ({failure.phase}): {failure.why}" for failure in run.failures)
            own = (*run.problems, *run.damaged, *run.contradictions, *failed)
            lines |= dict.fromkeys(f"{run.id}: {line}" for line in own)
        return tuple(lines)

    def cases(self) -> pd.DataFrame:
        """Return a row for each case: the median over repeats with its interval, and the speedup."""
        from mlpbench.bench.analysis import frame

        return frame.cases(self.runs)

    def repeats(self) -> pd.DataFrame:
        """Return a row for each case and repeat, with the columns of `mlpbench report --format csv`."""
        from mlpbench.bench.analysis import frame

        return frame.load(self.runs)

    def rounds(self) -> pd.DataFrame:
        """Return a row for each round of each case and repeat, in the order measured."""
        from mlpbench.bench.analysis import frame

        return frame.rounds(self.runs)

    def compare(
        self, baseline: str, candidate: str, threshold: str | None = None, *, anyway: bool = False
    ) -> Comparison:
        """Compare two kernels of these results, paired by repeat, as `compare` does. Raises UserError."""
        left, right = ([Side(run, sides.kernel_of(run, name)) for run in self.runs] for name in (baseline, candidate))
        share = None if threshold is None else values.parse_threshold(threshold)
        return Comparison(**vars(analysis.decide(left, right, share, anyway=anyway)))

    def __repr__(self) -> str:
        runs = ", ".join(f"{run.id} ({', '.join(run.kernels) or 'nothing measured'})" for run in self.runs)
        return f"<mlpbench results: {runs}>"

    def _repr_markdown_(self) -> str:
        from mlpbench.bench.analysis.summary import summarize
        from mlpbench.bench.report.formats import markdown
        from mlpbench.bench.report.sections import times

        cases = summarize(record.named(self.runs))
        machines = ", ".join(dict.fromkeys(run.machine for run in self.runs))
        title = f"{', '.join(run.id for run in self.runs)}: {machines}"
        return markdown.page("", (title, self.problems, times.case_table(cases)))


class Comparison(analysis.Comparison):
    """Two sides, case by case."""

    def cases(self) -> pd.DataFrame:
        """Return a row for each case: both times, the speedup with its interval, and the verdict."""
        from mlpbench.bench.analysis import frame

        return frame.compared(self)

    def __repr__(self) -> str:
        return f"<mlpbench comparison: {self.candidate} against {self.baseline}: {self.conclusion}>"

    def _repr_markdown_(self) -> str:
        from mlpbench.bench.report.formats import markdown
        from mlpbench.bench.report.sections import compare as section

        return markdown.page("", section.blocks(self))


def load(*paths: Named | Iterable[Named], results: Named = "results") -> Results:
    """Return saved results: runs or files by path or name, "latest", or a whole folder of results or of one machine.

    Without a path it is the latest run. ``results`` is where names are looked for. Raises UserError, one line, where a
    path cannot be read or a run is named twice.
    """
    named = [str(name) for path in paths for name in ((path,) if isinstance(path, str | PathLike) else path)]
    found: list[Judged] = []
    for name in named or ["latest"]:
        path = record.resolve(name, Path(results), environment.machine_id())
        folders = [path]
        if path.is_dir() and not any(path.glob("*.json")):  # of results, or of one machine
            every = record.find_runs(path) or record.find_runs(path.parent)
            folders = [run for run in reversed(every) if path in run.parents] or [path]
        found += [run for folder in folders for run in judge.read(folder)]
    places = [run.path.resolve() for run in found]
    if twice := [place for place in places if places.count(place) > 1]:
        raise UserError(f"{twice[0].name} is named twice: name each run once")
    return Results(tuple(found))


def compare(
    baseline: Named | Results,
    candidate: Named | Results | None = None,
    threshold: str | None = None,
    *,
    by: str | None = None,
    anyway: bool = False,
    results: Named = "results",
) -> Comparison:
    """Compare two sides case by case, as `mlpbench compare` does.

    A side is what the command takes (a run, a kernel of the latest run, RUN:KERNEL, files of pytest-benchmark), or
    results that were read. Or there is one side, and ``by`` names an axis of it. ``threshold``: a share such as "5%",
    to ask whether the candidate is slower by more. ``anyway``: compare even if machine, network, data or weights
    differ. ``results``: where names of runs are looked for.

    Raises UserError for what cannot be read, and NothingComparable, which is one, where no case is on both sides.
    """
    if (by is None) == (candidate is None):
        raise UserError('give two sides, or one and by=, with an axis of it, such as "env"')
    share = None if threshold is None else values.parse_threshold(threshold)
    if not isinstance(baseline, Results) and not isinstance(candidate, Results | None):
        found = analysis.of_files(fspath(baseline), fspath(candidate), share, anyway=anyway)
        if found is not None:
            return Comparison(**vars(found))
    left = _sides_of(baseline, Path(results))
    axis, left, right = sides.by_axis(left, by) if by else (None, left, _sides_of(candidate, Path(results)))
    return Comparison(**vars(analysis.decide(left, right, share, anyway=anyway, by=axis)))


def _sides_of(side: Named | Results | None, results: Path) -> list[Side]:
    if isinstance(side, Results):
        return [Side(run) for run in side.runs]
    return sides.parse_sides(fspath(side or ""), results, environment.machine_id())


def columns(of: str) -> pd.DataFrame:
    """Return the columns of a frame: a row for each, with its ``dtype`` and what it ``holds``.

    ``of``: cases, repeats or rounds of `Results`, compared of a `Comparison`. Raises UserError for another word.
    """
    import pandas as pd

    from mlpbench.bench.analysis import frame

    frames = {"cases": frame.CASES, "repeats": frame.COLUMNS, "rounds": frame.ROUNDS, "compared": frame.COMPARED}
    rows = [(name, *facts) for name, facts in frames[one_of("frame", of, frames)].items()]
    return pd.DataFrame(rows, columns=["name", "dtype", "holds"])
