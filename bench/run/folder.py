"""The folder of a run: made before anything is measured, with the plan in it; closed with how the run ended."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from mlpbench.bench.data.workload import Workload
from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.machine import environment, identity
from mlpbench.bench.record import untrusted
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.plan import Computed, Ending, Plan, PlanHead, RunFile, SweepHead
from mlpbench.bench.record.runs import PLAN_FILE
from mlpbench.bench.record.write import write_atomically
from mlpbench.bench.run import seal


def open_run(
    results: Path, plan: Plan, workload: Workload | None = None, below: str = "", there: Environment | None = None
) -> Path:
    """Make the folder of a run, with the plan in it; ``below`` is a folder of its machine to put it in.

    ``workload``: what it computes; without it, the run cannot be resumed. ``there``: the environment that is measured,
    None for our own. Raises UserError where that cannot be written.
    """
    folder = make_folder(results, Path(below) / plan.run_id)
    write_head(folder, PlanHead(plan=plan, computed=computed(workload) if workload else None), there)
    return folder


def computed(workload: Workload) -> Computed:
    """Return what a workload computes, as a file holds it."""
    _, (*_, data, _), (_, weights) = workload.facts()
    return Computed(workload.options.texts(), workload.rows, data, weights)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from going on with a run while this process does. Raises UserError where another process does.

    The system forgets it when this process ends, however it ends. No file is made for it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that knows no locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{folder}: another process goes on with this run: wait for its end") from None
        yield
    finally:
        os.close(handle)


def make_folder(results: Path, name: Path | str) -> Path:
    """Make a new folder among the results of this machine. Raises UserError where that is not possible."""
    folder = results / identity.machine_id() / name
    with user_error(f"cannot write results to {results}", "; choose another folder with --results"):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise UserError(f"{folder} is there already and is not overwritten: choose another --results") from None
    return folder


def write_head(folder: Path, head: PlanHead | SweepHead, there: Environment | None = None) -> None:
    """Write ``run.json`` of a run, or of a sweep; ``there``: the environment measured, None for our own."""
    if isinstance(head, PlanHead):
        head = replace(head, environment=there or environment.collect())
        if seal.trouble() is None:
            as_read = untrusted.decode(msgspec.json.encode(RunFile(head)), folder / PLAN_FILE, RunFile).mlpbench
            head = replace(head, seal=seal.make(*_started(as_read)))
    write_atomically(folder / PLAN_FILE, RunFile(head))


def is_ours(head: PlanHead) -> bool:
    """Return whether this user's mlpbench started a run. Raises UserError for a key that others may know."""
    return seal.fits(head.seal, *_started(head))


def _started(head: PlanHead | SweepHead) -> tuple[object, ...]:
    """Return what is started, imported, opened or given to pytest when a run is resumed."""
    assert isinstance(head, PlanHead), "a sweep starts nothing but its settings"  # noqa: S101
    plan = head.plan
    options = head.computed and head.computed.options
    return "run", plan.run_id, plan.command, plan.kernels, plan.clock, plan.files, plan.env, options


def close_run(folder: Path, ending: Ending) -> None:
    """Add to ``run.json`` how the run, or the sweep, ended."""
    path = folder / PLAN_FILE
    head = untrusted.read(path, RunFile).mlpbench
    write_atomically(path, RunFile(replace(head, ending=ending)), replace=True)
