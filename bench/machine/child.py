"""A question to a fresh interpreter: a module that is run finds it on its command line, and prints the answer."""

import getpass
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import environment, guard, supervised
from mlpbench.bench.machine.supervised import Limits
from mlpbench.bench.record.plan import Binding

#: How a line begins in which a measuring process says, among pytest's lines, what it does now.
PHASE = "mlpbench now: "

#: Variables that are about our own interpreter.
OF_OUR_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


#: PyTorch keeps compiled code among temporary files, unless this variable names another folder.
INDUCTOR_CACHE = "TORCHINDUCTOR_CACHE_DIR"


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


def whole(record: Path) -> Path:
    """Return the mark that a measuring process makes when its record is whole, and all that is to come is its end."""
    return record.with_suffix(".whole")


def mark_whole(record: Path) -> None:
    """Make that mark. On a full disk there is none: then the record counts only if the process ends well."""
    with suppress(OSError):
        whole(record).touch()


@contextmanager
def scratch(room_bytes: int = 0) -> Iterator[Path]:
    """Make the folder for the temporary files of one process; it goes with the block.

    Raises UserError where it cannot be made, or has no room for so many bytes: that is known before anything is
    measured.
    """
    with ExitStack() as at_end:
        where = "anywhere"
        try:
            where = tempfile.gettempdir()
            folder = at_end.enter_context(guard.OURS.folder())
            room = folder / "room"
            room.write_bytes(bytes(room_bytes))
            room.unlink()
        except OSError as error:
            told = f"no room for temporary files in {where}: {error.strerror}"
            raise UserError(f"{told}; make some there, or name another folder with TMPDIR") from None
        yield folder


def with_temporary(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables of a process whose temporary files lie in a folder that goes with it.

    Compiled code stays where it was: it would be compiled again by every process.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name
        user = "nobody"
    compiled = Path(tempfile.gettempdir(), f"torchinductor_{user}")
    return {INDUCTOR_CACHE: str(compiled), **environ, "TMPDIR": str(folder)}


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
    with scratch() as folder:
        ended = supervised.run(command, with_temporary(environ, folder), limits, binding=binding)
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
