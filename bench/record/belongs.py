"""Which files belong to a run, and which runs to a sweep: nobody's files are reported under another's name."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.plan import Ending, Plan, SettingEntry, SweepHeader
from mlpbench.bench.record.schema import Record


def to_run(record: Record, plan: Plan | None, first: Record, *, mixed: bool) -> None:
    """Refuse a file that was renamed, or that is of another run.

    ``mixed``: the run was resumed with other data or weights, and says so.
    """
    name = f"{record.kernel}.{record.repeat}.json"
    if record.path.name != name:
        raise UserError(f"{record.path}: holds what belongs in {name}: it was renamed or copied; take it away")
    if (record.plan and record.plan.run_id) != (plan and plan.run_id):
        ran = record.plan.run_id if record.plan else "pytest by hand"
        raise UserError(f"{record.path}: belongs to another run ({ran}); take it away, or name it by itself")
    same = record.spec == first.spec and (mixed or (record.data, record.weights) == (first.data, first.weights))
    if not same:
        raise UserError(f"{record.path}: other specification, data or weights than {first.path.name}; take it away")


def to_sweep(
    folder: Path, plan: Plan | None, records: Sequence[Record], header: SweepHeader, entry: SettingEntry
) -> None:
    """Refuse a folder that was renamed, or that is of another sweep, or whose records are of another setting."""
    name, setting = f"{header.run_id}.{entry.label}", entry.setting
    found = plan and (plan.run_id, plan.sweep, plan.setting, plan.threads)
    if found != (name, header.run_id, setting, setting.threads):
        there = plan.run_id if plan else folder.stem
        raise UserError(f"{folder}: holds {there}, not {name}: it was renamed or copied; take it away")
    for record in records[:1]:  # all others are of the same network
        if (record.spec.label(), record.spec.dtype) != (setting.spec, setting.dtype):
            told = f"{record.spec.label()} {record.spec.dtype}"
            raise UserError(f"{record.path}: is of {told}, not of the setting {setting.label}; take it away")


def contradictions(plan: Plan | None, ending: Ending | None, records: Sequence[Record]) -> Iterator[str]:
    """Yield what cannot be true of a run beside what else it says, as sentences without an end.

    It is shown all the same: a reader who knows may still find it useful.
    """
    for record in records:
        if record.cases and record.max_error is None:
            yield f"{record.path.name} has times, and does not say that its kernel agreed with the reference"
        if record.cases and record.backend is None:
            yield f"{record.path.name} has times, and does not say what its kernel is"
    if plan is None:
        return
    if plan.budget_s is None and (more := [record for record in records if record.repeat >= plan.repeats]):
        yield f"its plan has {plan.repeats} repeats, and {more[0].path.name} is a later one"
    if strangers := [record for record in records if plan.kernels and record.kernel not in plan.kernels]:
        yield f"{strangers[0].path.name} is of a kernel that its plan does not have"
    started, ended = _moment(plan.started), _moment(ending.ended if ending else None)
    if started and ended and ended < started:
        yield f"it ended at {ended.isoformat()}, before it started at {started.isoformat()}"


def _moment(text: str | None) -> datetime | None:
    """Return a moment as files hold it, None for a text that is none, or that does not say where."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None
