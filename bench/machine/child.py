"""A process under limits: of time, of memory, of what it prints. It ends with us, and so does all that it has started.

Its memory is what it and its children hold in RAM, looked at from outside: the system's own limits count addresses, of
which CUDA and JIT compilers reserve far more than they use. A module that is run can be asked a question: it finds that
on its command line, and prints the answer.
"""

import ctypes
import getpass
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mlpbench.bench.clock import now
from mlpbench.bench.machine.scratch import VARIABLE, kill_all_in, processes_in, scratch
from mlpbench.bench.machine.threads import bound, with_threads
from mlpbench.bench.record.plan import Binding

#: The variable in which a process finds the number of the one that has started it.
PARENT = "MLPBENCH_PARENT"
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

#: Which process groups run now.
_RUNNING: set[int] = set()


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
    """Start a process in a group of its own, wait for its end, and leave nothing running that it has started.

    It is stopped after so many ``seconds``, and where it prints or holds too much. ``within``: the folder for its
    temporary files, by default a new one. ``merged``: stderr goes to ``out``. ``on_line`` is called with each line of
    ``out``. ``is_done()``: whether its work is done; from then on it has `GRACE_S`.
    """
    with ExitStack() as at_end:
        folder = within or at_end.enter_context(scratch())
        variables = {INDUCTOR_CACHE: _inductor_cache(), **environ, VARIABLE: str(folder), PARENT: str(os.getpid())}
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
        status, left = process.wait(), _end_what_is_left(folder)
    texts = [output.read.decode(errors="replace") for output in outputs.values()]
    # One that has ended by itself at the last moment was not stopped.
    if stopped and status < 0:
        return Ended(None, stopped, *texts, late=late)
    return Ended(status, None, *texts, left=0 if stopped else left)


def stop_all() -> None:
    """Kill all that runs now: whoever waits for it in other threads comes back."""
    for number in tuple(_RUNNING):
        _kill_group(number)


def _watch(
    process: subprocess.Popen[bytes],
    outputs: Mapping[IO[bytes], _Output],
    seconds: float,
    is_done: Callable[[], bool],
) -> tuple[str | None, bool]:
    """Read what a process says until it has ended; return the limit that it went beyond, in words, and if it is late.

    What it has started may hold its output open for ever.
    """
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
        end = now() + _REST_S
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


def _kill_group(number: int) -> None:
    """Kill a process and all of its group, also what has outlived it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(number, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    _kill_group(process.pid)
    process.wait()
    _RUNNING.discard(process.pid)


def _end_what_is_left(folder: Path) -> int:
    """Kill what a process that has ended had started, in sessions of their own too; return how many they were."""
    if processes_in(folder):
        threading.Event().wait(_REST_S)  # helpers of libraries end a moment later by themselves
    return kill_all_in(folder)


def end_with_parent() -> None:
    """Let the system kill this process when the one that has started it ends (Linux)."""
    parent = os.environ.get(PARENT)
    if parent is None or sys.platform != "linux":
        return
    set_death_signal = 1  # prctl(2): PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
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

    The process has our environment and ``variables``. With ``threads``, every library in it starts with so many.
    ``python``: another interpreter than ours.
    """
    environ = {**inherited(python), **(variables or {})}
    if threads is not None:
        environ = with_threads(environ, threads)
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
    """Print an answer to the process that asked, on a line of its own whatever libraries have printed before."""
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
