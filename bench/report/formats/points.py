"""What every export is made of: each case of each run as one number, seconds per sample, with its interval."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlpbench.bench import words
from mlpbench.bench.analysis.refused import settled
from mlpbench.bench.analysis.summary import CaseSummary, summarize
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.names import env_of
from mlpbench.bench.record.runs import Run

#: The hash of a commit, shortened perhaps.
COMMIT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)


@dataclass(frozen=True)
class Point:
    """One case of one run. ``low`` and ``high`` bound its 95 % interval, None with one repeat."""

    run: Run
    case: CaseSummary

    @property
    def low(self) -> float | None:
        """The lower end of the interval, in seconds per sample."""
        return None if math.isnan(self.case.sample.low) else self.case.sample.low

    @property
    def high(self) -> float | None:
        """The upper end of the interval, in seconds per sample."""
        return None if math.isnan(self.case.sample.high) else self.case.sample.high

    @property
    def network(self) -> str:
        """The network, its dtype, the threads, and the environment if it was chosen: ``... float32, 2 threads``."""
        record, env = self.run.records[0], env_of(self.run)
        threads = words.things(record.threads, "thread") if record.threads else "threads unknown"
        return f"{record.spec}, {threads}" + (f", env {env}" if env else "")

    @property
    def name(self) -> str:
        """A name that means the same in every run: ``numpy/batched/100 (784-50-100-10 ... float32, 2 threads)``."""
        return f"{self.case.kernel}/{self.case.mode}/{self.case.batch_size} ({self.network})"


def points(runs: Sequence[Run]) -> list[Point]:
    """Return every case of some runs. Raises UserError where none has a time, or a run is named twice."""
    # Tables may call two runs by one name; here each has its own.
    ready = [replace(settled(run), shown=str(number)) for number, run in enumerate(runs)]
    found = [Point(run, case) for run in ready for case in summarize([run])]
    if not found:
        raise UserError("nothing to export: no case has a time")
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise UserError("nothing to export: a run is named twice, name each once")
    return found


def of_one_run(runs: Sequence[Run], who: str) -> list[Point]:
    """Return the points of one run, or of the settings of one sweep. Raises UserError for several runs."""
    found = points(runs)
    # Records of one process are runs of their own: their cases have one name.
    if len({invocation(run) for run in runs}) > 1 or len({point.name for point in found}) < len(found):
        raise UserError(f"{who} takes one run at a time: name one")
    return found


def invocation(run: Run) -> Path:
    """Return the folder that all settings of a sweep share; of an ordinary run its own."""
    return run.path.parent.resolve() if run.plan and run.plan.sweep else run.path.resolve()
