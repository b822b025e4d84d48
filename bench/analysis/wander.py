"""How far whole runs of one machine differ, learnt from those that are stored: no repeat of one run shows it."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np

from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.summary import USUAL_WANDER
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs as record
from mlpbench.bench.record.runs import Run
from mlpbench.bench.stats import estimates, verdicts
from mlpbench.bench.stats.estimates import Wander

#: Runs that are read at most, the newest: their level is one number each.
MOST = 10


def learnt(like: Run, *besides: Run) -> Wander:
    """Return how far runs like this one wander on its machine, from the other stored ones that ran the same code.

    What is compared tells nothing of it: that run and those ``besides`` are left out.
    """
    return of_runs(_alike(like, {run.path.resolve() for run in (like, *besides)}))


def of_runs(alike: Iterable[Run]) -> Wander:
    """Return how far runs of the same code differ, the usual where there is one alone."""
    runs = list(alike)
    looks: list[dict[object, tuple[float, estimates.Error]]] = []
    every = times.cases(runs)
    for run in runs:
        own = [case for case in every if case.run == run.name and len(case.by_repeat.keys() - case.hit) > 1]
        scatter = estimates.shared_scatter(case.by_repeat for case in own)
        logs = {(case.kernel, case.mode, case.batch_size): np.log(list(case.by_repeat.values())) for case in own}
        looks.append({at: (float(np.median(x)), scatter.of(x)) for at, x in logs.items()})
    return verdicts.learnt_wander(looks, USUAL_WANDER)


def _alike(like: Run, without: Collection[Path]) -> Iterator[Run]:
    """Yield the newest other runs of the machine that ran the same code; one that cannot be read tells nothing."""
    if not like.path.is_dir():
        return
    there = (path for path in like.path.parent.iterdir() if (path / record.PLAN_FILE).is_file())
    others = (path for path in there if path.resolve() not in without)
    for path in sorted(others, key=lambda path: path.name, reverse=True)[:MOST]:
        try:
            found = record.read_runs(path)
        except UserError:  # whoever names that run hears why
            continue
        if len(found) == 1 and _code(found[0]) is not None and _code(found[0]) == _code(like):
            yield found[0]


def _code(run: Run) -> tuple[object, ...] | None:
    """Return what times depend on, beside the machine; None where nothing was timed."""
    first = next((record for record in run.records if record.cases), None)
    if first is None:
        return None
    here = first.environment
    return str(first.spec), first.threads, first.data.sha256, here.git.commit, here.python.as_dict(), here.libraries
