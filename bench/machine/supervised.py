"""A process under limits: of time, of memory, of what it prints. It ends with us, and all that it started with it.

Its memory is looked at from outside, once in `TICK_S`: what it and its children hold in RAM, the children's children
with them. The system's own limits count addresses: CUDA, JIT compilers and sanitizers reserve far more than they use.
"""

import ctypes
import os
import secrets
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mlpbench.bench.clock import now
from mlpbench.bench.machine import guard
from mlpbench.bench.machine.binding import bound
from mlpbench.bench.record.plan import Binding

#: Seconds between two looks at a process that says nothing.
TICK_S = 1.0
#: What a process may print: a whole run of pytest prints some kilobytes.
OUTPUT_BYTES = 16 * 2**20
#: Of the memory that nobody uses, what a process may take before it is stopped.
MEMORY_SHARE = 0.9
#: For so long a process may go on when its work is done. Interpreters end within a second; on a busy machine, with
#: threads that are waited for and caches that are written, it takes some more. One that hangs then would use its limit.
GRACE_S = 10.0
#: What is left to read of a process that has ended, though its output is open still.
_REST_S = 0.5
_CHUNK = 2**16
_SET_PDEATHSIG = 1  # prctl(2)
_AFTER = "was stopped after"


@dataclass(frozen=True)
class Limits:
    """What a process may use. ``memory_bytes``: None where nobody can tell."""

    seconds: float
    memory_bytes: int | None = None
    output_bytes: int = OUTPUT_BYTES


@dataclass(frozen=True)
class Ended:
    """How a process ended. ``stopped``: which limit it went beyond, in words; ``status`` is None then.

    ``late``: that was the limit of time. ``left``: how many processes it had left behind, which are killed.
    """

    status: int | None
    stopped: str | None
    out: str
    err: str = ""
    left: int = field(default=0, kw_only=True)

    @property
    def late(self) -> bool:
        """Whether it was stopped because it took too long."""
        return self.stopped is not None and self.stopped.startswith(_AFTER)

    def how(self) -> str:
        """Return how it ended, in words that go on with "the process"."""
        if self.status is None:
            return self.stopped or "was stopped"
        return f"died of {_signal(-self.status)}" if self.status < 0 else f"ended with {self.status}"


def _signal(number: int) -> str:
    known = [name.name for name in signal.Signals if name == number]
    return known[0] if known else f"signal {number}"


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

    @property
    def text(self) -> str:
        return self.read.decode(errors="replace")


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    limits: Limits,
    *,
    binding: Binding | None = None,
    merged: bool = False,
    on_line: Callable[[str], None] | None = None,
    is_done: Callable[[], bool] = lambda: False,
) -> Ended:
    """Start a process in a group of its own, wait for its end, and leave nothing running that it has started.

    ``merged``: what it says on stderr goes to ``out``. ``on_line`` is called with each line of ``out`` as it comes.
    ``is_done()``: whether its work is done; from then on it has `GRACE_S`.
    """
    mark = secrets.token_hex(8)
    with ExitStack() as at_end:
        with _interrupts_held_back():
            try:
                process = at_end.enter_context(_start(command, {**environ, guard.MARK: mark}, binding, merged=merged))
            except OSError as error:  # an environment that was there when the run began
                return Ended(None, f"could not be started: {command[0]}: {error.strerror}", "")
            at_end.callback(_kill, process)
            guard.OURS.watch_group(process.pid)
        _offer_to_the_system(process.pid)
        pipes = filter(None, (process.stdout, process.stderr))
        outputs = {pipe: _Output(on_line if pipe is process.stdout else None) for pipe in pipes}
        stopped = _watch(process, outputs, limits, is_done)
        if stopped:
            _kill(process)
        status, left = process.wait(), _end_what_is_left(mark)
        texts = [output.text for output in outputs.values()]
    # One that has ended by itself at the last moment was not stopped.
    if stopped and status < 0:
        return Ended(None, stopped, *texts)
    return Ended(status, None, *texts, left=0 if stopped else left)


def _start(
    command: Sequence[str], environ: Mapping[str, str], binding: Binding | None, *, merged: bool
) -> subprocess.Popen[bytes]:
    with bound(binding):
        return subprocess.Popen(
            command,
            env={**environ, guard.PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches us alone: we decide what is kept
        )


def _watch(
    process: subprocess.Popen[bytes],
    outputs: Mapping[IO[bytes], _Output],
    limits: Limits,
    is_done: Callable[[], bool],
) -> str | None:
    """Read what a process says until it has ended; return the limit that it went beyond, in words, or None.

    The end of its output may never come: whatever it has started may hold it open.
    """
    end, look, late = now() + limits.seconds, now() + TICK_S, f"{_AFTER} {limits.seconds:.4g} s"
    done = False
    with selectors.DefaultSelector() as selector:
        for pipe, output in outputs.items():
            selector.register(pipe, selectors.EVENT_READ, output)
        while process.poll() is None:
            _read(selector, max(0.0, min(look, end) - now()))
            if _said(outputs) > limits.output_bytes:
                return f"was stopped: it printed more than {limits.output_bytes / 2**20:.3g} MiB"
            if now() >= end:
                return late
            if now() >= look:
                look = now() + TICK_S
                if not done and is_done():
                    done = True
                    if now() + GRACE_S < end:
                        end, late = now() + GRACE_S, f"was stopped {GRACE_S:.4g} s after its work was done"
                if limits.memory_bytes and (held := resident_bytes(process.pid)) > limits.memory_bytes:
                    return (
                        f"was stopped: it held {held / 2**30:.3g} GiB of memory, "
                        f"and {limits.memory_bytes / 2**30:.3g} GiB were left for it"
                    )
        end = now() + _REST_S
        while selector.get_map() and now() < end and _said(outputs) <= limits.output_bytes and _read(selector, 0.0):
            pass
    return None


def _said(outputs: Mapping[IO[bytes], _Output]) -> int:
    return sum(len(output.read) for output in outputs.values())


def _read(selector: selectors.BaseSelector, seconds: float) -> bool:
    """Read what comes within so long; return whether anything did."""
    if not selector.get_map():  # it has closed its output, and goes on
        threading.Event().wait(min(seconds, 0.01))
        return False
    ready = selector.select(seconds)
    for key, _ in ready:
        if piece := os.read(key.fd, _CHUNK):
            key.data.feed(piece)
        else:
            selector.unregister(key.fileobj)
    return bool(ready)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and all that it started, also what has outlived it."""
    with suppress(ProcessLookupError, PermissionError):  # nothing of the group is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    guard.OURS.release_group(process.pid)


def _end_what_is_left(mark: str) -> int:
    """Kill what a process that has ended had started, in sessions of their own too; return how many they were.

    Helpers of libraries, such as that of `multiprocessing`, end a moment later by themselves.
    """
    if guard.marked(guard.MARK, mark):
        threading.Event().wait(_REST_S)
    left = guard.marked(guard.MARK, mark)
    guard.kill_all(left)
    return len(left)


def _offer_to_the_system(number: int) -> None:
    """Let a system that is out of memory kill this process, and not us: it then has a record that says so."""
    with suppress(OSError):  # not Linux, or it has ended
        Path(f"/proc/{number}/oom_score_adj").write_text("1000", encoding="ascii")


def end_with_parent() -> None:
    """Let the system kill this process when the one that has started it ends, where the system can (Linux).

    Where it cannot, and for what this process has started, the parent's guard does the same a moment later.
    """
    parent = os.environ.get(guard.PARENT)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it had ended before
        os.kill(os.getpid(), signal.SIGKILL)


def memory_limit() -> int | None:
    """Return the bytes that a process which is started now may hold; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        return None
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    left = [bytes_left for bytes_left in (free, _left_in_group()) if bytes_left is not None]
    return int(MEMORY_SHARE * min(left)) if left else None


def _left_in_group() -> int | None:
    """Return what the control group of a container has left, None where it has no limit."""
    with suppress(OSError, ValueError):  # "max" is no number
        most, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        return max(most - used, 0)
    return None


def resident_bytes(number: int) -> int:
    """Return the bytes that a process holds in RAM, and all that it has started; 0 where the system does not tell."""
    total, ahead = 0, [number]
    while ahead:
        one = Path(f"/proc/{ahead.pop()}")
        with suppress(OSError, ValueError, IndexError):  # it has ended
            total += int((one / "statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in (one / "task").iterdir():
                ahead += map(int, (task / "children").read_bytes().split())
    return total


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C, or a request to end, wait until the block has ended.

    While a process starts, it runs already and nobody could name it yet: it would be left to itself.
    """
    arrived = threading.Event()
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        # Left alone where it is ignored or ends us at once, and in other threads, which signals do not interrupt.
        handler, main = signal.getsignal(number), threading.main_thread()
        if handler is signal.default_int_handler and threading.current_thread() is main:
            before[number] = signal.signal(number, lambda *_: arrived.set())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived.is_set():
        raise KeyboardInterrupt
