"""What happens on a worker: it says what it is, runs the plan in a separate process, and gives the files back.

Started as a module it reads one request from stdin and writes the answer to stdout; what the run says goes to stderr.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import msgspec

from mlpbench import __version__
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import environment
from mlpbench.bench.plan.plan import SUFFIX
from mlpbench.bench.record.fields import Name, Text

#: Lines of what a run said at its end that an answer holds.
TAIL = 20


class WorkerLost(Exception):  # noqa: N818 - no mistake of ours, but what became of a worker
    """A worker cannot be reached, or died; the text says how."""


class Request(msgspec.Struct, frozen=True):
    """The words of a run, and the end of its name. Without words nothing runs."""

    words: tuple[str, ...] = ()
    suffix: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a worker is, and how a run ended: its exit ``status``, what it ``said`` last, and its files by path.

    ``host``: its start of the system, which containers on one host share.
    """

    machine: Name
    host: Text | None
    version: Text
    status: int = 0
    said: tuple[str, ...] = ()
    files: dict[str, bytes] = {}


def execute(request: Request) -> Answer:
    """Run the words in a folder that only this user can open, and that goes afterwards; return the files of the run."""
    said: deque[str] = deque(maxlen=TAIL)
    with tempfile.TemporaryDirectory(prefix="mlpbench-fleet-") as results:
        command = [sys.executable, "-m", "mlpbench", "run", *request.words, "--results", results]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, SUFFIX: request.suffix},
            text=True,
            errors="replace",
        ) as process:
            for line in process.stderr or ():
                said.append(line.rstrip())
                sys.stderr.write(line)
                sys.stderr.flush()
            status = process.wait()
        folder = Path(results)
        files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*/**/*.json"))}
    return _answer(status, said, files)


def _answer(status: int, said: Iterable[str], files: dict[str, bytes]) -> Answer:
    return Answer(
        environment.machine_id(), environment.boot() or environment.host(), __version__, status, tuple(said), files
    )


async def answer(request: bytes) -> bytes:
    """Return what another process answers to a request. A worker of Dask waits for it, and stays in its cluster."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    return (await process.communicate(request))[0]


def main() -> None:
    """Answer one request."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        content = execute(request) if request.words else _answer(0, (), {})
    except (OSError, UserError) as error:
        content = _answer(2, [str(error)], {})
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as stdout:
        stdout.write(msgspec.msgpack.encode(content))


if __name__ == "__main__":
    main()
