"""The settings file of a team: options that nobody has to type, and where the value of each option comes from.

It is ``mlpbench.toml``, or the table ``[tool.mlpbench]`` of ``pyproject.toml``, here or above as far as the repository
reaches. A key is an option without its dashes; in a table with the name of a command it is for that command alone. The
command line wins over the file, and the file over what is usual.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Self, get_args, get_type_hints

import typer

from mlpbench.bench import values
from mlpbench.bench.cli import options
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.untrusted import MAX_LINE, in_short, read_toml
from mlpbench.kernels import registry
from mlpbench.kernels.errors import SpecError, UnknownKernel

#: What Typer raises for words it cannot read. Its library has moved between releases; its children have not.
USAGE_ERROR: type[Any] = typer.BadParameter.__mro__[1]
FILES = ("mlpbench.toml", "pyproject.toml")
#: Options, and the parameters that they exclude.
RIVALS = (({"--repeats"}, ("budget", "target")), ({"--budget", "--target"}, ("repeats",)))
#: Options that say what a command is asked for this once.
ASKED_ONCE = {"help", "version", "dry-run", "resume", "anyway", "keep", "traceback", "suffix"}


@dataclass(frozen=True)
class Settings:
    """What a settings file says. ``values``: by command and parameter; ``keys``: where in the file each of them is."""

    file: Path | None = None
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def place(self, command: str, parameter: str) -> str:
        """Return where the value of a parameter stands: ``pyproject.toml: tool.mlpbench.run.profile``."""
        return f"{self.file}: {self.keys[command, parameter]}"

    def beside(self, words: Sequence[str]) -> Self:
        """Return the settings without what an option on the command line rules out."""
        typed = {word.partition("=")[0] for word in words}
        ruled_out = {name for one, other in RIVALS if one & typed for name in other}
        left = {command: {k: v for k, v in own.items() if k not in ruled_out} for command, own in self.values.items()}
        return replace(self, values=left)

    def flat(self) -> dict[str, str]:
        """Return every key of the file with its value, as texts."""
        told = {self.keys[command, name]: value for command, own in self.values.items() for name, value in own.items()}
        return {key: in_words(value) for key, value in told.items()}


@dataclass(frozen=True)
class Invocation:
    """How mlpbench was called: the words that were typed behind its name, and the settings beside them."""

    words: Sequence[str] = ()
    settings: Settings = field(default_factory=Settings)


def read(group: Any, folder: Path | None = None) -> Settings:
    """Return the settings of ``folder``, or of here, for the commands of Typer's ``group``.

    Raises UserError, with file and key, for an unknown key and for a value that its option does not take.
    """
    for file in _files(folder or Path()):
        found = _table(file)
        if found is not None:
            return _settled(group, file, found, _above(file))
    return Settings()


def sources(context: typer.Context) -> Iterator[tuple[str, Any, str]]:
    """Yield each option of a command, its value and where that comes from; kernels and other arguments too."""
    settings = context.find_object(Invocation) or Invocation()
    command = str(context.info_name)
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is None or name not in context.params:
            continue
        told = {"COMMANDLINE": "command line", "DEFAULT_MAP": ""}.get(source.name, "default")
        yield option_of(parameter), context.params[name], told or settings.settings.place(command, name)


def typed(context: typer.Context) -> list[str]:
    """Return the whole command line, as one types it again."""
    found = context.find_object(Invocation) or Invocation()
    return ["mlpbench", *found.words]


def from_file(context: typer.Context) -> dict[str, str]:
    """Return the options that a command took from the settings file: where each stands, and its value."""
    usual = ("command line", "default")
    return {place: in_words(value) for _, value, place in sources(context) if place not in usual}


def option_of(parameter: Any) -> str:
    """Return an option as it is typed, without its dashes; of an argument its name."""
    return next((name[2:] for name in parameter.opts if name.startswith("--")), str(parameter.name))


def in_words(value: Any) -> str:
    """Return the value of an option as people write it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if value is None:
        return "not given"
    return str(value) if not isinstance(value, bool) else "yes" if value else "no"


def _files(folder: Path) -> Iterator[Path]:
    """Yield the settings files there may be, the nearest first: up to the repository's folder, or here alone."""
    here = folder.resolve()
    top = next((above for above in (here, *here.parents) if (above / ".git").exists()), here)
    for steps, above in enumerate((here, *here.parents)):
        for name in FILES:
            file = folder.joinpath(*[".."] * steps, name)
            if file.is_symlink() or file.exists():
                yield file
        if above == top:
            return


def _table(file: Path) -> dict[str, Any] | None:
    """Return the settings in a file, None where it has none. Raises UserError for what is no TOML."""
    found = read_toml(file, *_above(file))
    if found is not None and not isinstance(found, dict):
        raise UserError(f"{file}: tool.mlpbench: expected a table, got {_shown(found)}")
    return found


def _above(file: Path) -> tuple[str, ...]:
    """Return the keys below which a file has settings."""
    return () if file.name == "mlpbench.toml" else ("tool", "mlpbench")


def _settled(group: Any, file: Path, table: Mapping[str, Any], before: tuple[str, ...]) -> Settings:
    known = {name: _options(command) for name, command in group.commands.items()}
    values: dict[str, dict[str, Any]] = {name: {} for name in known}
    keys: dict[tuple[str, str], str] = {}
    own = {name: found for name, found in table.items() if isinstance(found, dict)}
    shared = {name: found for name, found in table.items() if name not in own}
    for key in shared:
        _check_shared(group, known, key, file, before)
    for name, keys_here in own.items():
        if name not in known:
            raise _unknown(file, (*before, name), list(known))
        for key in keys_here:
            if key not in known[name]:
                raise _unknown(file, (*before, name, key), list(known[name]))
    for name, taken in known.items():
        for path, found in (((), shared), ((name,), own.get(name, {}))):
            for key in found.keys() & taken.keys():
                where = ".".join((*before, *path, key))
                parameter = taken[key]
                values[name][parameter.name] = _value(group, name, parameter, found[key], f"{file}: {where}", file)
                keys[name, parameter.name] = where
    return Settings(file, {name: own_values for name, own_values in values.items() if own_values}, keys)


def _check_shared(
    group: Any, known: Mapping[str, Mapping[str, Any]], key: str, file: Path, before: tuple[str, ...]
) -> None:
    """Raise UserError for a key outside of tables that no command has, or that is a path for some commands only."""
    takers = {name: taken[key] for name, taken in known.items() if key in taken}
    if not takers:
        raise _unknown(file, (*before, key), [*(option for options in known.values() for option in options), *known])
    if len({_is_path(group.commands[name], parameter) for name, parameter in takers.items()}) > 1:
        tables = ", ".join(f"[{'.'.join((*before, name))}]" for name in takers)
        raise UserError(f"{file}: {'.'.join((*before, key))}: not the same in every command: put it into {tables}")


def _options(command: Any) -> dict[str, Any]:
    found = {option_of(parameter): parameter for parameter in command.params}
    return {name: parameter for name, parameter in found.items() if name not in ASKED_ONCE}


def _unknown(file: Path, path: Sequence[str], known: list[str]) -> UserError:
    near = registry.nearest(path[-1], sorted(set(known)))
    return UserError(f"{file}: {'.'.join(map(in_short, path))}: there is no such option or command{near}")


def _value(group: Any, command: str, parameter: Any, value: Any, where: str, file: Path) -> Any:
    """Return a value as the command line would have it. Raises UserError for one that the option does not take."""
    flag = getattr(parameter, "is_flag", False)
    many = getattr(parameter, "multiple", False) or parameter.nargs == -1
    if flag != isinstance(value, bool):
        raise UserError(f"{where}: expected {'true or false' if flag else 'no true or false'}, got {_shown(value)}")
    if flag:
        return value
    given = value if isinstance(value, list) else [value]
    texts = [str(one) for one in given if isinstance(one, str | int | float) and not isinstance(one, bool)]
    if not texts or len(texts) < len(given) or (len(texts) > 1 and not many):
        expected = "a text or a number, or a list of them" if many else "one text or number"
        raise UserError(f"{where}: expected {expected}, got {_shown(value)}")
    context = typer.Context(group.commands[command], info_name=command)
    try:
        parameter.process_value(context, texts if many else texts[0])
        for reader in _declared(group.commands[command], parameter)[1]:
            for text in texts:
                reader.read(text)
    except (USAGE_ERROR, UserError, SpecError, UnknownKernel) as wrong:
        said = str(getattr(wrong, "message", None) or wrong)
        raise UserError(f"{where}: {in_short(said, MAX_LINE)}") from None
    if _is_path(group.commands[command], parameter):  # it is meant from where the file is
        texts = [str(file.parent / values.home(Path(text))) for text in texts]
    return texts if many else texts[0]


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else in_short(repr(value))


def _declared(command: Any, parameter: Any) -> tuple[Any, list[options.Reader]]:
    """Return the type of a parameter as its command declares it, and what reads the texts of this very option."""
    declared = _hints(command.callback)[parameter.name]
    kind, *more = get_args(declared) if hasattr(declared, "__metadata__") else (declared,)
    return kind, [one for one in more if isinstance(one, options.Reader)]


@cache
def _hints(callback: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(callback, include_extras=True)


def _is_path(command: Any, parameter: Any) -> bool:
    kind, _ = _declared(command, parameter)
    return kind is Path or Path in get_args(kind)
