"""Hosts of a list that SSH reaches: ``hosts.toml``, a table for each."""

import asyncio
import shlex
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.untrusted import MAX_LINE, clean_text, in_short, read_toml
from mlpbench.bench.run.fleet import worker
from mlpbench.bench.run.fleet.carry import WorkerLost, understood
from mlpbench.bench.run.fleet.worker import Answer, Facts, Request

NEEDS = "hosts by SSH need asyncssh: pip install 'mlpbench[ssh]'"
_CONNECT_S = 15
#: The files of several thousand processes.
MAX_ANSWER = 2**30
#: What a run says is a few hundred bytes for each process.
MAX_SAID = 16 * 2**20
_PART = 2**20
#: Where a host has no mlpbench, Python says so in a line like this.
_NO_MODULE = "No module named"
T = TypeVar("T")


class Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a host is reached; ``python``: the interpreter of the environment that has mlpbench there.

    ``key`` and ``known_hosts`` are files; without them those of the user count, and a running agent.
    """

    address: str
    python: str = "python3"
    user: str | None = None
    port: int = 22
    key: str | None = None
    known_hosts: str | None = None


class _List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hosts: dict[str, Host]


def read(path: Path) -> dict[str, Host]:
    """Return the hosts of a list by name. Raises UserError, one line that names the key, for what is none."""
    try:
        found = msgspec.convert(read_toml(path), _List).hosts
    except msgspec.ValidationError as error:
        wrong = in_short(str(error), MAX_LINE)
        raise UserError(f"{path}: {wrong}; a host is a table such as [hosts.node1] with its address") from None
    if not found:
        raise UserError(f"{path}: there are no hosts; one is a table such as [hosts.node1] with its address")
    return found


class Hosts:
    """A transport (`bench.run.fleet.carry.Transport`): every host of a list."""

    def __init__(self, path: Path) -> None:
        """Read the list. Raises UserError as `read`, and where asyncssh is not installed."""
        try:
            import asyncssh
        except ImportError as missing:
            raise UserError(f"{NEEDS} ({missing.name or missing})") from None
        self._ssh: Any = asyncssh
        self._hosts = read(path)
        self.workers: Sequence[str] = list(self._hosts)

    def facts(self, name: str) -> Facts:
        """Return what a host is. Raises WorkerLost."""
        return self._answer(name, Request(), Facts, lambda _: None)

    def execute(self, name: str, request: Request, tell: Callable[[str], None]) -> Answer:
        """Return how a run on a host ended. Raises WorkerLost."""
        return self._answer(name, request, Answer, tell)

    def close(self) -> None:
        """Do nothing: every request has a connection of its own."""

    def _answer(self, name: str, request: Request, kind: type[T], tell: Callable[[str], None]) -> T:
        host = self._hosts[name]
        try:
            content, said, status = asyncio.run(self._asked(host, request, tell))
        except (OSError, self._ssh.Error) as error:
            raise WorkerLost(f"{host.address}: {str(error) or type(error).__name__}") from None
        silent = f"{host.python} there ended with exit status {status}, and answered nothing that mlpbench understands"
        reason = next((line for line in reversed(said) if line), silent)
        if any(_NO_MODULE in line for line in said):
            reason = f"{host.python} there has no mlpbench: pip install mlpbench ({reason})"
        return understood(content, kind, reason)

    async def _asked(
        self, host: Host, request: Request, tell: Callable[[str], None]
    ) -> tuple[bytearray, Sequence[str], int | None]:
        """Start the worker on a host, give it a request; return what it answered, what it said last, and its status.

        Raises WorkerLost where it answers or says more than any run does.
        """
        options: dict[str, Any] = {"port": host.port, "connect_timeout": _CONNECT_S, "keepalive_interval": 15}
        options |= {"username": host.user} if host.user else {}
        options |= {"client_keys": [str(Path(host.key).expanduser())]} if host.key else {}
        options |= {"known_hosts": str(Path(host.known_hosts).expanduser())} if host.known_hosts else {}
        command = shlex.join([host.python, "-m", worker.__name__])
        content, said = bytearray(), deque[str](maxlen=worker.TAIL)
        async with self._ssh.connect(host.address, **options) as connection:
            process = await connection.create_process(command, encoding=None)

            async def listen() -> None:
                length = 0
                async for line in process.stderr:
                    length = _bounded(length + len(line), MAX_SAID, "what it says")
                    said.append(clean_text(line.decode(errors="replace")))
                    tell(said[-1])

            async def receive() -> None:
                while part := await process.stdout.read(_PART):
                    content.extend(part)
                    _bounded(len(content), MAX_ANSWER, "its answer")

            with suppress(BrokenPipeError):  # it ended before it read: its status, and what it said, tell why
                process.stdin.write(worker.packed(request))
                process.stdin.write_eof()
            await asyncio.gather(receive(), listen())
            await process.wait_closed()
            return content, said, process.returncode


def _bounded(length: int, most: int, subject: str) -> int:
    """Return a length in bytes. Raises WorkerLost where it is above the most that is read."""
    if length > most:
        raise WorkerLost(f"{subject} is larger than {most // 2**20} MiB")
    return length
