"""The guard: a small process that ends what we have started, and removes our folders, where we end without doing so.

Nothing that a process means to do at its end is done where it is killed. The guard waits at the other end of a pipe,
which the system closes whatever ends us. It knows nothing of us but what was written into the pipe: the numbers of
process groups and the names of folders. It is a program of the standard library alone: it starts in a few milliseconds,
sleeps until then, and has a session of its own, so that what kills our group leaves it.
"""

import atexit
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

#: The variables in which a process, and whatever that starts, finds who has started it, and a name of its own.
PARENT, MARK = "MLPBENCH_PARENT", "MLPBENCH_MARK"
#: Whatever interpreter measures, this one guards.
_PYTHON = sys.executable
#: Killed processes are gone within a moment; one that is stuck in a driver may never be.
_LOOKS, _LOOK_S = 500, 0.01
_SCANS, _SCAN_S = 5, 0.1
#: What temporary folders are called, and the file in them that their process keeps locked for as long as it lives.
_FOLDER, _DIGITS, _LOCK = "mlpbench-", 16, "lock"


class Guard:
    """Our guard: it is started with the first thing to watch, and again where something has ended it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._watched: dict[tuple[str, str], None] = {}
        self._swept = False

    def watch_group(self, number: int) -> None:
        """Let the guard kill a process group where we end first."""
        self._note("group", str(number), watched=True)

    def release_group(self, number: int) -> None:
        """Forget a group, which we have ended ourselves."""
        self._note("group", str(number), watched=False)

    def kill_groups(self) -> None:
        """Kill what runs now: whoever waits for it in other threads comes back."""
        with self._lock:
            numbers = [int(name) for kind, name in self._watched if kind == "group"]
        for number in numbers:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(number, signal.SIGKILL)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a temporary folder, which goes with the block, or with us; the first removes what kills have left."""
        temporary = Path(tempfile.gettempdir())
        if not self._swept:
            self._swept = True
            sweep(temporary)
        path = temporary / f"{_FOLDER}{secrets.token_hex(_DIGITS // 2)}"
        self._note("folder", str(path), watched=True)  # before it is there: it may be the last that we do
        lock = None
        try:
            path.mkdir(mode=0o700)
            lock = _lock(path)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            self._note("folder", str(path), watched=False)
            if lock is not None:
                os.close(lock)

    def close(self) -> None:
        """Let the guard end, which kills and removes whatever it still watches."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _note(self, kind: str, name: str, *, watched: bool) -> None:
        with self._lock:
            if watched:
                self._watched[kind, name] = None
            else:
                self._watched.pop((kind, name), None)
            if self._process is not None:
                try:
                    self._send(kind, name, watched=watched)
                except BrokenPipeError:  # somebody has ended it
                    self.close()
            if self._process is None:
                self._process = self._start()
                for known in self._watched:
                    self._send(*known, watched=True)

    def _send(self, kind: str, name: str, *, watched: bool) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps([kind, name, watched]).encode() + b"\n")
            self._process.stdin.flush()

    def _start(self) -> subprocess.Popen[bytes]:
        started = subprocess.Popen(
            [_PYTHON, "-I", "-S", __file__, str(os.getpid())],
            env={name: value for name, value in os.environ.items() if name not in (PARENT, MARK)},  # nobody's to kill
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.close)
        return started


def _lock(folder: Path) -> int | None:
    """Lock a folder for as long as this process lives; the lock appears when it is held. None where there are none."""
    if sys.platform == "win32":
        return None
    import fcntl

    new = folder / secrets.token_hex(4)
    handle = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    with suppress(OSError):  # a file system that knows no locks: nobody sweeps there
        fcntl.flock(handle, fcntl.LOCK_EX)
        new.rename(folder / _LOCK)
    return handle


def sweep(temporary: Path) -> None:
    """Remove the folders that were left where the guard was killed too: our user's, and locked by no process.

    Links are not followed. A folder without a lock is somebody else's.
    """
    if sys.platform == "win32":
        return
    import fcntl

    for path in temporary.glob(_FOLDER + _DIGITS * "[0-9a-f]"):
        with suppress(OSError), ExitStack() as at_end:  # a link, somebody else's, or in use
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            at_end.callback(os.close, folder)
            lock = os.open(_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            at_end.callback(os.close, lock)
            if os.fstat(folder).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)


#: The one of this process.
OURS = Guard()


def serve() -> None:
    """Be the guard: read what to watch until the pipe is closed, then kill and remove what is left of it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: dict[tuple[str, str], None] = {}
    for line in sys.stdin.buffer:
        with suppress(ValueError):  # cut off in the middle of a line
            kind, name, begins = json.loads(line)
            if begins:
                watched[kind, name] = None
            else:
                watched.pop((kind, name), None)
    for kind, name in watched:
        if kind == "group":
            _end_group(int(name))
    for scan in range(_SCANS if watched else 1):  # one that was just being started does not have its variables yet
        if scan:
            threading.Event().wait(_SCAN_S)
        kill_all(marked(PARENT, sys.argv[1]))
    for kind, name in watched:
        if kind == "folder":
            shutil.rmtree(name, ignore_errors=True)


def _end_group(number: int) -> None:
    """Kill a group, and wait until it is gone: what still writes into a folder keeps it from being removed."""
    with suppress(ProcessLookupError, PermissionError):
        for _ in range(_LOOKS):
            os.killpg(number, signal.SIGKILL)
            threading.Event().wait(_LOOK_S)


def marked(variable: str, value: str) -> list[int]:
    """Return the processes that have a variable, in whatever session they are (Linux; elsewhere none are found)."""
    mark, found = f"{variable}={value}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # somebody else's, or it has just ended
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def kill_all(numbers: Iterable[int]) -> None:
    """Kill processes; one that has ended is none."""
    for number in numbers:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(number, signal.SIGKILL)


if __name__ == "__main__":
    serve()
