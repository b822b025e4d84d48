"""What happens on a worker: it says what it is, runs the plan in a process of its own, and gives the files back.

Started as a module it reads one request from stdin and writes the answer to stdout; what the run says goes to stderr.
"""

import asyncio
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from mlpbench import __version__
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import identity
from mlpbench.bench.plan.plan import SUFFIX
from mlpbench.bench.record.fields import Name, Text
from mlpbench.bench.run import seal

#: Lines of what a run said at its end that an answer holds.
TAIL = 20
#: Exit statuses of a run that came to its end; with 1 a kernel failed, and its result says why.
FINISHED = (0, 1)
#: The exit status of one that could not begin.
FAILED = 2


class Facts(msgspec.Struct, frozen=True):
    """What a worker is; ``version`` is mlpbench's."""

    machine: Name
    host: Text | None
    boot: Text | None
    version: Text


class Request(msgspec.Struct, frozen=True):
    """The words of a run, the name of the folder that it works in, and the end of the run's name.

    Without words only `Facts` are asked for.
    """

    words: tuple[str, ...] = ()
    folder: str = ""
    suffix: str = ""


class Answer(msgspec.Struct, frozen=True):
    """How a run ended: its exit ``status``, what it ``said`` last, its files by path, and their digests."""

    status: int
    said: tuple[str, ...]
    files: dict[str, bytes]
    digests: dict[str, str]

    @property
    def torn(self) -> list[str]:
        """The files that are not what the worker has."""
        return [name for name, content in self.files.items() if digest(content) != self.digests.get(name)]


def facts() -> Facts:
    """Return what this worker is."""
    return Facts(identity.machine_id(), identity.host(), identity.boot(), __version__)


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def execute(request: Request) -> Answer:
    """Run the words, or go on with a run that was left in the folder; return its files.

    The folder goes once the run has come to its end.
    """
    folder = _folder(request.folder)
    words = ["run", *request.words, "--results", str(folder)]
    if any(folder.glob("*/*/run.json")):
        words = ["run", "--resume", "--results", str(folder)]
    said: deque[str] = deque(maxlen=TAIL)
    command = [sys.executable, "-m", "mlpbench", *words]
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    variables = {**os.environ, SUFFIX: request.suffix}
    with subprocess.Popen(command, **streams, env=variables, text=True, errors="replace") as process:
        for line in process.stderr or ():
            said.append(line.rstrip())
            sys.stderr.write(line)
            sys.stderr.flush()
        status = process.wait()
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*/**/*.json"))}
    if status in FINISHED:
        shutil.rmtree(folder)
    return Answer(status, tuple(said), files, {name: digest(content) for name, content in files.items()})


def _folder(name: str) -> Path:
    """Return the folder that a run of this user has left in the temporary folder under a name, or a new one.

    Its end is random and its mode 700. Anybody may make a folder of such a name: one of somebody else is passed over.
    """
    there = sorted(Path(tempfile.gettempdir()).glob(f"{glob.escape(name)}-*"))
    own = [folder for folder in there if seal.is_private(folder)]
    return own[0] if own else Path(tempfile.mkdtemp(prefix=f"{name}-"))


def packed(request: Request) -> bytes:
    """Return a request as `main` reads it."""
    return msgspec.json.encode(request)


async def answer(request: bytes) -> bytes:
    """Return what another process answers to a request. A worker of Dask waits for it, and stays in its cluster."""
    command = [sys.executable, "-m", __name__]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command, **pipes)
    return (await process.communicate(request))[0]


def main() -> None:
    """Answer one request."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    try:
        content = execute(request) if request.words else facts()
    except (OSError, UserError) as error:
        content = Answer(FAILED, (str(error),), {}, {})
    answers.write(msgspec.msgpack.encode(content))
    answers.close()


if __name__ == "__main__":
    main()
