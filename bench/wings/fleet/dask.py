"""Workers of a cluster that Dask distributed runs already: each is asked by the way of the cluster's scheduler.

What goes there is code; what comes back is bytes, and no pickle. So the parts of distributed that read pickles by
design, its `Client` and the results and errors of tasks, are not used: a request starts a process on the worker, and
its answer is decoded as one of SSH is.
"""

import asyncio
import logging
import pickle
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from mlpbench.bench.errors import UserError
from mlpbench.bench.wings.fleet.worker import Answer, Request, WorkerLost, answer

_CONNECT_S = 15
_ANSWER_S = 60
#: The only way of distributed's to write and read values that involves no pickle.
_PLAIN = ["msgpack"]


class _Reply(msgspec.Struct, frozen=True):
    """What distributed says of a call: its ``status``, and either what it returned or the text of its exception."""

    status: str
    result: bytes = b""
    exception_text: str = ""


class Cluster:
    """A transport: every worker that the scheduler knows when it is asked."""

    def __init__(self, address: str) -> None:
        """Ask a scheduler for its workers. Raises UserError where it does not answer, or distributed is missing."""
        try:
            import distributed
        except ImportError as missing:
            needs = "clusters of Dask need distributed: pip install -e '.[dask]'"
            raise UserError(f"{needs} ({missing.name or missing})") from None
        logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)  # it writes a traceback of what it cannot read
        self._address, self._open = address, True
        sys.addaudithook(self._refuse_pickles)
        try:
            security: Any = distributed.Security
            self._options: dict[str, Any] = security().get_connection_args("client")
            self.workers: Sequence[str] = sorted(msgspec.convert(self._ask(_ANSWER_S, op="ncores"), dict[str, int]))
        except Exception as error:  # noqa: BLE001 - whatever an address, certificates and a stranger's bytes lead to
            self.close()
            raise UserError(f"no Dask scheduler answers at {address}: {_reason(error)}") from None

    def close(self) -> None:
        """Let this process read pickles again: every request has its own connection."""
        self._open = False

    def _refuse_pickles(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Stop a pickle at the first thing that it looks up: distributed reads some that no option of its turns off."""
        if self._open and event == "pickle.find_class":
            raise pickle.UnpicklingError(f"a pickle that asks for {arguments[0]}.{arguments[1]} is not read")

    def ask(self, worker: str, request: Request, tell: Callable[[str], None]) -> Answer:  # noqa: ARG002 - a run's lines stay in the worker's log
        """Return what a worker answers. Raises WorkerLost."""
        arguments = (msgspec.json.encode(request),)
        call = {"op": "run", "function": pickle.dumps(answer), "args": pickle.dumps(arguments)}
        try:
            replies = self._ask(None if request.words else _ANSWER_S, op="broadcast", msg=call, workers=[worker])
            reply = msgspec.convert(replies.get(worker, replies), _Reply)
            if reply.status == "OK":
                return msgspec.msgpack.decode(reply.result, type=Answer)
        except OSError as error:
            raise WorkerLost(_reason(error)) from None
        except Exception as error:  # noqa: BLE001 - whatever the bytes of a stranger lead to
            raise WorkerLost(f"its answer is none of mlpbench's ({_reason(error)})") from None
        raise WorkerLost(f"{reply.exception_text}; its log says more")

    def _ask(self, timeout_s: float | None, **message: Any) -> Any:
        """Return what the scheduler answers to a message. Raises what its bytes, or the lack of any, lead to."""
        try:
            return asyncio.run(asyncio.wait_for(self._send(message), timeout_s))
        except TimeoutError as error:
            raise TimeoutError(str(error) or f"no answer within {timeout_s:.0f} s") from None

    async def _send(self, message: dict[str, Any]) -> Any:
        from distributed.comm import core

        connect: Any = core.connect
        connection = await connect(self._address, timeout=_CONNECT_S, **self._options)
        try:
            await connection.write({**message, "reply": True, "serializers": _PLAIN}, serializers=_PLAIN)
            return await connection.read(deserializers=_PLAIN)
        finally:
            connection.abort()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
