"""A question to a fresh interpreter: a module that is run finds it on its command line, and prints the answer."""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mlpbench.bench.machine import child
from mlpbench.bench.machine.variables import inherited, with_threads
from mlpbench.bench.record.plan import Binding


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
    python: str | None = None,
) -> Answer:
    """Run a module, in which `question` is ``what``, and return what it tells last.

    The process has our environment and ``variables``, and the limits of `bench.machine.child`. With ``threads``, every
    library in it starts with so many. ``python``: another interpreter than ours.
    """
    environ = {**inherited(python), **(variables or {})}
    if threads is not None:
        environ = with_threads(environ, threads)
    command = [python or sys.executable, "-P", "-m", module, json.dumps(what)]
    ended = child.run(command, environ, timeout_s, binding=binding)
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
    child.end_with_parent()
    asked: dict[str, Any] = json.loads(sys.argv[1])
    return asked


def tell(answer: Mapping[str, Any]) -> None:
    """Print an answer to the process that asked, on a line of its own whatever libraries have printed before."""
    print(f"\n{json.dumps(answer)}", flush=True)  # noqa: T201
