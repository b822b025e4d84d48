"""The settings file of a team: options that nobody has to type.

It is ``mlpbench.toml``, or the table ``[tool.mlpbench]`` of ``pyproject.toml``, here or above as far as the repository
reaches. A key is an option without its dashes; in a table with the name of a command it is for that command alone.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from mlpbench.bench import values
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.untrusted import MAX_LINE, in_short, read_toml
from mlpbench.kernels.registry import nearest

FILES = ("mlpbench.toml", "pyproject.toml")
#: Options that are paths, which are meant from where the file is.
PATHS = {"model", "output", "path", "results", "sources", "ssh"}


class Taker(NamedTuple):
    """An option: its name in the program, and what it takes. ``check`` raises for what its command would refuse."""

    name: str
    flag: bool
    many: bool
    check: Callable[[Any], object] = bool


@dataclass(frozen=True)
class Settings:
    """What a settings file says to one command: the ``values`` of its options as texts, and their ``places`` in it."""

    values: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


def read(
    command: str, takers: Mapping[str, Taker], elsewhere: Callable[[str], bool], folder: Path | None = None
) -> Settings:
    """Return the settings of ``folder``, or of here, for a command, whose options are ``takers`` by key.

    ``elsewhere`` says whether a key is another command, or an option of one. Raises UserError, with file and key, for
    an unknown key and for a value that its option does not take.
    """
    file, table = find(folder)
    if file is None:
        return Settings()
    settings, places = dict[str, Any](), dict[str, str]()
    for path, value in sorted(_flat(table).items(), key=lambda item: len(item[0])):
        is_ours = path[:-1] in ((), (command,))
        key, where = path[-1 if is_ours else 0], place(file, *(path if is_ours else path[:1]))
        if key not in takers and (path[:-1] == (command,) or not elsewhere(key)):
            raise UserError(f"{where}: there is no such option or command{nearest(key, sorted(takers))}")
        if is_ours and key in takers:
            taker = takers[key]
            with placed(where):
                typed = as_typed(taker, value)
                taker.check(typed)
            if key in PATHS:
                paths = [str(file.parent / values.home(Path(text))) for text in (typed if taker.many else [typed])]
                typed = paths if taker.many else paths[0]
            settings[taker.name], places[taker.name] = typed, where
    return Settings(settings, places)


def find(folder: Path | None = None) -> tuple[Path | None, dict[str, Any]]:
    """Return the settings file of ``folder``, or of here, and its table: None and no table where there is none."""
    for file in _files(folder or Path()):
        table = read_toml(file, *_above(file))
        if isinstance(table, dict):
            return file, table
        if table is not None:
            raise UserError(f"{file}: tool.mlpbench: expected a table, got {in_short(repr(table))}")
    return None, {}


def flat(file: Path, table: Mapping[str, Any]) -> dict[str, str]:
    """Return every key of a settings file with its value, as texts."""
    return {".".join((*_above(file), *path)): in_words(value) for path, value in _flat(table).items()}


def _flat(table: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Return the values of a table and of the tables in it, by their keys."""
    tables = {(key,): value if isinstance(value, dict) else {"": value} for key, value in table.items()}
    return {(*path, key) if key else path: value for path, own in tables.items() for key, value in own.items()}


def place(file: Path, *path: str) -> str:
    """Return where a key stands: ``pyproject.toml: tool.mlpbench.run.profile``."""
    return f"{file}: {'.'.join((*_above(file), *map(in_short, path)))}"


def in_words(value: Any) -> str:
    """Return the value of an option as people write it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value) if not isinstance(value, bool) else "yes" if value else "no"


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Begin the errors of a block with the place of a key."""
    try:
        yield
    except UserError as wrong:
        raise UserError(f"{where}: {in_short(str(wrong), MAX_LINE)}") from None


def as_typed(taker: Taker, value: Any) -> Any:
    """Return a value of TOML or of Python as it is typed: a text, a list of them, or of a flag True or False.

    Raises UserError for one that the option does not take.
    """
    given = list(value) if isinstance(value, list | tuple) else [value]
    kinds = all(isinstance(i, str | int | float | PathLike) and isinstance(i, bool) == taker.flag for i in given)
    if not given or not kinds or (len(given) > 1 and not taker.many):
        expected = "true or false" if taker.flag else "texts or numbers" if taker.many else "one text or number"
        raise UserError(f"expected {expected}, got {in_short(repr(value))}")
    if taker.flag:
        return given[0]
    return list(map(str, given)) if taker.many else str(given[0])


def _files(folder: Path) -> Iterator[Path]:
    """Yield the settings files there may be, the nearest first: up to the repository's folder, or here alone."""
    here = folder.resolve()
    top = next((above for above in (here, *here.parents) if (above / ".git").exists()), here)
    for steps, above in enumerate((here, *here.parents)):
        files = (folder.joinpath(*[".."] * steps, name) for name in FILES)
        yield from (file for file in files if file.is_symlink() or file.exists())
        if above == top:
            return


def _above(file: Path) -> tuple[str, ...]:
    """Return the keys below which a file has settings."""
    return () if file.name == "mlpbench.toml" else ("tool", "mlpbench")
