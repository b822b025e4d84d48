"""The settings file as Click takes it: a map of defaults for one command, each checked as its option would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import typer

from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.settings import Settings, Taker, read

#: What Typer raises for words it cannot read. Its library has moved between releases; its children have not.
USAGE_ERROR: type[Any] = typer.BadParameter.__mro__[1]
#: Options that say what a command is asked for this once.
ASKED_ONCE = {"help", "help-all", "version", "dry-run", "resume", "anyway", "keep", "traceback"}


@dataclass(frozen=True)
class Invocation:
    """How mlpbench was called: the words that were typed behind its name, and the settings of a command by name."""

    words: Sequence[str] = ()
    settings: Mapping[str, Settings] = field(default_factory=dict)


def of_command(group: Any, name: str, folder: Path | None = None) -> Settings:
    """Return the settings of ``folder``, or of here, for a command of Typer's ``group``. Raises UserError."""

    def elsewhere(key: str) -> bool:
        return key in (names := group.list_commands(None)) or any(key in takers(group, other) for other in names)

    return read(name, takers(group, name), elsewhere, folder)


@cache
def takers(group: Any, name: str) -> dict[str, Taker]:
    """Return the options of a command, as a settings file gives them, by key."""
    command, options = group.get_command(None, name), {}
    for option in command.params:
        key = next((text[2:] for text in option.opts if text.startswith("--")), str(option.name))
        many = getattr(option, "multiple", False) or option.nargs == -1
        check = partial(_check, command, option)
        options[key] = Taker(str(option.name), getattr(option, "is_flag", False), many, check)
    return {key: taker for key, taker in options.items() if key not in ASKED_ONCE}


def _check(command: Any, option: Any, value: Any) -> None:
    try:
        option.process_value(typer.Context(command, info_name=command.name), value)
    except USAGE_ERROR as wrong:
        raise UserError(str(getattr(wrong, "message", None) or wrong)) from None
