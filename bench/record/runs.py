"""Result files: written once, read back whole, refused with one clear line where they are not what they should be.

A run is a folder ``results/<machine>/<UTC stamp>-<commit8>`` with ``run.json`` (its plan) and one record for each
process, ``<kernel>.<repeat>.json``. A sweep over several settings is such a folder with a header instead, and a run in
a folder of its own for each setting. Folders are only ever listed: nothing that a file says becomes part of a path.
What the files hold is in `bench.record.schema` and `bench.record.plan`; how people name runs, in `bench.record.runs`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.bench.cases import Setting
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.ending import Ending, read_ending, was_cut_off
from mlpbench.bench.record.plan import Plan, Skipped, SweepHeader, read_header, read_plan
from mlpbench.bench.record.schema import Failure, Record, block_of, read_record
from mlpbench.bench.record.untrusted import NAME, load, machine_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


PLAN_FILE = "run.json"
#: What the plan file of a sweep over several settings says that it is.
SWEEP = "sweep"
#: The machine's limits, measured at the run's start (`bench.machine.roofs`, read by `bench.analysis.evidence`): no record either.
ROOFS_FILE = "roofs.json"
#: The same within a repeat, by its number (read by `bench.analysis.evidence`). A record's name has two dots.
ROOFS_OF_REPEAT = re.compile(r"roofs-(\d{1,5})\.json")


@dataclass(frozen=True)
class Run:
    """One invocation. ``path`` is its folder, or the one file that was named.

    ``missing`` holds the (kernel, repeat) that were planned and have no record, ``problems`` what is to be said about
    the run as a whole, ``ending`` how it ended (None if nobody could write that any more). A run may have no records
    at all; ``plan`` is None for a file that pytest wrote by hand. ``shown``: what tables call it instead of its id.
    """

    path: Path
    plan: Plan | None
    environment: Mapping[str, Any]
    records: tuple[Record, ...]
    missing: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()
    ending: Ending | None = None
    shown: str | None = None

    @property
    def id(self) -> str:
        """The run's name: UTC stamp and commit."""
        return self.plan.run_id if self.plan else self.path.stem

    @property
    def name(self) -> str:
        """What tables call the run: its id, or among others of its sweep the words of its setting (`named`)."""
        return self.shown or self.id

    @property
    def title(self) -> str:
        """The same as the beginning of a sentence."""
        return f"The run with {self.shown}" if self.shown else f"Run {self.id}"

    @property
    def setting(self) -> Setting | None:
        """Network, threads and dtype; of an ordinary run they are those of its records. None if nothing says them."""
        if self.plan and self.plan.setting:
            return self.plan.setting
        threads = (self.plan.threads if self.plan else None) or (self.records[0].threads if self.records else None)
        if not self.records or threads is None:
            return None
        return Setting(self.records[0].spec.label(), threads, self.records[0].spec.dtype)

    @property
    def machine(self) -> str:
        """The machine's name, from its processor."""
        return machine_name(self.environment)

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels of which there is a record, in the plan's order."""
        found = dict.fromkeys(record.kernel for record in self.records)
        return tuple(sorted(found, key=lambda name: _place(name, self.plan)))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The kernels that the run left out."""
        return self.plan.skipped if self.plan else ()

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What has no time, once for each repeat in which it failed."""
        return tuple(failure for record in self.records for failure in record.failures)


def validate(data: Any, path: Path) -> Record:
    """Return the record in the JSON of a file. Raises UserError as `read`."""
    return read_record(data, path)


def read(path: Path) -> Record:
    """Read one record.

    Raises UserError, one line that begins with the path: missing, empty, cut off, not JSON, no record, of a newer
    schema, or with content of the wrong type or range. Control characters in texts are removed.
    """
    return read_record(load(path), path)


def read_run(path: Path) -> Run:
    """Read a run's folder, or one record as a run of its own.

    An interrupted run is read as far as it came. Raises UserError as `read` for any damaged file in the folder,
    rather than leave it out, and for a folder without a run.
    """
    if not path.is_dir():
        record = read(path)
        return Run(path, record.plan, record.environment, (record,))
    names = sorted(file.name for file in path.glob("*.json") if not file.name.startswith("."))
    names = [name for name in names if name != ROOFS_FILE and not ROOFS_OF_REPEAT.fullmatch(name)]
    if not names:
        raise UserError(f"{path}: no run in this folder: it has no {PLAN_FILE} and no record")
    records = [read(path / name) for name in names if name != PLAN_FILE]
    ending, cut_off = None, False
    if PLAN_FILE in names:
        plan, environment, ending, cut_off = _header(path / PLAN_FILE)
    else:
        plan, environment = records[0].plan, records[0].environment
    records.sort(key=lambda record: (record.repeat, _place(record.kernel, plan), record.kernel))
    for record in records:
        _belongs(record, plan, records[0])
    done = {(record.kernel, record.repeat) for record in records}
    missing = tuple(process for process in (plan.order if plan else ()) if process not in done)
    return Run(path, plan, environment, tuple(records), missing, _interrupted(missing, plan, cut_off), ending)


def read_runs(path: Path) -> list[Run]:
    """Read a run, or all runs of a sweep over several settings, in the order of its header.

    Raises UserError as `read_run`; so does a sweep in which a setting is missing, or lies in the place of another.
    """
    header_file = path / PLAN_FILE
    try:
        headed = header_file.is_file()
    except OSError:  # a folder that may not be looked into: told below
        headed = False
    if not headed:
        return [read_run(path)]
    block = block_of(load(header_file), header_file)
    if block.data.get("kind") != SWEEP:
        return [read_run(path)]
    header = read_header(block.block("sweep"))
    runs = [read_run(child) for child in _children(path, [setting.label for setting in header.settings])]
    for run, setting in zip(runs, header.settings, strict=True):
        _belongs_to_sweep(run, header, setting)
    return runs


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


def _belongs_to_sweep(run: Run, header: SweepHeader, setting: Setting) -> None:
    """Refuse a folder that was renamed, or that is of another sweep, or whose records are of another setting."""
    name, plan = f"{header.run_id}.{setting.label}", run.plan
    if plan is None or (plan.run_id, plan.sweep, plan.setting, plan.threads) != (
        name,
        header.run_id,
        setting,
        setting.threads,
    ):
        raise UserError(f"{run.path}: holds {run.id}, not {name}: it was renamed or copied; take it away")
    for record in run.records[:1]:  # all others are of the same network
        if (record.spec.label(), record.spec.dtype) != (setting.spec, setting.dtype):
            told = f"{record.spec.label()} {record.spec.dtype}"
            raise UserError(f"{record.path}: is of {told}, not of the setting {setting.label}; take it away")


def named(runs: Sequence[Run]) -> list[Run]:
    """Return the runs as tables name them: those of one sweep by their settings, any others by their ids."""
    plans = [run.plan for run in runs]
    if len(runs) < 2 or len({(run.machine, run.plan and run.plan.sweep) for run in runs}) > 1:
        return list(runs)
    words = [plan.setting.words if plan and plan.setting else None for plan in plans]
    if len(set(words)) < len(runs):  # a run named twice, too
        return list(runs)
    return [replace(run, shown=word) for run, word in zip(runs, words, strict=True)]


def _header(path: Path) -> tuple[Plan | None, Mapping[str, Any], Ending | None, bool]:
    block = block_of(load(path), path)
    if block.data.get("kind") == SWEEP:
        labels = ", ".join(setting.label for setting in read_header(block.block("sweep")).settings)
        one = f"name one of them, as {path.parent.name}/LABEL ({labels})"
        raise UserError(f"{path.parent}: a sweep over several settings: {one}")
    ending = read_ending(block)
    return read_plan(block.block("plan")), block.block("environment").data, ending, was_cut_off(block, ending)


def _place(kernel: str, plan: Plan | None) -> int:
    """Return where the plan lists a kernel: the order in which people named or know them."""
    planned = plan.kernels if plan else ()
    return planned.index(kernel) if kernel in planned else len(planned)


def _belongs(record: Record, plan: Plan | None, first: Record) -> None:
    """Refuse a file that was renamed, or that is of another run."""
    name = f"{record.kernel}.{record.repeat}.json"
    if record.path.name != name:
        raise UserError(f"{record.path}: holds what belongs in {name}: it was renamed or copied; take it away")
    if (record.plan and record.plan.run_id) != (plan and plan.run_id):
        ran = record.plan.run_id if record.plan else "pytest by hand"
        raise UserError(f"{record.path}: belongs to another run ({ran}); take it away, or name it by itself")
    if (record.spec, record.data, record.weights) != (first.spec, first.data, first.weights):
        raise UserError(f"{record.path}: other specification, data or weights than {first.path.name}; take it away")


def _interrupted(missing: tuple[tuple[str, int], ...], plan: Plan | None, cut_off: bool) -> tuple[str, ...]:
    if plan is None or not missing:
        said = "interrupted: it stopped before its intervals were narrow enough or its time was spent"
        return (said,) if cut_off else ()
    names = ", ".join(f"{kernel} {repeat}" for kernel, repeat in missing[:6])
    more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
    return (f"interrupted: {len(missing)} of {len(plan.order)} processes have no record: {names}{more}",)


_STAMP = re.compile(r"\d{8}T\d{6}Z")


def find_runs(results_dir: Path) -> list[Path]:
    """Return the folders of all runs, ``<results_dir>/<machine>/<run>``, newest first by the stamp in their names."""
    if not results_dir.is_dir():
        return []
    folders = {file.parent for file in results_dir.glob("*/*/*.json") if not file.name.startswith(".")}
    return sorted(folders, key=lambda folder: (bool(_STAMP.match(folder.name)), folder.name), reverse=True)


def latest(results_dir: Path) -> Path:
    """Return the folder of the newest run. Raises UserError if there is none."""
    runs = find_runs(results_dir)
    if not runs:
        raise UserError(f"no runs in {results_dir}: `mlpbench run` makes one")
    return runs[0]


def resolve(argument: str, results_dir: Path) -> Path:
    """Return the folder or file of a run as people name it.

    ``argument`` is a path, ``latest``, a run's name, or the beginning or end of one (the end is its commit); behind any
    of these, ``/<label>`` is one setting of a sweep, as is the name of its run, ``<sweep>.<label>``. Raises UserError
    that lists the candidates of an ambiguous name, or suggests the nearest one.
    """
    if argument == "latest":
        return latest(results_dir)
    for path in (Path(argument).expanduser(), results_dir / argument):
        if argument.strip() and _exists(path):
            return path
    runs = find_runs(results_dir)
    if (setting := _setting(argument, runs, results_dir)) is not None:
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
    near = difflib.get_close_matches(argument, [run.name for run in runs], n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else _newest(runs, results_dir)
    raise UserError(f"no run, file or folder {argument!r}; {hint}")


def _setting(argument: str, runs: list[Path], results_dir: Path) -> Path | None:
    """Return the folder of one setting of a sweep, None where no sweep is named before its label."""
    sweep, slash, label = argument.rpartition("/")
    if not slash:
        named = [run for run in runs if argument.startswith(f"{run.name}.")]
        return _below(named[0], argument.removeprefix(f"{named[0].name}.")) if named else None
    if not sweep or not NAME.fullmatch(label):
        return None
    try:
        folder = resolve(sweep, results_dir)
    except UserError:  # told about the whole argument
        return None
    return _below(folder, label) if folder.is_dir() else None


def _below(sweep: Path, label: str) -> Path:
    try:
        labels = sorted(path.name for path in sweep.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"{sweep}: cannot be read: {error.strerror}") from None
    if label not in labels:
        there = f"it has {', '.join(labels)}" if labels else "it is a run of one"
        raise UserError(f"no setting {label!r} in {sweep.name}; {there}")
    return sweep / label


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long, or a folder that may not be looked into
        return False


def _newest(runs: list[Path], results_dir: Path) -> str:
    return f"the newest is {runs[0].name}" if runs else f"no runs in {results_dir}: `mlpbench run` makes one"
