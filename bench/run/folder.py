"""The folder of a run, or of a sweep over several settings with one for each: opened with its plan, closed at its end.

With one setting the folder is the run's own.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.machine import environment
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.sweep import Part, Sweep
from mlpbench.bench.record import untrusted
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.plan import Computed, Ending, PlanHead, RunFile, SweepHead
from mlpbench.bench.record.runs import PLAN_FILE, RECORD_FILE
from mlpbench.bench.record.write import write_atomically
from mlpbench.bench.run import seal
from mlpbench.bench.words import things


def open_folders(results: Path, sweep: Sweep, below: str = "") -> tuple[Path, list[Path]]:
    """Make the folder of a sweep among the results of this machine, and one for each of its settings, with its plan.

    Return both; with one setting they are the same. ``below``: a folder of the machine to put them in. Raises UserError
    where that cannot be written, or is there.
    """
    folder = results / environment.machine_id() / below / sweep.plan.run_id
    folders = [folder / part.setting.label for part in sweep.parts] if sweep.several else [folder]
    with user_error(f"cannot write results to {results}", "; choose another folder with --results"):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise UserError(f"{folder} is there already and is not overwritten: choose another --results") from None
        for child in folders:
            child.mkdir(exist_ok=True)
    for child, part in zip(folders, sweep.parts, strict=True):
        write_head(child, _head(part), part.env.environment if part.env else None)
    if sweep.several:  # last: a sweep with a header has all its settings
        ways = ((sweep.find(name)[1], name, repeat) for name, repeat in sweep.plan.order)
        order = tuple((part.setting.label, part.names[name], repeat) for part, name, repeat in ways)
        settings = tuple(part.setting for part in sweep.parts)
        head = SweepHead(run_id=sweep.plan.run_id, settings=settings, order=order)
        write_atomically(folder / PLAN_FILE, RunFile(head))
    return folder, folders


def _head(part: Part) -> PlanHead:
    _, (*_, data, _), (_, weights) = part.workload.facts()
    computed = Computed(vars(part.workload.options), part.workload.rows, data, weights)
    return PlanHead(plan=part.plan, computed=computed)


def write_head(folder: Path, head: PlanHead, there: Environment | None = None) -> None:
    """Write ``run.json`` of a run; ``there``: the environment that is measured, None for our own."""
    head = replace(head, environment=there or environment.collect())
    if seal.trouble() is None:
        as_read = untrusted.decode(msgspec.json.encode(RunFile(head)), folder / PLAN_FILE, RunFile).mlpbench
        assert isinstance(as_read, PlanHead)  # noqa: S101 - as it was written
        head = replace(head, seal=seal.make(*_started(as_read)))
    write_atomically(folder / PLAN_FILE, RunFile(head))


def is_ours(head: PlanHead) -> bool:
    """Return whether this user's mlpbench started a run. Raises UserError for a key that others may know."""
    return seal.fits(head.seal, *_started(head))


def _started(head: PlanHead) -> tuple[object, ...]:
    """Return what is started, imported, opened or given to pytest when a run is resumed."""
    plan, options = head.plan, head.computed and head.computed.options
    return "run", plan.run_id, plan.command, plan.kernels, plan.clock, plan.files, plan.env, options


@contextmanager
def held(folder: Path, command: str = "run") -> Iterator[None]:
    """Keep others from going on with a run while this process does. Raises UserError where another process does.

    The system forgets it when this process ends, however it ends. No file is made for it. An error that ends the run,
    as a full disk does, says how much of it is kept, and that ``command`` goes on with it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that knows no locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{folder}: another process goes on with this run: wait for its end") from None
        try:
            yield
        except UserError as error:
            kept = sum(RECORD_FILE.fullmatch(path.name) is not None for path in folder.rglob("*.json"))
            told = f"{things(kept, 'record')} {'is' if kept == 1 else 'are'} kept in {folder}"
            raise UserError(f"{error}; {told}, and `mlpbench {command} --resume` goes on") from None
    finally:
        os.close(handle)


def close(sweep: Sweep, folder: Path, folders: Sequence[Path], effort: Effort, *, interrupted: bool) -> None:
    """Add to ``run.json`` how the sweep ended, as a whole and in each of its settings."""
    whole = effort.ending(interrupted=interrupted)
    endings = {folder: whole}
    if sweep.several:
        endings = {
            child: effort.ending(interrupted=interrupted, kernels=part.names)
            for child, part in zip(folders, sweep.parts, strict=True)
        }
        endings[folder] = Ending(spent_s=whole.spent_s, interrupted=interrupted, ended=whole.ended)
    for path, ending in ((child / PLAN_FILE, ending) for child, ending in endings.items()):
        head = untrusted.read(path, RunFile).mlpbench
        write_atomically(path, RunFile(replace(head, ending=ending)), replace=True)
