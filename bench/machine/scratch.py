"""A folder for temporary files: it goes with its block, and so does whatever still runs in it.

Processes are known by the variable TMPDIR, which they hand on to all that they start. What a kill of mlpbench leaves
behind, the next mlpbench ends and removes.
"""

import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from mlpbench.bench.errors import user_error

#: The variable of the folder for temporary files.
VARIABLE = "TMPDIR"
_PREFIX = "mlpbench-tmp-"


@contextmanager
def scratch(room_bytes: int = 0) -> Iterator[Path]:
    """Make a folder for temporary files. Raises UserError where there is no room for so many bytes.

    It appears when it is locked: one without a lock is what a kill has left.
    """
    folder, lock = None, None
    try:
        with user_error("no room for temporary files", "; make some there, or name another folder with TMPDIR"):
            _sweep(tempfile.gettempdir())
            folder = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # a file system that knows no locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            folder = folder.rename(folder.with_name(folder.name[1:]))
            room = folder / "room"
            room.write_bytes(bytes(room_bytes))
            room.unlink()
        yield folder
    finally:
        if folder is not None:
            _remove(folder)
        if lock is not None:
            os.close(lock)


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose temporary files lie in a folder, in whatever session (Linux; elsewhere none)."""
    mark, numbers = f"{VARIABLE}={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # somebody else's, or it has just ended
            if any(entry == mark or entry.startswith(mark + b"/") for entry in path.read_bytes().split(b"\0")):
                numbers.append(int(path.parent.name))
    return numbers


def kill_all_in(folder: Path) -> int:
    """Kill the processes of a folder; return how many there were."""
    numbers = processes_in(folder)
    for number in numbers:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(number, signal.SIGKILL)
    return len(numbers)


def _remove(folder: Path) -> None:
    """End what works in a folder, and remove it."""
    for _ in range(50):  # killed processes are gone within a moment; one that is stuck in a driver may never be
        if not kill_all_in(folder):
            break
        threading.Event().wait(0.1)
    shutil.rmtree(folder, ignore_errors=True)


@cache
def _sweep(temporary: str) -> None:
    """Remove the folders of our user that no living process has locked. Links are not followed."""
    for path in Path(temporary).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # a link, somebody else's, or in use
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(path)
            finally:
                os.close(lock)
