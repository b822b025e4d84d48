"""Runs: folders ``results/<machine>/<UTC stamp>-<commit8>``, read whole, and named as people name them.

A run has ``run.json``, its plan, and a record for each process, ``<kernel>.<repeat>.json``; a sweep over several
settings has a header instead, and a folder for the run of each. Nothing that a file says becomes part of a path.
"""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mlpbench.bench import values
from mlpbench.bench.cases import Setting
from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.record import consistency, schema, untrusted
from mlpbench.bench.record.device import RoofsFile, RoofsHead
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.plan import Ending, Plan, PlanHead, RunFile, SweepHead
from mlpbench.bench.record.schema import Failure, Record
from mlpbench.bench.record.untrusted import NAME

PLAN_FILE = "run.json"
#: Marks the folder of a run that `mlpbench merge` brought: it is not resumed.
MERGED = ".merged"
#: Among the results of a checkout: which runs came with it, as ``<machine>/<run>``.
REFERENCE_FILE = "reference.txt"
#: The machine's limits, measured at the run's end by `bench.wings.why.roofs`.
ROOFS_FILE = "roofs.json"
RECORD_FILE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\.(\d{1,5})\.json", re.ASCII)

_STAMP = re.compile(r"\d{8}T\d{6}Z")
#: What a run of the profile smoke lacks.
_ALONE = "has one repeat alone"


@dataclass(frozen=True)
class Run:
    """One invocation. ``path`` is its folder, or the one file that was named.

    ``missing``: the (kernel, repeat) that were planned and have no record. ``problems`` of the run as a whole,
    ``damaged``: what is wrong with files that were left out, ``contradictions``: what else cannot be true. ``plan`` is
    None for a file that pytest wrote by hand. ``shown``: what tables call it instead of its id.
    """

    path: Path
    plan: Plan | None
    environment: Environment
    records: tuple[Record, ...]
    missing: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()
    ending: Ending | None = None
    shown: str | None = None
    damaged: tuple[str, ...] = ()
    roofs: RoofsHead | None = None
    resumed: tuple[tuple[float, int], ...] = ()
    contradictions: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The run's name: UTC stamp and commit."""
        return self.plan.run_id if self.plan else untrusted.clean_text(self.path.stem)

    @property
    def name(self) -> str:
        """What tables call the run: its id, or among others what tells them apart (`named`)."""
        return self.shown or self.id

    @property
    def title(self) -> str:
        """The same as the beginning of a sentence."""
        if self.shown is None or self.id in self.shown:
            return f"Run {self.name}"
        return f"The run {'with' if self.plan and self.plan.setting else 'on'} {self.shown}"

    @property
    def setting(self) -> Setting | None:
        """Network, threads, dtype, environment; of an ordinary run those of its records. None if nothing says them."""
        if self.plan and self.plan.setting:
            return self.plan.setting
        threads = (self.plan.threads if self.plan else None) or (self.records[0].threads if self.records else None)
        if not self.records or threads is None:
            return None
        return Setting(self.records[0].spec.label(), threads, self.records[0].spec.dtype, env=self.env)

    @property
    def env(self) -> str | None:
        """The name of the Python environment that was measured, None for mlpbench's own."""
        if self.plan and self.plan.env:
            return self.plan.env.name
        return self.plan.setting.env if self.plan and self.plan.setting else None

    @property
    def machine(self) -> str:
        """The machine's name, from its processor."""
        return self.environment.machine.name or "unknown"

    @property
    def host(self) -> tuple[str, str | None]:
        """The machine's name, and the digest of the host where that is known."""
        return self.machine, self.environment.machine.host

    def machine_among(self, hosts: set[tuple[str, str | None]]) -> str:
        """Return the machine's name; among several of one model with the first digits of its host."""
        machine, host = self.host
        alike = sum(other == machine for other, _ in hosts) > 1
        return f"{machine} (host {host[:6] if host else 'not known'})" if alike else machine

    @property
    def measured_in(self) -> Environment:
        """The environment of the first process: its libraries were loaded, so its BLAS is the one that ran."""
        return self.records[0].environment if self.records else self.environment

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels of which there is a record, in the plan's order."""
        there = dict.fromkeys(record.kernel for record in self.records)
        planned = self.plan.kernels if self.plan else ()
        return tuple(sorted(there, key=lambda name: planned.index(name) if name in planned else len(planned)))

    @property
    def skipped(self) -> Mapping[str, str]:
        """The kernels that the run left out, and why."""
        return self.plan.skipped if self.plan else {}

    @property
    def shortfall(self) -> str | None:
        """Which planned processes the budget had no time for, as a sentence."""
        return self.ending.shortfall(self.plan.budget_s) if self.ending and self.plan else None

    @property
    def outcome(self) -> str | None:
        """How many cases reached the target, and what stopped the others, as a sentence."""
        return self.ending.sentence(self.plan) if self.ending and self.plan else None

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What has no time, once for each repeat in which it failed."""
        return tuple(failure for record in self.records for failure in record.failures)


_Run = TypeVar("_Run", bound=Run)


def named(runs: Sequence[_Run]) -> list[_Run]:
    """Return the runs as tables name them: of one sweep by their settings, of several machines with the machine."""
    hosts = {run.host for run in runs}
    if len(hosts) > 1:
        names = [run.machine_among(hosts) for run in runs]
        if len(hosts) < len(runs):
            names = [f"{run.id} on {name}" for run, name in zip(runs, names, strict=True)]
    else:
        plans = [run.plan for run in runs if run.plan and run.plan.setting]
        names = [plan.setting.words for plan in plans if plan.setting]
        # Of several sweeps, and of a run that was named twice, their ids are shown.
        if len(runs) < 2 or len({plan.sweep for plan in plans}) != 1 or len(set(names)) < len(runs):
            return list(runs)
    return [replace(run, shown=name) for run, name in zip(runs, names, strict=True)]


read = schema.read


def read_head(path: Path) -> PlanHead:
    """Return what the ``run.json`` of a run says. Raises UserError as `read`, and for that of a sweep."""
    head = untrusted.read(path, RunFile).mlpbench
    if isinstance(head, SweepHead):
        raise UserError(f"{path}: the header of a sweep, not the plan of a run")
    return head


def read_run(path: Path) -> Run:
    """Read a run's folder as far as it came, or one record as its own run.

    A record that is damaged, or that cannot be true beside the others, costs that record: `Run.damaged` names it.
    Raises UserError where no record is left, for a damaged plan, for files of another run, and where there is none.
    """
    head = _head(path) if path.is_dir() else None
    if isinstance(head, SweepHead):
        labels = f"name one of them, as {path.name}/LABEL ({', '.join(head.labels)})"
        raise UserError(f"{path}: a sweep over several settings: {labels}")
    records, damaged = _records(path, head) if path.is_dir() else ([read(path)], {})
    plan, environment = (head.plan, head.environment) if head else (records[0].plan, records[0].environment)
    records, untrue = consistency.credible(records, plan, head)
    if untrue and not records:
        raise UserError(next(iter(untrue.values())))
    damaged |= untrue
    ending = head.ending if head else None
    done = {(record.kernel, record.repeat) for record in records} | damaged.keys()
    done |= set(ending.left_out if ending else ())  # nothing was to come of these any more
    missing = tuple(process for process in plan.order if process not in done) if plan and path.is_dir() else ()
    roofs, without_roofs = _roofs(path if path.is_dir() else path.parent)
    return Run(
        path,
        plan,
        environment,
        tuple(records),
        missing,
        _interrupted(missing, plan, head is not None and head.cut_off),
        ending,
        damaged=(*damaged.values(), *without_roofs),
        roofs=roofs,
        resumed=head.resumed if head else (),
        contradictions=tuple(map(untrusted.clean_text, consistency.contradictions(plan, records))),
    )


def read_runs(path: Path) -> list[Run]:
    """Read a run, or all runs of a sweep over several settings, in the order of its header.

    Raises UserError as `read_run`; so does a sweep in which a setting is missing, or lies in the place of another.
    """
    head = _head(path) if path.is_dir() else None
    if not isinstance(head, SweepHead):
        return [read_run(path)]
    _check_folders(path, head.labels)
    runs = [read_run(path / label) for label in head.labels]
    for run, setting in zip(runs, head.settings, strict=True):
        consistency.check_sweep(run.path, run.plan, run.records, head, setting)
    return runs


def _head(folder: Path) -> PlanHead | SweepHead | None:
    """Return what the ``run.json`` of a folder says, None where there is none."""
    path = folder / PLAN_FILE
    return untrusted.read(path, RunFile).mlpbench if os.path.lexists(path) else None


def _records(folder: Path, head: PlanHead | None) -> tuple[list[Record], dict[tuple[str, int], str]]:
    """Return the records of a run that can be read, in order, and by (kernel, repeat) what is wrong with the others.

    Raises UserError where there is none, and for a file that is of another run, or no record and not called as one.
    """
    with user_error(f"{folder}: cannot be read"):
        names = sorted(file.name for file in folder.glob("*.json") if not file.name.startswith("."))
    if not names:
        raise UserError(f"{folder}: no run in this folder: it has no {PLAN_FILE} and no record")
    records, damaged = [], {}
    for name in names:
        try:
            records += [read(folder / name)] if name not in (PLAN_FILE, ROOFS_FILE) else []
        except UserError as error:
            if (match := RECORD_FILE.fullmatch(name)) is None:
                raise
            damaged[match[1], int(match[2])] = untrusted.clean_text(str(error))
    if not records and (damaged or head is None):
        raise UserError(next(iter(damaged.values()), f"{folder}: no run in this folder: it has no record"))
    plan = head.plan if head else records[0].plan
    place = {kernel: number for number, kernel in enumerate(plan.kernels if plan else ())}
    records.sort(key=lambda record: (record.repeat, place.get(record.kernel, len(place)), record.kernel))
    for record in records:
        consistency.check_run(record, plan, records[0])
    return records, damaged


def _roofs(folder: Path) -> tuple[RoofsHead | None, tuple[str, ...]]:
    """Return what was measured of the machine, and what is wrong with its file."""
    path = folder / ROOFS_FILE
    try:
        return untrusted.read(path, RoofsFile).mlpbench if os.path.lexists(path) else None, ()
    except UserError as error:
        return None, (untrusted.clean_text(str(error)),)


def _check_folders(sweep: Path, labels: Sequence[str]) -> None:
    """Raise UserError where a sweep has other folders, or other result files, than those of its settings."""
    there = {path.name for path in sweep.iterdir() if path.is_dir() or path.suffix == ".json"} - {PLAN_FILE}
    if foreign := sorted(name for name in there.difference(labels) if not name.startswith(".")):
        raise UserError(
            f"{sweep / foreign[0]}: belongs to no setting of this sweep ({', '.join(labels)}); take it away"
        )
    if gone := [label for label in labels if label not in there]:
        raise UserError(f"{sweep}: the setting {gone[0]} of this sweep is missing; name the others one by one")


def _interrupted(missing: Sequence[tuple[str, int]], plan: Plan | None, cut_off: bool) -> tuple[str, ...]:
    if plan is None or not missing:
        line = "interrupted: it stopped before its intervals were narrow enough or its time was spent"
        return (line,) if cut_off else ()
    names = ", ".join(f"{kernel} {repeat + 1}" for kernel, repeat in missing[:6])
    more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
    return (f"interrupted: {len(missing)} of {len(plan.order)} processes have no record: {names}{more}",)


def find_runs(results_dir: Path) -> list[Path]:
    """Return the folders of all runs, ``<results_dir>/<machine>/<run>``, newest first by the stamp in their names."""
    if not results_dir.is_dir():
        return []
    folders = {file.parent for file in results_dir.glob("*/*/*.json") if not file.name.startswith(".")}
    return sorted(folders, key=lambda folder: (bool(_STAMP.match(folder.name)), folder.name), reverse=True)


def latest(results_dir: Path, here: str | None = None) -> Path:
    """Return the newest run of machine ``here`` that has ended and has repeats, or the newest that ended, or any.

    A machine without runs has those of the others. Raises UserError if there are none at all.
    """
    if not (runs := find_runs(results_dir)):
        raise UserError(f"no runs in {results_dir}: `mlpbench run` makes one")
    ours = [run for run in runs if run.parent.name == here] or runs
    return next((run for lack in (None, _ALONE) for run in ours if _lacks(run) == lack), ours[0])


def previous(run: Path) -> Path | None:
    """Return the newest run of the same machine, older than a run, that has ended and has repeats; None for none."""
    older = (other for other in find_runs(run.parent.parent) if other.parent == run.parent and other.name < run.name)
    return next((other for other in older if _lacks(other) is None), None)


def note_on_latest(results_dir: Path, here: str) -> str | None:
    """Say of the run that `latest` returns that it came with mlpbench, or why it is not the newest."""
    taken, reference = latest(results_dir, here), results_dir / REFERENCE_FILE
    listed = untrusted.read_bytes(reference).decode(errors="replace").split() if reference.is_file() else []
    if taken.parent.name != here and (name := f"{taken.parent.name}/{taken.name}") in listed:
        return f"latest is {name}, a reference run: there is none of this machine yet, `mlpbench run` makes one"
    newest = next(run for run in find_runs(results_dir) if run.parent == taken.parent)
    if newest == taken:
        return None
    return f"latest is {taken.name}: {newest.name} is newer, and {_lacks(newest)}; name it to see it"


def _lacks(run: Path) -> str | None:
    """Return why a run has no intervals, as far as its header can be read; None for one that has."""
    try:
        head = _head(run)
    except UserError:  # told when it is read
        return None
    if isinstance(head, SweepHead):
        return next(filter(None, (_lacks(run / label) for label in head.labels)), None)
    if head is None:
        return None if any(run.glob("*.1.json")) else _ALONE
    if head.ending and head.ending.interrupted:
        return "was interrupted"
    whole = head.ending or all((run / f"{kernel}.{repeat}.json").is_file() for kernel, repeat in head.plan.order)
    if not whole or head.cut_off:
        return "has not ended: it still runs, or was killed"
    return _ALONE if head.plan.repeats == 1 else None


def resolve(argument: str, results_dir: Path, here: str | None = None) -> Path:
    """Return the folder or file of a run as people name it; ``here`` is this machine.

    ``argument`` is a path, ``latest``, a run's name, or the beginning or end of one; ``<sweep>/<label>`` or
    ``<sweep>.<label>`` is one setting. Raises UserError with the candidates of an ambiguous name, or the nearest one.
    """
    if argument == "latest":
        return latest(results_dir, here)
    for path in (values.home(Path(argument)), results_dir / argument):
        if argument.strip() and os.path.lexists(path):  # a link that leads nowhere is an error when it is read
            return path
    runs = find_runs(results_dir)
    if (setting := _setting(argument, runs, results_dir, here)) is not None:
        return setting
    found = [run for run in runs if run.name == argument]
    found = found or [run for run in runs if argument and run.name.startswith(argument)]
    found = found or [run for run in runs if argument and run.name.endswith(argument)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(run.relative_to(results_dir)) for run in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise UserError(f"{argument!r} names {len(found)} runs: {names}{more}; give more of the name, or the folder")
    newest = f"the newest is {runs[0].name}" if runs else f"no runs in {results_dir}: `mlpbench run` makes one"
    near = difflib.get_close_matches(argument, [run.name for run in runs], n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else newest
    raise UserError(f"no run, file or folder {argument!r}; {hint}")


def _setting(argument: str, runs: Sequence[Path], results_dir: Path, here: str | None) -> Path | None:
    """Return the folder of one setting of a sweep, None where no sweep is named before its label."""
    sweep, _, label = argument.rpartition("/")
    folder = next((run for run in runs if argument.startswith(f"{run.name}.")), None)
    if folder:
        label = argument.removeprefix(f"{folder.name}.")
    elif sweep and NAME.fullmatch(label):
        try:
            folder = resolve(sweep, results_dir, here)
        except UserError:  # told about the whole argument
            return None
    if folder is None or not (folder in runs or os.path.lexists(folder / PLAN_FILE)):
        return None
    with user_error(f"{folder}: cannot be read"):
        labels = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if label not in labels:
        raise UserError(f"no setting {label!r} in {folder.name}; it has {', '.join(labels) or 'none'}")
    return folder / label
