"""How far whole runs of one machine differ, learnt from those that are stored: no repeat of one run shows it."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from mlpbench.bench.analysis import judge, times
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import USUAL_WANDER
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs as record
from mlpbench.bench.stats import verdicts
from mlpbench.bench.stats.estimates import Wander


def learnt(like: Judged, *besides: Judged) -> Wander:
    """Return how far runs like this one wander on its machine, from the other stored ones that ran the same code.

    What is compared tells nothing of it: that run and those ``besides`` are left out.
    """
    return of_runs(_alike(like, {run.path.resolve() for run in (like, *besides)}))


def of_runs(alike: Iterable[Judged]) -> Wander:
    """Return how far runs of the same code differ, the usual where there is one alone."""
    runs = list(alike)
    every = [case for case in times.cases(runs) if len(case.by_repeat.keys() - case.hit) > 1]
    of_runs = [{(case.kernel, case.at): case.by_repeat for case in every if case.run == run.name} for run in runs]
    return verdicts.learnt_wander(of_runs, USUAL_WANDER)


def _alike(like: Judged, without: Collection[Path]) -> Iterator[Judged]:
    """Yield the ten newest other runs of the machine that ran the same code; one that cannot be read tells nothing."""
    if not like.path.is_dir():
        return
    there = (path for path in like.path.parent.iterdir() if (path / record.PLAN_FILE).is_file())
    others = (path for path in there if path.resolve() not in without)
    for path in sorted(others, key=lambda path: path.name, reverse=True)[:10]:
        try:
            runs = judge.read(path)
        except UserError:  # whoever names that run hears why
            continue
        if len(runs) == 1 and _code(runs[0]) is not None and _code(runs[0]) == _code(like):
            yield runs[0]


def _code(run: Judged) -> tuple[object, ...] | None:
    """Return what times depend on, beside the machine; None where nothing was timed."""
    first = next((record for record in run.records if record.cases), None)
    if first is None:
        return None
    here = first.environment
    return str(first.spec), first.threads, first.data.sha256, here.git.commit, here.python, here.libraries
