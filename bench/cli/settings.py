"""The settings file as Click takes it: a map of defaults for one command, each checked as its option would."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.settings import Settings, Taker, read

#: What Typer raises for words it cannot read. Its library has moved between releases; its children have not.
USAGE_ERROR: type[Any] = typer.BadParameter.__mro__[1]
#: Options that say what a command is asked for this once.
ASKED_ONCE = {"help", "version", "dry-run", "resume", "anyway", "keep", "traceback"}


@dataclass(frozen=True)
class Invocation:
    """How mlpbench was called: the words that were typed behind its name, and the settings of a command by name."""

    words: Sequence[str] = ()
    settings: Callable[[str], Settings] = field(default=lambda _: Settings())


def context_of(context: typer.Context) -> Invocation:
    """Return how mlpbench was called."""
    return context.find_object(Invocation) or Invocation()


def of_command(group: Any, name: str, folder: Path | None = None) -> Settings:
    """Return the settings of ``folder``, or of here, for a command of Typer's ``group``.

    Raises UserError, with file and key, for what is wrong with them.
    """

    def elsewhere(key: str) -> bool:
        return key in group.names or any(key in takers(group, other) for other in group.names)

    return read(name, takers(group, name), elsewhere, folder)


@cache
def takers(group: Any, name: str) -> dict[str, Taker]:
    """Return the options of a command, as a settings file gives them, by key."""
    command = group.get_command(None, name)
    hints = get_type_hints(command.callback, include_extras=True)
    found = {}
    for parameter in command.params:
        key = next((text[2:] for text in parameter.opts if text.startswith("--")), str(parameter.name))
        if key in ASKED_ONCE:
            continue
        many = getattr(parameter, "multiple", False) or parameter.nargs == -1
        flag, path = getattr(parameter, "is_flag", False), _is_path(hints[parameter.name])
        found[key] = Taker(str(parameter.name), flag, many, path, partial(_check, command, parameter))
    return found


def _check(command: Any, parameter: Any, value: Any) -> None:
    try:
        parameter.process_value(typer.Context(command, info_name=command.name), value)
    except USAGE_ERROR as wrong:
        raise UserError(str(getattr(wrong, "message", None) or wrong)) from None


def _is_path(declared: Any) -> bool:
    """Return whether an option is declared as a path, a list of them, or either or None."""
    return declared is Path or any(
        map(_is_path, get_args(declared)[: 1 if hasattr(declared, "__metadata__") else None])
    )
