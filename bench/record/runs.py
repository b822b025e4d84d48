"""Runs: folders of result files, read whole, and named as people name them.

A run is a folder ``results/<machine>/<UTC stamp>-<commit8>`` with ``run.json`` (its plan) and one record for each
process, ``<kernel>.<repeat>.json``. A sweep over several settings is such a folder with a header instead, and a run in
a folder of its own for each setting. Folders are only ever listed: nothing that a file says becomes part of a path.
"""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpbench.bench import values
from mlpbench.bench.cases import Setting
from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.record import consistency, schema, untrusted
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.plan import Ending, Plan, PlanHead, RunFile, SweepHead
from mlpbench.bench.record.roofs import RoofsFile, RoofsHead
from mlpbench.bench.record.schema import Failure, Record
from mlpbench.bench.record.untrusted import NAME

PLAN_FILE = "run.json"
#: Empty, in the folder of a run that `mlpbench merge` brought: such a run is not resumed.
MERGED = ".merged"
#: Among the results of a checkout: which runs came with it, as ``<machine>/<run>``.
REFERENCE_FILE = "reference.txt"
#: The machine's limits, measured at the run's end by `bench.wings.why.roofs`.
ROOFS_FILE = "roofs.json"
RECORD_FILE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\.(\d{1,5})\.json", re.ASCII)


@dataclass(frozen=True)
class Run:
    """One invocation. ``path`` is its folder, or the one file that was named.

    ``missing`` holds the (kernel, repeat) that were planned and have no record, ``problems`` what is to be said about
    the run as a whole, ``damaged`` what is wrong with files of it that were left out: they cannot be read, or not be
    true. ``contradictions``: what else cannot be true. ``ending``:
    how it ended (None if nobody could write that any more). A run may have no records at all; ``plan`` is None for a
    file that pytest wrote by hand. ``shown``: what tables call it instead of its id. ``roofs``: what was measured of
    the machine.
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
        """What tables call the run: its id, or among others what tells them apart (`bench.record.names`)."""
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
        env = self.plan.env.name if self.plan and self.plan.env else None
        return Setting(self.records[0].spec.label(), threads, self.records[0].spec.dtype, env=env)

    @property
    def machine(self) -> str:
        """The machine's name, from its processor."""
        return self.environment.machine.name or "unknown"

    @property
    def measured_in(self) -> Environment:
        """The environment of the first process: its libraries were loaded, so its BLAS is the one that ran."""
        return self.records[0].environment if self.records else self.environment

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels of which there is a record, in the plan's order."""
        found = dict.fromkeys(record.kernel for record in self.records)
        planned = self.plan.kernels if self.plan else ()
        return tuple(sorted(found, key=lambda name: planned.index(name) if name in planned else len(planned)))

    @property
    def skipped(self) -> Mapping[str, str]:
        """The kernels that the run left out, and why."""
        return self.plan.skipped if self.plan else {}

    @property
    def left_out(self) -> tuple[tuple[str, int], ...]:
        """The planned (kernel, repeat) for which the budget had no time."""
        return self.ending.left_out if self.ending else ()

    @property
    def shortfall(self) -> str | None:
        """Which planned processes the budget had no time for, as a sentence."""
        return self.ending.shortfall(self.plan.budget_s) if self.ending and self.plan else None

    @property
    def outcome(self) -> str | None:
        """How many cases reached the target, and what stopped the others, as a sentence."""
        return self.ending.sentence(self.plan.target, self.plan.budget_s) if self.ending and self.plan else None

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What has no time, once for each repeat in which it failed."""
        return tuple(failure for record in self.records for failure in record.failures)


read = schema.read


def read_plan(path: Path) -> Plan:
    """Return the plan in the ``run.json`` of a run. Raises UserError as `read_head`."""
    return read_head(path).plan


def read_head(path: Path) -> PlanHead:
    """Return what the ``run.json`` of a run says. Raises UserError as `read`, and for that of a sweep."""
    head = untrusted.read(path, RunFile).mlpbench
    if isinstance(head, SweepHead):
        raise UserError(f"{path}: the header of a sweep, not the plan of a run")
    return head


def read_run(path: Path) -> Run:
    """Read a run's folder, or one record as a run of its own.

    An interrupted run is read as far as it came. A record that is damaged, or that cannot be true beside the others
    (`bench.record.consistency.credible`), costs that record, and `Run.damaged` names it.
    Raises UserError as `read` where no record is left, for a damaged plan, for files of another run, and for a folder
    without a run.
    """
    if not path.is_dir():
        record = read(path)
        _, untrue = consistency.credible([record], record.plan)
        if untrue:
            raise UserError(*untrue.values())
        doubts = tuple(map(untrusted.clean_text, consistency.contradictions(record.plan, None, [record])))
        return Run(path, record.plan, record.environment, (record,), contradictions=doubts, **_roofs(path.parent))
    head = _head(path)
    if isinstance(head, SweepHead):
        one = f"name one of them, as {path.name}/LABEL ({', '.join(head.labels)})"
        raise UserError(f"{path}: a sweep over several settings: {one}")
    return _run(path, head)


def read_runs(path: Path) -> list[Run]:
    """Read a run, or all runs of a sweep over several settings, in the order of its header.

    Raises UserError as `read_run`; so does a sweep in which a setting is missing, or lies in the place of another.
    """
    if not path.is_dir():
        return [read_run(path)]
    head = _head(path)
    if not isinstance(head, SweepHead):
        return [_run(path, head)]
    runs = [read_run(child) for child in _children(path, head.labels)]
    for run, setting in zip(runs, head.settings, strict=True):
        consistency.check_sweep(run.path, run.plan, run.records, head, setting)
    return runs


def _head(folder: Path) -> PlanHead | SweepHead | None:
    """Return what the ``run.json`` of a folder says, None where there is none."""
    path = folder / PLAN_FILE
    return untrusted.read(path, RunFile).mlpbench if os.path.lexists(path) else None


def _run(path: Path, head: PlanHead | None) -> Run:
    with user_error(f"{path}: cannot be read"):
        names = sorted(file.name for file in path.glob("*.json") if not file.name.startswith("."))
    if not names:
        raise UserError(f"{path}: no run in this folder: it has no {PLAN_FILE} and no record")
    names = [name for name in names if name not in (PLAN_FILE, ROOFS_FILE)]
    records, damaged = _records(path, names)
    if not records and (damaged or head is None):
        raise UserError(next(iter(damaged.values()), f"{path}: no run in this folder: it has no record"))
    plan = head.plan if head else records[0].plan
    environment = head.environment if head else records[0].environment
    place = {kernel: number for number, kernel in enumerate(plan.kernels if plan else ())}
    records.sort(key=lambda record: (record.repeat, place.get(record.kernel, len(place)), record.kernel))
    for record in records:
        consistency.check_run(record, plan, records[0])
    records, untrue = consistency.credible(records, plan, head)
    damaged |= untrue
    if untrue and not records:
        raise UserError(next(iter(untrue.values())))
    done = {(record.kernel, record.repeat) for record in records} | damaged.keys()
    done |= set(head.ending.left_out if head and head.ending else ())  # nothing was to come of these any more
    missing = tuple(process for process in (plan.order if plan else ()) if process not in done)
    problems = _interrupted(missing, plan, head is not None and head.cut_off)
    doubts = tuple(map(untrusted.clean_text, consistency.contradictions(plan, head, records)))
    beside = _roofs(path)
    return Run(
        path,
        plan,
        environment,
        tuple(records),
        missing,
        problems,
        head.ending if head else None,
        damaged=(*damaged.values(), *beside["damaged"]),
        roofs=beside["roofs"],
        resumed=head.resumed if head else (),
        contradictions=doubts,
    )


def _records(folder: Path, names: Sequence[str]) -> tuple[list[Record], dict[tuple[str, int], str]]:
    """Read records; return those that can be read, and by (kernel, repeat) what is wrong with the others.

    Raises UserError for a file that has not the name of a record and is none.
    """
    records, damaged = [], {}
    for name in names:
        try:
            records.append(read(folder / name))
        except UserError as error:
            if (named := RECORD_FILE.fullmatch(name)) is None:
                raise
            damaged[named[1], int(named[2])] = untrusted.clean_text(str(error))
    return records, damaged


def _roofs(folder: Path) -> dict[str, Any]:
    """Return what was measured of the machine, as fields of `Run`."""
    path = folder / ROOFS_FILE
    try:
        roofs = untrusted.read(path, RoofsFile).mlpbench if os.path.lexists(path) else None
    except UserError as error:
        return {"roofs": None, "damaged": (untrusted.clean_text(str(error)),)}
    return {"roofs": roofs, "damaged": ()}


def _children(sweep: Path, labels: list[str]) -> list[Path]:
    """Return the folders of a sweep, in the order of its labels. Raises UserError where they are others than these."""
    there = {path.name: path for path in sorted(sweep.iterdir()) if not path.name.startswith(".")}
    folders = {name: path for name, path in there.items() if path.is_dir()}
    foreign = [path for name, path in folders.items() if name not in labels]
    foreign += [path for name, path in there.items() if path.suffix == ".json" and name != PLAN_FILE]
    if foreign:
        raise UserError(f"{foreign[0]}: belongs to no setting of this sweep ({', '.join(labels)}); take it away")
    if gone := [label for label in labels if label not in folders]:
        raise UserError(f"{sweep}: the setting {gone[0]} of this sweep is missing; name the others one by one")
    return [folders[label] for label in labels]


def _interrupted(missing: tuple[tuple[str, int], ...], plan: Plan | None, cut_off: bool) -> tuple[str, ...]:
    if plan is None or not missing:
        said = "interrupted: it stopped before its intervals were narrow enough or its time was spent"
        return (said,) if cut_off else ()
    names = ", ".join(f"{kernel} {repeat + 1}" for kernel, repeat in missing[:6])
    more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
    return (f"interrupted: {len(missing)} of {len(plan.order)} processes have no record: {names}{more}",)


_STAMP = re.compile(r"\d{8}T\d{6}Z")


def find_runs(results_dir: Path) -> list[Path]:
    """Return the folders of all runs, ``<results_dir>/<machine>/<run>``, newest first by the stamp in their names."""
    if not results_dir.is_dir():
        return []
    folders = {file.parent for file in results_dir.glob("*/*/*.json") if not file.name.startswith(".")}
    return sorted(folders, key=lambda folder: (bool(_STAMP.match(folder.name)), folder.name), reverse=True)


def latest(results_dir: Path, here: str | None = None) -> Path:
    """Return the newest run of machine ``here`` that has ended and has repeats. Raises UserError if there is none.

    Where there is none, the newest that has ended, or any; a machine without runs has those of the others.
    """
    if not (runs := find_runs(results_dir)):
        raise UserError(f"no runs in {results_dir}: `mlpbench run` makes one")
    ours = [run for run in runs if run.parent.name == here] or runs
    ended = [run for run in ours if _not_ended(run) is None]
    return next((run for run in ended if _has_repeats(run)), (ended or ours)[0])


def previous(run: Path) -> Path | None:
    """Return the newest run of the same machine, older than a run, that has ended and has repeats; None for none."""
    older = (other for other in find_runs(run.parent.parent) if other.parent == run.parent and other.name < run.name)
    return next((other for other in older if _not_ended(other) is None and _has_repeats(other)), None)


def note_on_latest(results_dir: Path, here: str) -> str | None:
    """Say of the run that `latest` returns that it came with mlpbench, or why it is not the newest."""
    runs, taken = find_runs(results_dir), latest(results_dir, here)
    reference = results_dir / REFERENCE_FILE
    listed = untrusted.read_bytes(reference).decode(errors="replace").split() if reference.is_file() else []
    if taken.parent.name != here and (name := f"{taken.parent.name}/{taken.name}") in listed:
        return f"latest is {name}, a reference run: there is none of this machine yet, `mlpbench run` makes one"
    newest = next(run for run in runs if run.parent == taken.parent)
    why = _not_ended(newest) or "has one repeat alone"
    return None if newest == taken else f"latest is {taken.name}: {newest.name} is newer, and {why}; name it to see it"


def _not_ended(run: Path) -> str | None:
    """Return why a run did not come to its end, as far as its header can be read; None for one that did."""
    try:
        head = _head(run)
    except UserError:  # told when it is read
        return None
    if head is None:
        return None
    if head.ending is not None:
        return "was interrupted" if head.ending.interrupted else None
    if isinstance(head, SweepHead):
        return next(filter(None, (_not_ended(run / label) for label in head.labels)), None)
    if head.plan.budget_s is None and all((run / f"{name}.{k}.json").is_file() for name, k in head.plan.order):
        return None
    return "has not ended: it still runs, or was killed"


def _has_repeats(run: Path) -> bool:
    """Whether a run has more than one repeat: one, as that of the profile smoke, gives no interval."""
    try:
        head = _head(run)
    except UserError:  # told when it is read
        return True
    if head is None:
        return run.is_dir() and len(list(run.glob("*.1.json"))) > 0
    return (head if isinstance(head, SweepHead) else head.plan).repeats != 1


def resolve(argument: str, results_dir: Path, here: str | None = None) -> Path:
    """Return the folder or file of a run as people name it; ``here`` is this machine.

    ``argument`` is a path, ``latest``, a run's name, or the beginning or end of one (the end is its commit); behind any
    of these, ``/<label>`` is one setting of a sweep, as is the name of its run, ``<sweep>.<label>``. Raises UserError
    that lists the candidates of an ambiguous name, or suggests the nearest one.
    """
    if argument == "latest":
        return latest(results_dir, here)
    for path in (values.home(Path(argument)), results_dir / argument):
        if argument.strip() and _exists(path):
            return path
    runs = find_runs(results_dir)
    if (setting := _setting(argument, runs, results_dir, here)) is not None:
        return setting
    exact = [run for run in runs if run.name == argument]
    found = exact or [run for run in runs if argument and run.name.startswith(argument)]
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


def _setting(argument: str, runs: list[Path], results_dir: Path, here: str | None) -> Path | None:
    """Return the folder of one setting of a sweep, None where no sweep is named before its label."""
    sweep, slash, label = argument.rpartition("/")
    if not slash:
        named = [run for run in runs if argument.startswith(f"{run.name}.")]
        return _below(named[0], argument.removeprefix(f"{named[0].name}.")) if named else None
    if not sweep or not NAME.fullmatch(label):
        return None
    try:
        folder = resolve(sweep, results_dir, here)
    except UserError:  # told about the whole argument
        return None
    return _below(folder, label) if folder in runs or _exists(folder / PLAN_FILE) else None


def _below(sweep: Path, label: str) -> Path:
    with user_error(f"{sweep}: cannot be read"):
        labels = sorted(path.name for path in sweep.iterdir() if path.is_dir() and not path.name.startswith("."))
    if label not in labels:
        there = f"it has {', '.join(labels)}" if labels else "it is a run of one"
        raise UserError(f"no setting {label!r} in {sweep.name}; {there}")
    return sweep / label


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()  # one that leads nowhere is told when it is read
    except OSError:  # a name too long, or a folder that may not be looked into
        return False
