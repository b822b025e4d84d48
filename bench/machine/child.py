"""A question to a fresh interpreter: a module that is run finds it on its command line, and prints the answer."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mlpbench.bench.machine import environment, supervised
from mlpbench.bench.machine.supervised import Limits
from mlpbench.bench.record.plan import Binding

#: How a line begins in which a measuring process says, among pytest's lines, what it does now.
PHASE = "mlpbench now: "

#: Variables that are about our own interpreter.
OF_OUR_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Answer:
    """What the process ``found``; or None, and the ``reason`` in one line. ``printed`` is all of its stdout."""

    found: dict[str, Any] | None
    reason: str | None
    printed: str = ""


def starting(python: str | None) -> tuple[str, dict[str, str]]:
    """Return the interpreter to start, ours for None, and the variables that it inherits.

    Another one finds its own packages, and none of ours that ``PYTHONPATH`` names.
    """
    if python is None:
        return sys.executable, dict(os.environ)
    return python, {name: value for name, value in os.environ.items() if name not in OF_OUR_PYTHON}


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

    The process has our environment and ``variables``. It is stopped where it takes longer than ``timeout_s``, prints
    without end, or takes all memory (`bench.machine.supervised`). With ``threads``, every library in it starts with so
    many; with ``binding``, it is bound to these processors. ``python``: another interpreter than ours (`starting`).
    """
    python, inherited = starting(python)
    environ = {**inherited, **(variables or {})}
    if threads is not None:
        environ = environment.set_threads(environ, threads)
    command = [python, "-P", "-m", module, json.dumps(what)]
    limits = Limits(timeout_s, supervised.memory_limit())
    ended = supervised.run(command, environ, limits, binding=binding)
    if ended.status == 0:
        with suppress(ValueError, IndexError, RecursionError):
            found = json.loads(ended.out.splitlines()[-1])
            if isinstance(found, dict):
                return Answer(found, None, ended.out)
    said = [line for line in ended.err.splitlines() if line.strip()]
    why = "" if ended.status is None else f": {said[-1] if said else 'it gave no answer'}"
    return Answer(None, f"the process {ended.how()}{why}", ended.out)


def question() -> dict[str, Any]:
    """Return what this process was asked. It ends with the process that asks."""
    supervised.end_with_parent()
    asked: dict[str, Any] = json.loads(sys.argv[1])
    return asked


def tell(answer: Mapping[str, Any]) -> None:
    """Print an answer to the process that asked, on a line of its own whatever libraries have printed before."""
    print(f"\n{json.dumps(answer)}", flush=True)  # noqa: T201
