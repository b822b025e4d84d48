"""Hosts of a list that SSH reaches: ``hosts.toml``, a table for each."""

import shlex
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import msgspec

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.untrusted import MAX_LINE, clean_text, in_short, read_toml
from mlpbench.bench.wings.fleet.worker import TAIL, Answer, Request, WorkerLost

#: Nobody is asked for a password: hosts are reached side by side. What else there is to say stands in the user's own
#: configuration of ssh: users, ports, keys, jump hosts, connections that are shared.
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15")
#: What ssh ends with where it did not get to the host.
_NOT_REACHED = 255
#: The files of several thousand processes.
MAX_ANSWER = 2**30
_LONGEST_LINE = 2**20
_WORKER = Answer.__module__


class Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A host as ``ssh`` knows it, and the interpreter of the environment that has mlpbench there."""

    address: str
    python: str = "python3"


class _List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hosts: dict[str, Host]


def read(path: Path) -> dict[str, Host]:
    """Return the hosts of a list by name. Raises UserError, one line that names the key, for what is none."""
    try:
        hosts = msgspec.convert(read_toml(path), _List).hosts
        wrong = None if hosts else "there are no hosts"
    except msgspec.ValidationError as error:
        wrong = in_short(str(error), MAX_LINE)
    if wrong:
        raise UserError(f"{path}: {wrong}; a host is a table such as [hosts.node1] with its address")
    return hosts


class Hosts:
    """A transport: every host of a list, by the system's own ``ssh``."""

    def __init__(self, path: Path) -> None:
        """Read the list. Raises UserError as `read`, and where ssh is not installed."""
        self._hosts = read(path)
        if shutil.which("ssh") is None:
            raise UserError("hosts by SSH need the program ssh (OpenSSH), and it is not there")
        self.workers: Sequence[str] = list(self._hosts)

    def ask(self, worker: str, request: Request, tell: Callable[[str], None]) -> Answer:
        """Return what a host answers. Raises WorkerLost."""
        host = self._hosts[worker]
        content, said, status = _ask(host, request, tell)
        last = next((line for line in reversed(said) if line.strip()), "")
        if status == _NOT_REACHED:
            raise WorkerLost(f"{host.address}: {last or 'ssh did not reach it'}")
        try:
            return msgspec.msgpack.decode(content, type=Answer)
        except (msgspec.MsgspecError, RecursionError):
            silent = f"{host.python} there ended with exit status {status}, and answered nothing that mlpbench knows"
        if any("No module named" in line for line in said):
            raise WorkerLost(f"{host.python} there has no mlpbench: in a checkout, pip install -e . ({last})")
        raise WorkerLost(last or silent)


def _ask(host: Host, request: Request, tell: Callable[[str], None]) -> tuple[bytes, Sequence[str], int]:
    """Start the worker on a host, give it a request; return what it answered, what it said last, and its status.

    Raises WorkerLost where it answers more than any run does.
    """
    said: deque[str] = deque(maxlen=TAIL)
    command = ["ssh", *_OPTIONS, "--", host.address, shlex.join([host.python, "-m", _WORKER])]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        stdin, stdout, stderr = (cast("IO[bytes]", pipe) for pipe in (process.stdin, process.stdout, process.stderr))

        def listen() -> None:
            while line := stderr.readline(_LONGEST_LINE):
                said.append(clean_text(line.decode(errors="replace").rstrip("\n")))
                tell(said[-1])

        listening = threading.Thread(target=listen, daemon=True)
        listening.start()
        try:
            with suppress(BrokenPipeError):  # it ended before it read: its status, and what it said, tell why
                stdin.write(msgspec.json.encode(request))
                stdin.close()
            content = stdout.read(MAX_ANSWER + 1)
            if len(content) > MAX_ANSWER:
                raise WorkerLost(f"its answer is larger than {MAX_ANSWER // 2**20} MiB")
            listening.join()
        finally:
            process.kill()
    return content, said, process.returncode
