"""A run that goes on where it stopped: found, compared with what it was, and with what it has left taken in."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_
from itertools import pairwise
from pathlib import Path

from msgspec.structs import replace

from mlpbench.bench.analysis import sides
from mlpbench.bench.cases import Setting
from mlpbench.bench.clock import utc_s
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import card, environment
from mlpbench.bench.plan import probe
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.request import NEWEST, Request
from mlpbench.bench.plan.sweep import Part, Sweep, inspected, interpreters
from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.plan import Plan, PlanHead, RunFile, SweepHead
from mlpbench.bench.record.runs import MERGED, PLAN_FILE, RECORD_FILE, Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.record.write import write_atomically
from mlpbench.bench.run import folder as run_folder
from mlpbench.bench.run import process
from mlpbench.kernels.own import files


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
    def name(self) -> str:
        """The name of the whole."""
        return self.sweep.plan.run_id

    @property
    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield every record, with what the plan of the whole calls its kernel."""
        for part, run in zip(self.sweep.parts, self.runs, strict=True):
            called = {kernel: name for name, kernel in part.names.items()}
            yield from ((called[record.kernel], record) for record in run.records)

    def take_in(self, effort: Effort) -> None:
        """Tell ``effort`` what has been done, in the order in which it was done: it yields what is missing.

        A file that cannot be read is not measured again: its name is taken, and the report says what is wrong with it.
        """
        for name, record in sorted(self.records, key=lambda pair: pair[1].ran.began_s if pair[1].ran else 0.0):
            process.take_in(record, effort, name)
        there = {(record.kernel, record.repeat, record.path.parent) for _, record in self.records}
        for folder, part in zip(self.folders, self.sweep.parts, strict=True):
            called = {kernel: name for name, kernel in part.names.items()}
            for path in sorted(folder.glob("*.json")):
                at = RECORD_FILE.fullmatch(path.name)
                if at and at[1] in called and (at[1], int(at[2]), folder) not in there:
                    effort.note(called[at[1]], int(at[2]), 0.0, {})

    def reopen(self) -> None:
        """Write down that the run goes on from here, and remove what was being written when it was killed."""
        now_s = utc_s()
        if isinstance(self.head, SweepHead):
            write_atomically(self.folder / PLAN_FILE, RunFile(replace(self.head, ending=None)), replace=True)
        for folder, head, run in zip(self.folders, self.heads, self.runs, strict=True):
            resumed = (*head.resumed, (now_s, len(run.records)))
            write_atomically(folder / PLAN_FILE, RunFile(replace(head, resumed=resumed, ending=None)), replace=True)
        for path in self.folder.rglob(".*.partial"):
            path.unlink()

    def contradiction(self, option: str) -> UserError:
        """Return the error of an option that is not as it was planned."""
        return UserError(f"{option} contradicts the plan of {self.name}: a run that is resumed keeps to its plan")


def find(request: Request) -> Stopped:
    """Return the run that a request goes on with, as it was planned: nothing that matters may be another today.

    Raises UserError where something differs, for an interpreter that a file alone names, and where a kernel of the plan
    cannot run here.
    """
    named, machine = request.resume or NEWEST, request.results / environment.machine_id()
    if named == NEWEST:
        folder = _newest(machine)
    else:
        folder = runs.resolve(named, request.results, environment.machine_id())
    stopped = read(folder)
    _use_device(request, stopped)
    envs = inspected(_interpreters(request, stopped))
    if envs:
        found = ((part, envs.get(part.setting.env or "")) for part in stopped.sweep.parts)
        parts = (with_(part, env=env, plan=replace(part.plan, env=env and env.interpreter)) for part, env in found)
        stopped = with_(stopped, sweep=with_(stopped.sweep, parts=tuple(parts)))
    devices: dict[str, str] = {}
    versions: dict[tuple[str | None, str], str | None] = {}
    specs = list(dict.fromkeys(part.workload.spec for part in stopped.sweep.parts))
    for part in {part.setting.env: part for part in stopped.sweep.parts}.values():
        python = part.env.interpreter.python if part.env else None
        for answer in probe.probe_all(list(part.plan.kernels), specs, python):
            if not answer.available:
                raise UserError(f"{answer.name} is unavailable, and the plan has it: {answer.reason}")
            devices[answer.name] = answer.device or "cpu"
            versions[part.setting.env, answer.name] = answer.version
    if changed := list(dict.fromkeys(_differences(stopped, versions))):
        rest = f"; and {len(changed) - 8} more" if len(changed) > 8 else ""
        raise UserError(
            f"{stopped.name} cannot go on; then against now: {'; '.join(changed[:8])}{rest}; start a new run"
        )
    return with_(stopped, sweep=with_(stopped.sweep, devices=devices))


def _newest(machine: Path) -> Path:
    """Return the newest run in a folder that has stopped, and was not merged. Raises UserError where there is none."""
    for path in sorted(machine.glob(f"*/{PLAN_FILE}"), reverse=True):
        if not (path.parent / MERGED).exists() and _has_stopped(untrusted.read(path, RunFile).mlpbench):
            return path.parent
    raise UserError(f"no run of this machine in {machine} has stopped before its end: there is nothing to resume")


def _use_device(request: Request, stopped: Stopped) -> None:
    """Let this process see the card that the run was told to use. Raises UserError for another one."""
    words = [part for word in stopped.sweep.plan.command for part in word.split("=", maxsplit=1)]
    planned = next((after for word, after in pairwise(words) if word == "--device"), None)
    if request.device not in (None, planned):
        raise stopped.contradiction("--device")
    card.use(planned)


def _interpreters(request: Request, stopped: Stopped) -> Mapping[str, str]:
    """Return the interpreters of the plan by name, each typed again: one that only a file names is never started.

    Raises UserError for another one than before, and for one that is not typed.
    """
    planned = {env.name: env.python for part in stopped.sweep.parts if (env := part.plan.env) is not None}
    typed = interpreters(request.env)
    if typed and typed != planned:
        raise stopped.contradiction("--env")
    if planned and not typed:
        again = " ".join(f"--env {shlex.quote(f'{name}={python}')}" for name, python in planned.items())
        raise UserError(f"{stopped.name} needs interpreters, and no file says what is started: add {again}")
    return planned


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
    if isinstance(head, PlanHead) and head.plan.setting is not None:
        raise UserError(f"{folder}: one setting of a sweep: resume the sweep, {folder.parent}")
    labels = head.labels if isinstance(head, SweepHead) else []
    folders = [folder / label for label in labels] or [folder]
    heads = [runs.read_head(child / PLAN_FILE) for child in folders]
    for child, planned in zip(folders, heads, strict=True):
        _refuse_foreign(child / PLAN_FILE, planned)
    if link := next((path for path in sorted(folder.rglob("*")) if path.is_symlink()), None):
        raise UserError(f"{link}: a link, and results are files: take it away")
    parts = _parts(heads)
    sweep = Sweep(_whole(head, parts) if isinstance(head, SweepHead) else parts[0].plan, tuple(parts))
    stopped = Stopped(folder, folders, sweep, head, heads, runs.read_runs(folder))
    if too_old := next((record.path for _, record in stopped.records if record.ran is None), None):
        raise UserError(f"{too_old}: it does not say how long it took: remove it, and it is measured again")
    for name, file in (named for part in parts for named in part.plan.files.items()):
        given = files.KernelFile(file.path, file.attribute, file.sha256)
        files.read(given)
        files.restore({name: given})
    return stopped


def _refuse_foreign(file: Path, head: PlanHead) -> None:
    """Refuse a plan that this user's mlpbench did not write."""
    if not run_folder.is_ours(head):
        changed = "it was changed, or somebody else or another version made it"
        why = changed if head.seal else "it has no seal: an older version made it, or one that could keep no key"
        advice = "only whoever made a run resumes it, so start a new one"
        raise UserError(f"{file} is not as your mlpbench writes it: {why}; {advice}")
    if strange := {kernel for kernel, _ in head.plan.order} - set(head.plan.kernels):
        raise UserError(f"{file}: mlpbench.plan.order: {min(strange)} is no kernel of this plan")


def _parts(heads: list[PlanHead]) -> list[Part]:
    """Return the plan of each setting, with what it computes. Their environments are not asked yet."""
    parts: list[Part] = []
    loaded: dict[str, Workload] = {}
    for head in heads:
        plan, computed = head.plan, head.computed
        assert computed is not None, "read() has looked"  # noqa: S101
        options = Options(**{name: text for name, text in computed.options.items() if text is not None})
        workload = loaded.setdefault(repr(computed), Workload(options, computed.rows))
        spec, env = workload.spec, plan.env.name if plan.env else None
        setting = plan.setting or Setting(spec.label(), plan.threads or 1, spec.dtype, env=env)
        parts.append(Part(setting, plan, workload, {setting.name(kernel): kernel for kernel in plan.kernels}))
    return parts


def _whole(head: SweepHead, parts: list[Part]) -> Plan:
    """Return the plan of a sweep, whose kernels are the names of all its parts."""
    called = {(part.setting.label, kernel): name for part in parts for name, kernel in part.names.items()}
    if strange := {(kernel, label) for label, kernel, _ in head.order if (label, kernel) not in called}:
        raise UserError(f"{head.run_id}: mlpbench.order: no plan has {' in '.join(min(strange))}")
    return replace(
        parts[0].plan,
        run_id=head.run_id,
        kernels=tuple(called.values()),
        order=tuple((called[label, kernel], repeat) for label, kernel, repeat in head.order),
        skipped={},
        sweep=None,
        setting=None,
    )


def _differences(stopped: Stopped, versions: Mapping[tuple[str | None, str], str | None]) -> Iterator[str]:
    """Yield what is not as it was when the run stopped, each in words, what it was against what it is.

    ``versions``: of the kernels' libraries, by environment and kernel, as they were asked.
    """
    for head, part, run in zip(stopped.heads, stopped.sweep.parts, stopped.runs, strict=True):
        here = part.env.environment if part.env else environment.collect()
        yield from sides.unequal("", head.environment.facts, here.facts)
        yield from sides.unequal("", head.environment.variables or {}, here.variables or {})
        if head.plan.env and part.env:
            yield from sides.unequal(head.plan.env.name, head.plan.env.as_dict(), part.env.interpreter.as_dict())
        before = {record.kernel: record.kernel_info.version for record in run.records if record.kernel_info.version}
        known = {kernel: versions[at] for kernel in before if (at := (part.setting.env, kernel)) in versions}
        yield from sides.unequal("library of", {kernel: before[kernel] for kernel in known}, known)
        if head.computed is not None:
            _, (*_, data, _), (_, weights) = part.workload.facts()
            hashes = {"data": head.computed.data_sha256, "weights": head.computed.weights_sha256}
            yield from sides.unequal("", hashes, {"data": data, "weights": weights})
