"""A folder for temporary files: it goes with its block, or with us, and so does whatever was started in it.

Each folder has a guard: this module as a program with a session of its own. It waits at the other end of a pipe, which
the system closes whatever ends us, and then does what we would have done. It imports nothing of ours, and so starts in
milliseconds. Processes are known by the variable TMPDIR, which they hand on to all that they start.
"""

import fcntl
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

#: Whatever interpreter measures, this one guards.
_PYTHON = sys.executable
_TEMPORARY = "TMPDIR"
_PREFIX = "mlpbench-tmp-"


class Scratch:
    """A ``folder`` for temporary files, and the pipe to its guard."""

    def __init__(self, folder: Path, guard: IO[bytes] | None) -> None:
        self.folder, self._guard = folder, guard

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a process that is started in the folder."""
        return {**environ, _TEMPORARY: str(self.folder)}

    def watch(self, group: int) -> None:
        """Let the guard end a process group, too: macOS shows nobody the variables of a process."""
        with suppress(BrokenPipeError):  # somebody has ended the guard
            if self._guard is not None:
                self._guard.write(b"%d\n" % group)


@contextmanager
def scratch() -> Iterator[Scratch]:
    """Make a folder for temporary files; the first call removes what a kill has left. Raises OSError."""
    import subprocess  # here, because a guard needs neither
    import tempfile

    temporary = Path(tempfile.gettempdir())
    _sweep(temporary)
    folder = temporary / f"{_PREFIX}{os.urandom(8).hex()}"
    with subprocess.Popen(
        [_PYTHON, "-I", "-S", __file__, str(folder)],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as guard:
        lock = None
        try:
            lock = _make(folder)
            yield Scratch(folder, guard.stdin)
        finally:
            _clean(folder)
            if lock is not None:
                os.close(lock)
            guard.kill()


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose temporary files lie in a folder, in whatever session (Linux; elsewhere none)."""
    mark, numbers = f"{_TEMPORARY}={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # somebody else's, or it has just ended
            if any(entry == mark or entry.startswith(mark + b"/") for entry in path.read_bytes().split(b"\0")):
                numbers.append(int(path.parent.name))
    return numbers


def kill(numbers: Iterable[int]) -> None:
    """Kill processes; one that has ended is none."""
    for number in numbers:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(number, signal.SIGKILL)


def kill_group(number: int) -> bool:
    """Kill a process and all of its group, also what has outlived it; return whether anything was there."""
    try:
        os.killpg(number, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _clean(folder: Path, groups: Iterable[int] = (), least_scans: int = 1) -> None:
    """End what works in a folder, and remove it."""
    for scan in range(50):  # killed processes are gone within a moment; one that is stuck in a driver may never be
        groups = [group for group in groups if kill_group(group)]
        kill(numbers := processes_in(folder))
        if scan + 1 >= least_scans and not numbers and not groups:
            break
        threading.Event().wait(0.1)
    for path in (folder, _hidden(folder)):
        shutil.rmtree(path, ignore_errors=True)


def _hidden(folder: Path) -> Path:
    """Return what a folder is called before it is locked."""
    return folder.with_name(f".{folder.name}")


def _make(folder: Path) -> int:
    """Make a folder of ours, which appears when it is locked; return the lock."""
    hidden = _hidden(folder)
    hidden.mkdir(mode=0o700)
    lock = os.open(hidden, os.O_RDONLY)
    with suppress(OSError):  # a file system that knows no locks
        fcntl.flock(lock, fcntl.LOCK_EX)
    hidden.rename(folder)
    return lock


@cache
def _sweep(temporary: Path) -> None:
    """Remove the folders of our user that no living process has locked. Links are not followed."""
    for path in temporary.glob(_PREFIX + 16 * "[0-9a-f]"):
        with suppress(OSError):  # a link, somebody else's, or in use
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _guard(folder: Path) -> None:
    """Read the groups that are started until the pipe is closed; then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = []
    for line in sys.stdin.buffer:
        with suppress(ValueError):  # cut off in the middle of a line
            groups.append(int(line))
    _clean(folder, groups, least_scans=5)  # one that was just being started does not have its variables yet


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
