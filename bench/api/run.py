"""A run in Python: `mlpbench run`, told of in a callback in place of a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Any

import typer

from mlpbench.bench.api import mistakes
from mlpbench.bench.api.results import Results, load
from mlpbench.bench.cli import app, console, progress
from mlpbench.bench.cli.progress import Listener, Progress
from mlpbench.bench.errors import UserError

Option = str | float | bool | PathLike[str] | Sequence[Any] | None
#: Options about what a terminal shows.
_NOT_HERE = {"as_json", "json", "dry_run", "quiet", "verbose", "help"}


def run(*kernels: str, on_progress: Callable[[Progress], None] | None = None, **options: Option) -> Results:
    """Check and time kernels, save the results, and return them.

    ``options`` are those of `mlpbench run`, with ``_`` for ``-``: ``profile="smoke", batch_size=[1, 100], threads=1``.
    A settings file counts as it does there. ``on_progress`` is called whenever a process begins to do something else or
    ends; what it raises ends the run, and what was finished is kept. Nothing is printed: what the command says is in
    the log ``mlpbench``. A kernel that fails is among `Results.problems`.

    Raises UserError for bad options, before anything runs, and KeyboardInterrupt after Ctrl-C.
    """
    words = ["run", *kernels, *_words(options)]
    listener = Listener(on_progress or (lambda _: None))
    listening = progress.listener.set(listener)
    try:
        with console.hushed(), mistakes.told():
            app.invoke(words)
    except typer.Exit as ended:
        if ended.exit_code == console.INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
    finally:
        progress.listener.reset(listening)
    if listener.folder is None:
        raise RuntimeError("the run ended without an error and without results")
    return load(listener.folder)


def _words(options: dict[str, Option]) -> Iterator[str]:
    """Yield options as words of the command line."""
    for name, value in options.items():
        if name in _NOT_HERE:
            raise UserError(f"{name} is an option of the command line: nothing is printed here")
        option = f"--{name.replace('_', '-')}"
        given = value if isinstance(value, list | tuple) else [value]
        for one in given:
            if one is True:
                yield option
            elif one is not None and one is not False:
                yield f"{option}={one}"
