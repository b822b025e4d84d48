"""Result files: written once, read back whole, refused with one clear line where they are not what they should be.

A run is a folder ``results/<machine>/<UTC stamp>-<commit8>`` with ``run.json`` (its plan) and one record for each
process, ``<kernel>.<repeat>.json``. Folders are only ever listed: nothing that a file says becomes part of a path.
What the files hold is in `bench.schema`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import write_atomically
from bench.ending import Ending, read_ending, was_cut_off
from bench.errors import UserError
from bench.schema import (
    SCHEMA,
    Accuracy,
    Data,
    Failure,
    Plan,
    Record,
    Skipped,
    Timing,
    Weights,
    block_of,
    read_plan,
    read_record,
)
from bench.untrusted import load, machine_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SCHEMA",
    "Accuracy",
    "Data",
    "Failure",
    "Plan",
    "Record",
    "Run",
    "Skipped",
    "Timing",
    "Weights",
    "find_runs",
    "latest",
    "read",
    "read_run",
    "resolve",
    "validate",
    "write_atomically",
]

PLAN_FILE = "run.json"
#: The machine's limits, measured at the run's start (`bench.roofs`, read by `bench.evidence`): no record either.
ROOFS_FILE = "roofs.json"
_STAMP = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Run:
    """One invocation. ``path`` is its folder, or the one file that was named.

    ``missing`` holds the (kernel, repeat) that were planned and have no record, ``problems`` what is to be said about
    the run as a whole, ``ending`` how it ended (None if nobody could write that any more). A run may have no records
    at all; ``plan`` is None for a file that pytest wrote by hand.
    """

    path: Path
    plan: Plan | None
    environment: Mapping[str, Any]
    records: tuple[Record, ...]
    missing: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()
    ending: Ending | None = None

    @property
    def id(self) -> str:
        """The run's name: UTC stamp and commit."""
        return self.plan.run_id if self.plan else self.path.stem

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
    names = [name for name in names if name != ROOFS_FILE]
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

    ``argument`` is a path, ``latest``, a run's name, or the beginning or end of one (the end is its commit). Raises
    UserError that lists the candidates of an ambiguous name, or suggests the nearest one.
    """
    if argument == "latest":
        return latest(results_dir)
    for path in (Path(argument).expanduser(), results_dir / argument):
        if argument.strip() and _exists(path):
            return path
    runs = find_runs(results_dir)
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


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long, or a folder that may not be looked into
        return False


def _header(path: Path) -> tuple[Plan | None, Mapping[str, Any], Ending | None, bool]:
    block = block_of(load(path), path)
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


def _newest(runs: list[Path], results_dir: Path) -> str:
    return f"the newest is {runs[0].name}" if runs else f"no runs in {results_dir}: `mlpbench run` makes one"
