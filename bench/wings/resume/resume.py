"""A run that goes on where it stopped: found, compared with what it was, and with what it has left taken in."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_
from itertools import pairwise
from pathlib import Path

from msgspec.structs import replace

from mlpbench.bench.cases import Setting
from mlpbench.bench.clock import utc_s
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import card, environment, identity
from mlpbench.bench.plan import envs, probe
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import admitted
from mlpbench.bench.plan.request import NEWEST, Request
from mlpbench.bench.plan.sweep import Part, Sweep, measured_in, names_of, of_parts
from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.plan import Plan, PlanHead, Resumed, RunFile, SweepHead
from mlpbench.bench.record.runs import MERGED, PLAN_FILE, RECORD_FILE, Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.record.write import write_atomically
from mlpbench.bench.run import folder as run_folder
from mlpbench.bench.run import process
from mlpbench.bench.wings.versions import environments
from mlpbench.kernels import registry
from mlpbench.kernels.own import files

#: More differences than a line should have are counted.
_MOST_NAMED = 8


@dataclass(frozen=True)
class Stopped:
    """A run, or a sweep, that stopped: its folder, those of its settings, what was planned, and what is there of it.

    With one setting, ``folders`` is that of the run, and ``head`` its own.
    """

    folder: Path
    folders: list[Path]
    sweep: Sweep
    head: PlanHead | SweepHead
    heads: list[PlanHead]
    runs: list[Run]

    @property
    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield every record, with what the plan of the whole calls its kernel."""
        for part, run in zip(self.sweep.parts, self.runs, strict=True):
            called = {kernel: name for name, kernel in part.names.items()}
            yield from ((called[record.kernel], record) for record in run.records)


def find(request: Request, below: str = "") -> Stopped:
    """Return the run that a request goes on with, as it was planned: nothing that matters may be another today.

    ``below``: the folder, in that of its machine, of the runs of the command that asks. Raises UserError where
    something differs, for an interpreter that a file alone names, and where a kernel of the plan cannot run here.
    """
    named, machine = request.resume or NEWEST, request.results / identity.machine_id()
    if named == NEWEST:
        folder = newest(request.results, below)
    elif below and (machine / below / named).is_dir():
        folder = machine / below / named
    else:
        folder = runs.resolve(named, request.results, identity.machine_id())
    stopped = read(folder)
    _use_device(request, stopped)
    inspected = {name: envs.inspect(name, python) for name, python in _interpreters(request, stopped).items()}
    if inspected:
        parts = [measured_in(part, inspected.get(part.setting.env or "")) for part in stopped.sweep.parts]
        stopped = with_(stopped, sweep=of_parts(stopped.sweep.plan, parts))
    devices: dict[str, str] = {}
    versions: dict[tuple[str | None, str], str | None] = {}
    specs = list(dict.fromkeys(part.workload.spec for part in stopped.sweep.parts))
    for part in {part.setting.env: part for part in stopped.sweep.parts}.values():
        python = part.env.interpreter.python if part.env else None
        # `calibrate` has kernels that nobody offers.
        kernels = [kernel for kernel in part.plan.kernels if python is not None or registry.is_known(kernel)]
        for answer in probe.probe_all(kernels, specs, python):
            if not answer.available:
                raise UserError(f"{answer.name} is unavailable, and the plan has it: {answer.reason}")
            devices[answer.name] = answer.device or "cpu"
            versions[part.setting.env, answer.name] = answer.version
    if differing := list(dict.fromkeys(_differences(stopped, versions))):
        first, more = "; ".join(differing[:_MOST_NAMED]), len(differing) - _MOST_NAMED
        rest = f"; and {more} more" if more > 0 else ""
        raise UserError(f"{stopped.sweep.plan.run_id} cannot go on as it was: {first}{rest}; start a new run")
    return with_(stopped, sweep=with_(stopped.sweep, devices=devices))


def _use_device(request: Request, stopped: Stopped) -> None:
    """Let this process see the card that the run was told to use. Raises UserError for another one."""
    words = [part for word in stopped.sweep.plan.command for part in word.split("=", maxsplit=1)]
    planned = next((after for word, after in pairwise(words) if word == "--device"), None)
    if request.device not in (None, planned):
        _refuse_contradiction("--device", stopped)
    card.use(planned)


def _interpreters(request: Request, stopped: Stopped) -> Mapping[str, str]:
    """Return the interpreters of the plan by name, each typed again or of an environment that mlpbench made here.

    Raises UserError for another one than before, and for one that only a file names: that is never started.
    """
    planned = {env.name: env.python for part in stopped.sweep.parts if (env := part.plan.env) is not None}
    typed = envs.parse(request.env)
    if typed and typed != planned:
        _refuse_contradiction("--env", stopped)
    unknown = [name for name, python in planned.items() if name not in typed and not environments.is_own(Path(python))]
    if unknown:
        again = " ".join(f"--env {shlex.quote(f'{name}={planned[name]}')}" for name in planned)
        raise UserError(
            f"{stopped.sweep.plan.run_id} needs interpreters, and no file says what is started: add {again}"
        )
    return planned


def _refuse_contradiction(what: str, stopped: Stopped) -> None:
    plan = stopped.sweep.plan.run_id
    raise UserError(f"{what} contradicts the plan of {plan}: a run that is resumed keeps to its plan")


def newest(results: Path, below: str = "") -> Path:
    """Return the newest run of this machine that has stopped, and was not merged. Raises UserError where there is none.

    ``below``: a folder of the machine that the runs are in.
    """
    machine = results / identity.machine_id() / below
    folders = {path.parent for path in machine.glob(f"*/{PLAN_FILE}")} if machine.is_dir() else set()
    for folder in sorted(folders, key=lambda path: path.name, reverse=True):
        if not (folder / MERGED).exists() and _has_stopped(untrusted.read(folder / PLAN_FILE, RunFile).mlpbench):
            return folder
    raise UserError(f"no run of this machine in {machine} has stopped before its end: there is nothing to resume")


def _has_stopped(head: PlanHead | SweepHead) -> bool:
    return head.ending is None or head.ending.interrupted


def read(folder: Path) -> Stopped:
    """Read a run that has stopped. Raises UserError for one that is complete, too old, or not this user's own.

    Nothing that the files name is started or imported: that is for later.
    """
    if not (folder / PLAN_FILE).is_file():
        raise UserError(f"{folder}: no run in this folder: it has no {PLAN_FILE}")
    if (folder / MERGED).exists():
        raise UserError(f"{folder}: this run was merged from elsewhere: resume it where it was made")
    head = untrusted.read(folder / PLAN_FILE, RunFile).mlpbench
    if not _has_stopped(head):
        raise UserError(f"{folder}: this run is complete: there is nothing to resume")
    if isinstance(head, PlanHead) and head.plan.part is not None:
        raise UserError(f"{folder}: one setting of a sweep: resume the sweep, {folder.parent}")
    labels = head.sweep.labels if isinstance(head, SweepHead) else []
    folders = [folder / label for label in labels] or [folder]
    heads = [runs.read_head(child / PLAN_FILE) for child in folders]
    _refuse_unknown(folders, heads)
    _refuse_foreign(folder, folders, heads)
    parts = _parts(heads)
    made = Sweep(_whole(head, parts) if isinstance(head, SweepHead) else parts[0].plan, tuple(parts))
    found = Stopped(folder, folders, made, head, heads, runs.read_runs(folder))
    _refuse_records(found)
    _know_files(found)
    return found


def _refuse_unknown(folders: Sequence[Path], heads: Sequence[PlanHead]) -> None:
    """Refuse plans that are too old to be resumed, or that say what no plan says."""
    for child, one in zip(folders, heads, strict=True):
        if one.computed is None:
            raise UserError(f"{child}: made by a version that could not resume: its plan does not say what it computes")
        if unknown := one.computed.options.keys() - Options.__dataclass_fields__:
            raise UserError(f"{child / PLAN_FILE}: mlpbench.computed.options: there is no option {min(unknown)}")
        if strange := {kernel for kernel, _ in one.plan.order} - set(one.plan.kernels):
            raise UserError(f"{child / PLAN_FILE}: mlpbench.plan.order: {min(strange)} is no kernel of this plan")
        if one.plan.setting and one.plan.setting.env != (one.plan.env and one.plan.env.name):
            raise UserError(f"{child / PLAN_FILE}: mlpbench.plan.setting.env: the plan has another environment")


def _refuse_records(found: Stopped) -> None:
    """Refuse records that are too old."""
    for _, record in found.records:
        if record.ran is None:
            raise UserError(f"{record.path}: made by a version that could not resume: it does not say how long it took")


def _refuse_foreign(whole: Path, folders: Sequence[Path], heads: Sequence[PlanHead]) -> None:
    """Refuse what this user's mlpbench did not write, and files that lead out of the run's folder."""
    for folder, head in zip(folders, heads, strict=True):
        if not run_folder.is_ours(head):
            changed = "somebody else made it, or it was changed"
            why = changed if head.seal else "it has no seal: an older version made it, or one that could keep no key"
            advice = "only whoever made a run resumes it, so start a new one"
            raise UserError(f"{folder / PLAN_FILE} is not as your mlpbench writes it: {why}; {advice}")
        admitted(head.plan.clock)
    if link := next((path for path in sorted(whole.rglob("*")) if path.is_symlink()), None):
        raise UserError(f"{link}: a link, and results are files: take it away")


def _know_files(found: Stopped) -> None:
    """Make the kernels known that are somebody's files. Raises UnknownKernel for a file that is not what it was."""
    for part in found.sweep.parts:
        for name, file in part.plan.files.items():
            given = files.KernelFile(file.path, file.attribute, file.sha256)
            files.read(given)
            files.restore({name: given})


def _parts(heads: Sequence[PlanHead]) -> list[Part]:
    """Return the plan of each setting, with what it computes. Their environments are not asked yet."""
    made: list[Part] = []
    loaded: dict[str, Workload] = {}
    for head in heads:
        plan, computed = head.plan, head.computed
        assert computed is not None, "read() has looked"  # noqa: S101
        workload = loaded.setdefault(repr(computed), Workload(Options.of(computed.options), computed.rows))
        spec, env = workload.spec, plan.env.name if plan.env else None
        setting = plan.setting or Setting(spec.label(), plan.threads or 1, spec.dtype, env=env)
        names = names_of([setting] * len(heads), setting, plan.kernels)
        made.append(Part(setting, plan, workload, names))
    return made


def _whole(head: SweepHead, parts: Sequence[Part]) -> Plan:
    """Return the plan of a sweep, whose kernels are the names of all its parts."""
    called = {(part.setting.label, kernel): name for part in parts for name, kernel in part.names.items()}
    header = head.sweep
    if strange := {(kernel, label) for label, kernel, _ in header.order if (label, kernel) not in called}:
        raise UserError(f"{header.run_id}: mlpbench.sweep.order: no plan has {' in '.join(min(strange))}")
    return replace(
        parts[0].plan,
        run_id=header.run_id,
        kernels=tuple(called.values()),
        order=tuple((called[label, kernel], repeat) for label, kernel, repeat in header.order),
        repeats=header.repeats or parts[0].plan.repeats,
        skipped=(),
        sweep=None,
        part=None,
    )


def _differences(stopped: Stopped, versions: Mapping[tuple[str | None, str], str | None]) -> Iterator[str]:
    """Yield what is not as it was when the run stopped, each in words.

    ``versions``: of the kernels' libraries, by environment and kernel, as they were asked.
    """
    for head, part, run in zip(stopped.heads, stopped.sweep.parts, stopped.runs, strict=True):
        here = part.env.environment if part.env else environment.collect()
        yield from _changes("", head.environment.facts, here.facts)
        yield from _changes("", head.environment.variables or {}, here.variables or {})
        if head.plan.env and part.env:
            yield from _changes(f"{head.plan.env.name} ", head.plan.env.as_dict(), part.env.interpreter.as_dict())
        before = {record.kernel: record.version for record in run.records if record.version is not None}
        known = {kernel: versions[at] for kernel in before if (at := (part.setting.env, kernel)) in versions}
        yield from _changes("library of ", {kernel: before[kernel] for kernel in known}, known)
        if head.computed is not None:
            _, (*_, data, _), (_, weights) = part.workload.facts()
            hashes = {"data": head.computed.data_sha256, "weights": head.computed.weights_sha256}
            yield from _changes("", hashes, {"data": data, "weights": weights})


def _changes(which: str, before: Mapping[str, object], here: Mapping[str, object]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *here]):
        if before.get(name) != here.get(name):
            yield f"{which}{name} was {_short(before.get(name))}, is {_short(here.get(name))}"


def _short(value: object) -> str:
    text = "none" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 40 else f"{text[:8]}…"


def reopen(stopped: Stopped) -> None:
    """Write down that the run goes on from here, and remove what was being written when it was killed."""
    now_s = utc_s()
    if isinstance(stopped.head, SweepHead):
        write_atomically(stopped.folder / PLAN_FILE, RunFile(replace(stopped.head, ending=None)), replace=True)
    for folder, head, run in zip(stopped.folders, stopped.heads, stopped.runs, strict=True):
        resumed = (*head.resumed, Resumed(at_s=now_s, after=len(run.records)))
        write_atomically(folder / PLAN_FILE, RunFile(replace(head, resumed=resumed, ending=None)), replace=True)
    for path in stopped.folder.rglob(".*.partial"):
        path.unlink()


def take_in(found: Stopped, effort: Effort) -> None:
    """Tell ``effort`` what has been done, in the order in which it was done: it yields what is missing.

    A file that cannot be read is not measured again: its name is taken, and the report says what is wrong with it.
    """
    for name, record in sorted(found.records, key=lambda one: one[1].ran.began_s if one[1].ran else 0.0):
        process.take_in(record, effort, name)
    there = {(record.kernel, record.repeat, record.path.parent) for _, record in found.records}
    for folder, part in zip(found.folders, found.sweep.parts, strict=True):
        called = {kernel: name for name, kernel in part.names.items()}
        for path in sorted(folder.glob("*.json")):
            at = RECORD_FILE.fullmatch(path.name)
            if at and at[1] in called and (at[1], int(at[2]), folder) not in there:
                effort.note(called[at[1]], int(at[2]), 0.0, {})
