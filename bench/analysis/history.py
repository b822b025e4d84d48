"""What became of the cases of a machine from run to run."""

from collections import Counter

from mlpbench.bench import words
from mlpbench.bench.analysis import calibration, compare
from mlpbench.bench.errors import NothingComparable
from mlpbench.bench.record import runs
from mlpbench.bench.record.runs import Run
from mlpbench.bench.stats.drift import ASSUMED


def against_previous(run: Run) -> str | None:
    """Say in a line what changed since the run before this one, where that computed the same; None where it did not."""
    path = runs.previous(run.path) if run.path.is_dir() and not run.missing else None
    earlier = runs.read_runs(path) if path else []
    if len(earlier) != 1 or earlier[0].setting != run.setting:
        return None
    calibrated = calibration.of_machine(run.path.parent)
    said = f"Against the previous run of this machine, {earlier[0].id}"
    try:
        found = compare.compare(earlier[0], run, drifts=calibrated.drifts if calibrated else ASSUMED)
    except NothingComparable:
        return None
    verdicts = Counter(row.verdict for row in found.rows)
    told = ", ".join(f"{verdicts[name]} {name}" for name in ("slower", "faster", "same", "unclear") if verdicts[name])
    more = f"; mlpbench compare {earlier[0].id} {run.id} says which" if verdicts["slower"] else ""
    return f"{said}: of {words.things(len(found.rows), 'case')} {told}{more}."
