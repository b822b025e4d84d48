"""A question to a fresh interpreter: a module that is run finds it on its command line, and prints the answer."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mlpbench.bench.machine import environment
from mlpbench.bench.machine.binding import bound
from mlpbench.bench.record.plan import Binding

#: How a line begins in which a measuring process says, among pytest's lines, what it does now.
PHASE = "mlpbench now: "


@dataclass(frozen=True)
class Answer:
    """What the process ``found``; or None, and the ``reason`` in one line. ``printed`` is all of its stdout."""

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
) -> Answer:
    """Run a module, in which `question` is ``what``, and return what it tells last.

    The process has our environment and ``variables``. With ``threads``, every library in it starts with so many; with
    ``binding``, it is bound to these processors.
    """
    environ = {**os.environ, **(variables or {})}
    if threads is not None:
        environ = environment.set_threads(environ, threads)
    command = [sys.executable, "-P", "-m", module, json.dumps(what)]
    how: dict[str, Any] = {"env": environ, "text": True, "errors": "replace", "timeout": timeout_s}
    try:
        with bound(binding):
            ran = subprocess.run(command, capture_output=True, check=False, **how)
    except subprocess.TimeoutExpired as stuck:
        printed = (stuck.stdout or b"").decode(errors="replace")
        return Answer(None, f"the process did not end within {timeout_s:g} s", printed)
    if ran.returncode == 0:
        with suppress(ValueError, IndexError):
            found = json.loads(ran.stdout.splitlines()[-1])
            if isinstance(found, dict):
                return Answer(found, None, ran.stdout)
    return Answer(None, _how_it_ended(ran), ran.stdout)


def _how_it_ended(ran: subprocess.CompletedProcess[str]) -> str:
    status = ran.returncode
    how = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
    said = [line for line in ran.stderr.splitlines() if line.strip()]
    return f"the process {how}: {said[-1] if said else 'it gave no answer'}"


def question() -> dict[str, Any]:
    """Return what this process was asked."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    return asked


def tell(answer: Mapping[str, Any]) -> None:
    """Print an answer to the process that asked, on a line of its own whatever libraries have printed before."""
    print(f"\n{json.dumps(answer)}", flush=True)  # noqa: T201
