"""The folder of a run: made before anything is measured, with the plan in it; closed with how the run ended.

A seal is what only this user's mlpbench can have written, so that no file of somebody else says what is started: a
keyed hash, HMAC-SHA-256, whose key lies in the user's state folder, where nobody else can read it.
"""

import fcntl
import hmac
import os
import secrets
import tempfile
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
from mlpbench.bench.words import things
from mlpbench.kernels.files import read_ordinary

_KEY_BYTES = 32


def make_seal(*content: object) -> str:
    """Return the seal of what JSON can hold. Raises UserError where this user can keep no key."""
    return _seal(_key(new=True), content)


def seal_fits(seal: str | None, *content: object) -> bool:
    """Return whether this user's mlpbench has sealed that. Raises UserError for a key that others may know."""
    key = _key(new=False)
    return bool(seal and key) and hmac.compare_digest(_seal(key, content).encode(), str(seal).encode())


def no_seal() -> str | None:
    """Return why nothing can be sealed, None where it can."""
    try:
        _key(new=True)
    except UserError as error:
        return str(error)
    return None


def is_private(path: Path) -> bool:
    """Return whether a file or folder is there, is this user's and closed to all others. A link never is."""
    with suppress(OSError):
        status = path.lstat()
        return status.st_uid == os.getuid() and not status.st_mode & 0o077
    return False


def _seal(key: bytes, content: tuple[object, ...]) -> str:
    return hmac.digest(key, msgspec.json.encode(content, order="deterministic"), "sha256").hex()


def _key(*, new: bool) -> bytes:
    """Return the key, made where there is none and ``new``, else empty. Of two made at once, the first one stays."""
    path = _state_folder() / "key"
    with user_error(f"{path}: no key can be kept that marks runs as yours", "; XDG_STATE_HOME names another folder"):
        if new and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent) as partial:  # mode 600
                partial.write(secrets.token_bytes(_KEY_BYTES))
                partial.flush()
                with suppress(FileExistsError):
                    os.link(partial.name, path)
        if not path.exists():
            return b""
        key = read_ordinary(path, 2**10)
    if len(key) != _KEY_BYTES or not is_private(path):
        raise UserError(f"{path}: the key that marks runs as yours is damaged, or not yours alone: remove it")
    return key


def _state_folder() -> Path:
    """Return mlpbench's folder for what is kept between runs; an empty or relative variable counts as none."""
    named = Path(os.environ.get("XDG_STATE_HOME", "").strip())
    try:
        return (named if named.is_absolute() else Path.home() / ".local" / "state") / "mlpbench"
    except RuntimeError as error:
        raise UserError(f"{error} Name a state folder with XDG_STATE_HOME") from None


def open_folders(results: Path, sweep: Sweep) -> tuple[Path, list[Path]]:
    """Make the folder of a sweep among the results of this machine, and one for each of its settings, with its plan.

    Return both; with one setting they are the same. Raises UserError where that cannot be written, or is there.
    """
    folder = results / environment.machine_id() / sweep.plan.run_id
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
    if no_seal() is None:
        as_read = untrusted.decode(msgspec.json.encode(RunFile(head)), folder / PLAN_FILE, RunFile).mlpbench
        assert isinstance(as_read, PlanHead)  # noqa: S101 - as it was written
        head = replace(head, seal=make_seal(*_started(as_read)))
    write_atomically(folder / PLAN_FILE, RunFile(head))


def is_ours(head: PlanHead) -> bool:
    """Return whether this user's mlpbench started a run. Raises UserError for a key that others may know."""
    return seal_fits(head.seal, *_started(head))


def _started(head: PlanHead) -> tuple[object, ...]:
    """Return what is started, imported, opened or given to pytest when a run is resumed."""
    plan, options = head.plan, head.computed and head.computed.options
    return "run", plan.run_id, plan.command, plan.kernels, plan.clock, plan.files, plan.env, options


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from going on with a run while this process does. Raises UserError where another process does.

    The system forgets it when this process ends, however it ends. No file is made for it. An error that ends the run,
    as a full disk does, says how much of it is kept, and how it goes on.
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
            raise UserError(f"{error}; {told}, and `mlpbench run --resume` goes on") from None
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
