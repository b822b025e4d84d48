"""A process under limits: of time, of memory, of what it prints. It ends with us, and so does all that it has started.

Its memory is what it and its children hold in RAM: the system's own limits count addresses, of which CUDA and JIT
compilers reserve far more. All that a process starts is known by its folder for temporary files, `scratch`. A module
that is run can be asked a question, which it finds on its command line.
"""

import ctypes
import fcntl
import getpass
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

from mlpbench.bench.clock import now
from mlpbench.bench.errors import user_error
from mlpbench.bench.machine.threads import bound, with_threads
from mlpbench.bench.record.plan import Binding

#: The variables in which a process finds the number of the one that has started it, and its folder.
PARENT, FOLDER = "MLPBENCH_PARENT", "TMPDIR"
_PREFIX = "mlpbench-tmp-"
#: Variables that are about our own interpreter.
OF_OUR_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
#: PyTorch keeps compiled code among temporary files, unless this variable names another folder.
INDUCTOR_CACHE = "TORCHINDUCTOR_CACHE_DIR"
#: What a line begins with in which a measuring process says, among pytest's lines, what it does now.
PHASE = "mlpbench now: "
#: Seconds between two looks at a process that says nothing.
TICK_S = 1.0
#: What a process may print: a whole run of pytest prints some kilobytes.
OUTPUT_BYTES = 16 * 2**20
#: For so long a process may go on when its work is done: on a busy machine, ending takes seconds.
GRACE_S = 10.0
#: What is left to read of a process that has ended, though its output is open still.
_REST_S = 0.5

_RUNNING: set[int] = set()  # process groups


@dataclass(frozen=True)
class Ended:
    """How a process ended. ``stopped``: which limit it went beyond, in words; ``status`` is None then.

    ``late``: that was the limit of time. ``left``: how many processes it had left behind.
    """

    status: int | None
    stopped: str | None
    out: str = ""
    err: str = ""
    late: bool = field(default=False, kw_only=True)
    left: int = field(default=0, kw_only=True)

    def how(self) -> str:
        """Return how it ended, in words that go on with "the process"."""
        if self.status is None:
            return self.stopped or "was stopped"
        if self.status >= 0:
            return f"ended with {self.status}"
        names = [entry.name for entry in signal.Signals if entry == -self.status]
        return f"died of {names[0] if names else f'signal {-self.status}'}"


class _Output:
    """What comes out of one pipe, told line by line."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self.read, self._on_line, self._line = bytearray(), on_line, b""

    def feed(self, piece: bytes) -> None:
        self.read += piece
        if self._on_line is not None:
            *whole, self._line = (self._line + piece).split(b"\n")
            for line in whole:
                self._on_line(line.decode(errors="replace"))


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    seconds: float,
    *,
    within: Path | None = None,
    binding: Binding | None = None,
    merged: bool = False,
    on_line: Callable[[str], None] | None = None,
    is_done: Callable[[], bool] = lambda: False,
) -> Ended:
    """Start a process in its own group, wait for its end, and leave nothing running that it has started.

    It is stopped after ``seconds``, or `GRACE_S` after ``is_done()``, and where it prints or holds too much.
    ``within``: its folder for temporary files, else a new one. ``merged``: stderr goes to ``out``, whose lines
    ``on_line`` gets.
    """
    with ExitStack() as at_end:
        folder = within or at_end.enter_context(scratch())
        variables = {INDUCTOR_CACHE: _inductor_cache(), **environ, FOLDER: str(folder), PARENT: str(os.getpid())}
        try:
            with bound(binding):
                process = subprocess.Popen(
                    command,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C reaches us alone: we decide what is kept
                )
        except OSError as error:  # an environment that was there when the run began
            return Ended(None, f"could not be started: {command[0]}: {error.strerror}")
        at_end.enter_context(process)
        at_end.callback(_end, process)
        _RUNNING.add(process.pid)
        pipes = filter(None, (process.stdout, process.stderr))
        outputs = {pipe: _Output(on_line if pipe is process.stdout else None) for pipe in pipes}
        stopped, late = _watch(process, outputs, seconds, is_done)
        if stopped:
            _end(process)
        status = process.wait()
        if processes_in(folder):
            threading.Event().wait(_REST_S)  # helpers of libraries end a moment later by themselves
        left = kill_all_in(folder)
    texts = [output.read.decode(errors="replace") for output in outputs.values()]
    # One that has ended by itself at the last moment was not stopped.
    if stopped and status < 0:
        return Ended(None, stopped, *texts, late=late)
    return Ended(status, None, *texts, left=0 if stopped else left)


def stop_all() -> None:
    """Kill all that runs now: whoever waits for it in other threads comes back."""
    _kill_groups(*_RUNNING)


def _watch(
    process: subprocess.Popen[bytes],
    outputs: Mapping[IO[bytes], _Output],
    seconds: float,
    is_done: Callable[[], bool],
) -> tuple[str | None, bool]:
    """Read what a process says until it has ended; return the limit that it went beyond, and if it is late."""
    end, look, most_bytes, done = now() + seconds, now() + TICK_S, memory_limit(), False
    with selectors.DefaultSelector() as selector:
        for pipe, output in outputs.items():
            selector.register(pipe, selectors.EVENT_READ, output)
        while process.poll() is None:
            _read(selector, max(0.0, min(look, end) - now()))
            if _printed(outputs) > OUTPUT_BYTES:
                return f"was stopped: it printed more than {OUTPUT_BYTES / 2**20:.3g} MiB", False
            if now() >= end:
                when = f"{GRACE_S:.4g} s after its work was done" if done else f"after {seconds:.4g} s"
                return f"was stopped {when}", not done
            if now() >= look:
                look = now() + TICK_S
                if not done and now() + GRACE_S < end and is_done():
                    done, end = True, now() + GRACE_S
                if most_bytes and (held := resident_bytes(process.pid)) > most_bytes:
                    has = f"it held {held / 2**30:.3g} GiB of memory"
                    return f"was stopped: {has}, and {most_bytes / 2**30:.3g} GiB were left for it", False
        end = now() + _REST_S  # what it has started may hold its output open for ever
        while selector.get_map() and now() < end and _printed(outputs) <= OUTPUT_BYTES and _read(selector, 0.0):
            pass
    return None, False


def _printed(outputs: Mapping[IO[bytes], _Output]) -> int:
    return sum(len(output.read) for output in outputs.values())


def _read(selector: selectors.BaseSelector, seconds: float) -> bool:
    """Read what comes within so long; return whether anything did."""
    if not selector.get_map():  # it has closed its output, and goes on
        threading.Event().wait(min(seconds, 0.01))
        return False
    ready = selector.select(seconds)
    for key, _ in ready:
        if piece := os.read(key.fd, 2**16):
            key.data.feed(piece)
        else:
            selector.unregister(key.fileobj)
    return bool(ready)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all of its group, also what has outlived it."""
    _kill_groups(process.pid)
    process.wait()
    _RUNNING.discard(process.pid)


def _kill_groups(*numbers: int) -> None:
    for number in numbers:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(number, signal.SIGKILL)


def end_with_parent() -> None:
    """Let the system kill this process when the one that has started it ends (Linux)."""
    parent = os.environ.get(PARENT)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(parent):  # it had ended before
        os.kill(os.getpid(), signal.SIGKILL)


def whole(record: Path) -> Path:
    """Return the mark that a measuring process makes when its record is whole."""
    return record.with_suffix(".whole")


def memory_limit() -> int | None:
    """Return the bytes that a new process may hold, nine tenths of what nobody uses; None if the system is silent."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        return None
    left = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # the control group of a container; "max" is no number
        most, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        left.append(max(most - used, 0))
    return int(0.9 * min(left)) if left else None


def resident_bytes(number: int) -> int:
    """Return the bytes that a process holds in RAM, and all that it has started; 0 if the system is silent."""
    total, ahead = 0, [number]
    while ahead:
        process = Path(f"/proc/{ahead.pop()}")
        with suppress(OSError, ValueError, IndexError):  # it has ended
            total += int((process / "statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in (process / "task").iterdir():
                ahead += map(int, (task / "children").read_bytes().split())
    return total


@contextmanager
def scratch(room_bytes: int = 0) -> Iterator[Path]:
    """Make a folder for temporary files, which goes with its block, and so does what still runs in it.

    It appears when it is locked: one without a lock is what a kill has left, and the next mlpbench removes it. Raises
    UserError where there is no room for so many bytes.
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
    mark, numbers = f"{FOLDER}={folder}".encode(), []
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


@dataclass(frozen=True)
class Answer:
    """What a process ``found``; or None, and the ``reason`` in one line. ``printed`` is all of its stdout."""

    found: dict[str, Any] | None
    reason: str | None
    printed: str = ""


def ask(
    module: str,
    what: Mapping[str, Any],
    *,
    timeout_s: float,
    threads: int | None = None,
    binding: Binding | None = None,
    variables: Mapping[str, str] | None = None,
    python: str | None = None,
) -> Answer:
    """Run a module, in which `question` is ``what``, and return what it tells last.

    The process has our environment, ``variables``, and so many ``threads``. ``python``: another interpreter than ours.
    """
    environ = {**inherited(python), **(variables or {})}
    environ = environ if threads is None else with_threads(environ, threads)
    command = [python or sys.executable, "-P", "-m", module, json.dumps(what)]
    ended = run(command, environ, timeout_s, binding=binding)
    if ended.status == 0:
        with suppress(ValueError, IndexError, RecursionError):
            found = json.loads(ended.out.splitlines()[-1])
            if isinstance(found, dict):
                return Answer(found, None, ended.out)
    errors = [line for line in ended.err.splitlines() if line.strip()]
    why = "" if ended.status is None else f": {errors[-1] if errors else 'it gave no answer'}"
    return Answer(None, f"the process {ended.how()}{why}", ended.out)


def question() -> dict[str, Any]:
    """Return what this process was asked. It ends with the process that asks."""
    end_with_parent()
    asked: dict[str, Any] = json.loads(sys.argv[1])
    return asked


def tell(answer: Mapping[str, Any]) -> None:
    """Print an answer to the process that asked, on its own line whatever libraries have printed before."""
    print(f"\n{json.dumps(answer)}", flush=True)  # noqa: T201


def inherited(python: str | None) -> dict[str, str]:
    """Return our variables, as an interpreter inherits them: ours (None) all; another none about our packages."""
    return {name: value for name, value in os.environ.items() if python is None or name not in OF_OUR_PYTHON}


def _inductor_cache() -> str:
    """Return the folder of compiled code that a new folder for temporary files would hide: PyTorch's own."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name
        user = "nobody"
    return str(Path(tempfile.gettempdir(), f"torchinductor_{user}"))
