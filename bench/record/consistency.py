"""Which files are of one run, which runs of one sweep, and what in them cannot be true."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mode

from mlpbench.bench import words
from mlpbench.bench.cases import Case, Setting
from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.plan import Plan, PlanHead, SweepHead
from mlpbench.bench.record.schema import Failure, Record, Timing
from mlpbench.bench.record.trust import Refusal

#: The facts of an environment that processes of one run may have differently: they are bound to other processors.
_MAY_DIFFER = ("machine affinity", "os distribution", "git dirty", "gpu ")
#: What every record of a run repeats of its plan.
_OF_PLAN = ("started", "seed", "profile", "threads", "clock", "target", "budget_s", "timeout_s")
#: What does not change between the repeats of a kernel: members of its record, and of what it says of itself.
_OF_KERNEL = ("backend", "device", "version", "peer")
_OF_DESCRIPTION = ("device_uuid", "device_name", "arithmetic", "threads")
_UNKNOWN: tuple[object, ...] = (None, "", ())
#: A line names so many facts, and counts the others.
_NAMED = 3
#: No run is longer than a week.
_LONGEST_S = 7 * 24 * 3600.0
#: Accuracies may differ by so many rows, and such a share of all, by rounding; between kernels by a larger one.
_ROWS, _SHARE, _BETWEEN_KERNELS = 2, 0.001, 0.01
#: A fact: the kernel that it is of, None for the whole run, and its name.
_Fact = tuple[str | None, str]


def check_run(record: Record, plan: Plan | None, first: Record) -> None:
    """Raise UserError for a file that was renamed, or that is of another run."""
    name = f"{record.kernel}.{record.repeat}.json"
    if record.path.name != name:
        raise UserError(f"{record.path}: holds what belongs in {name}: it was renamed or copied; take it away")
    if (record.plan and record.plan.run_id) != (plan and plan.run_id):
        ran = record.plan.run_id if record.plan else "pytest by hand"
        raise UserError(f"{record.path}: belongs to another run ({ran}); take it away, or name it by itself")
    if (record.spec, record.data, record.weights) != (first.spec, first.data, first.weights):
        raise UserError(f"{record.path}: other specification, data or weights than {first.path.name}; take it away")


def check_sweep(folder: Path, plan: Plan | None, records: Sequence[Record], head: SweepHead, setting: Setting) -> None:
    """Raise UserError for a folder that was renamed, or that is of another sweep or another setting."""
    name = f"{head.run_id}.{setting.label}"
    expected = name, head.run_id, setting, setting.threads
    if (plan and (plan.run_id, plan.sweep, plan.setting, plan.threads)) != expected:
        there = plan.run_id if plan else folder.stem
        raise UserError(f"{folder}: holds {there}, not {name}: it was renamed or copied; take it away")
    for record in records[:1]:  # all others are of the same network
        if (record.spec.label(), record.spec.dtype) != (setting.spec, setting.dtype):
            network = f"{record.spec.label()} {record.spec.dtype}"
            raise UserError(f"{record.path}: is of {network}, not of the setting {setting.label}; take it away")


def credible(
    records: Sequence[Record], plan: Plan | None, head: PlanHead | None = None
) -> tuple[list[Record], dict[tuple[str, int], str]]:
    """Return the records that can be true beside each other; by kernel and repeat, a line for each of the others.

    A fact is held against the run's plan, or against what most records say. What is unknown contradicts nothing.
    """
    doubts = {record.path: list(_alone(record, plan)) for record in records}
    timed = [record for record in records if record.cases]
    planned: dict[_Fact, object] = {}
    if head and plan:
        planned = {(None, name): value for name, value in (head.environment.facts | _of_plan(plan)).items()}
        planned |= {(kernel, "kernel file"): file.sha256 for kernel, file in plan.files.items()}
    for record, doubt in (*_contradicting(timed, planned), *_accuracies(timed)):
        doubts[record.path].append(doubt)
    lines = {}
    for record in records:
        if against := doubts[record.path]:
            more = f"; and {len(against) - _NAMED} more" if len(against) > _NAMED else ""
            lines[record.kernel, record.repeat] = f"{record.path}: cannot be true: {'; '.join(against[:_NAMED])}{more}"
    return [record for record in records if not doubts[record.path]], lines


def contradictions(plan: Plan | None, records: Sequence[Record]) -> Iterator[str]:
    """Yield what cannot be true of a run, and is no record's fault, as sentences without an end."""
    for record in records:
        if record.cases and record.kernel_info.backend is None:
            yield f"{record.path.name} has times, and does not say what its kernel is"
        elif record.cases and record.kernel_info.max_error is None:
            yield f"{record.path.name} has times, and does not say that its kernel agreed with the reference"
        for case in unexplained(record, plan):
            yield f"{record.path.name}: {case.mode} {case.batch_size} was planned, and neither measured nor explained"


def unexplained(record: Record, plan: Plan | None) -> list[Case]:
    """Return the planned cases of a record that have neither a time nor a failure."""
    entries: tuple[Timing | Failure | Refusal, ...] = (*record.cases, *record.failures, *record.trust.refusals)
    explained = {(entry.mode, entry.batch_size) for entry in entries}
    cases = plan.cases if plan and (None, None) not in explained else ()
    return [case for case in cases if (case.mode, case.batch_size) not in explained]


def differ(rows: int, one: float | None, other: float | None, share: float = _SHARE) -> bool:
    """Whether two accuracies over so many ``rows`` differ by more of them than rounding explains."""
    return one is not None and other is not None and abs(one - other) * rows > _ROWS + share * rows


def _alone(record: Record, plan: Plan | None) -> Iterator[str]:
    """Yield what cannot be true of one record, whatever the others say."""
    if plan and plan.budget_s is None and record.repeat >= plan.repeats:
        yield f"it is repeat {record.repeat + 1}, and its plan has {plan.repeats}"
    if plan and plan.kernels and record.kernel not in plan.kernels:
        yield "its plan does not have this kernel"
    if not record.cases:
        return
    if any(failure.phase in ("gate", "construct") for failure in record.failures):
        yield "its kernel was not admitted"
    accuracy, rows = record.kernel_info.accuracy, record.data.rows
    if accuracy.rows > rows:
        yield f"accuracy of {accuracy.rows} rows, and {rows} of data"
    if differ(accuracy.rows, accuracy.per_sample, accuracy.batched):
        yield f"accuracy is {accuracy.per_sample} one at a time, and {accuracy.batched} in batches"
    yield from _of_times(record, plan)


def _of_times(record: Record, plan: Plan | None) -> Iterator[str]:
    planned = {(case.mode, case.batch_size) for case in plan.cases} if plan else set()
    for case in record.cases:
        if case.mode != "book" and case.rows_per_call != case.batch_size:
            yield f"{case.mode} {case.batch_size}: its calls have {case.rows_per_call} rows"
        if planned and (case.mode, case.batch_size) not in planned:
            yield f"{case.mode} {case.batch_size}: its plan does not have this case"
    timed_s = sum(sum(case.rounds_s) * case.iterations for case in record.cases)
    took_s = record.ran.took_s if record.ran else _LONGEST_S
    if timed_s > 1.01 * took_s + 1:
        yield f"its rounds took {words.seconds(timed_s)}, and its process {words.seconds(took_s)}"


def _of_plan(plan: Plan) -> dict[str, object]:
    """Return the facts of a plan; its threads are also those of the environment."""
    return {"threads": plan.threads, **{f"plan {name}": getattr(plan, name) for name in _OF_PLAN}}


def _facts(record: Record) -> dict[_Fact, object]:
    """Return the facts of a record that are the same in all records of its run, or of its kernel there."""
    info, gpu = record.kernel_info, record.environment.gpu
    of_run = (_of_plan(record.plan) if record.plan else {}) | record.environment.facts
    of_run |= {f"rows of {case.mode} {case.batch_size}": case.rows_per_call for case in record.cases}
    of_run |= {"threads": record.threads, "rows of the accuracy": info.accuracy.rows or None}
    own: dict[str, object] = {f"kernel {name}": getattr(info, name) for name in _OF_KERNEL}
    own |= {f"kernel {name}": str(getattr(record.facts, name) or "") for name in _OF_DESCRIPTION}
    own |= {"kernel file": info.file and info.file.sha256, "GPU driver": gpu.driver}
    own["GPU"] = (gpu.uuid or gpu.name) if gpu.available else gpu.reason and "none"
    return {(None, name): value for name, value in of_run.items() if not name.startswith(_MAY_DIFFER)} | {
        (record.kernel, name): value for name, value in own.items()
    }


def _contradicting(records: Sequence[Record], planned: Mapping[_Fact, object]) -> Iterator[tuple[Record, str]]:
    """Yield each record that says something else than the plan or most others, once for each fact."""
    by_fact = grouped((fact, (record, value)) for record in records for fact, value in _facts(record).items())
    for fact, values in by_fact.items():
        known = [value for _, value in values if value not in _UNKNOWN]
        usual, where = planned.get(fact), "its plan"
        if usual in _UNKNOWN and known:
            usual, where = mode(known), "other records"
        for record, value in values:
            if value not in (*_UNKNOWN, usual):
                yield record, f"{fact[1]} is {_short(value)}, and {_short(usual)} in {where}"


def _accuracies(records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
    """Yield each record whose accuracy no arithmetic explains: what most records have is the measure.

    Of two repeats of a kernel that differ, the one is doubted that is further from it.
    """
    for way in ("per_sample", "batched"):
        known = [(record, getattr(record.kernel_info.accuracy, way)) for record in records]
        shares = [(record, share) for record, share in known if share is not None]
        usual = mode([share for _, share in shares]) if shares else 0.0
        for repeats in grouped((record.kernel, (record, share)) for record, share in shares).values():
            nearest = min((share for _, share in repeats), key=lambda share: abs(share - usual))
            for record, share in repeats:
                rows = record.kernel_info.accuracy.rows
                if differ(rows, share, nearest) or differ(rows, share, usual, _BETWEEN_KERNELS):
                    other = usual if share == nearest else nearest
                    yield record, f"accuracy ({way}) is {share}, and {other} in other records"


def _short(value: object) -> str:
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
