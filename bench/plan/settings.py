"""The settings file of a team: options that nobody has to type.

It is ``mlpbench.toml``, or the table ``[tool.mlpbench]`` of ``pyproject.toml``, here or above as far as the repository
reaches. A key is an option without its dashes; in a table with the name of a command it is for that command alone.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    own = table.get(command, {}) if isinstance(table.get(command), dict) else {}
    strange: list[tuple[str, ...]] = [(key,) for key in table.keys() - takers.keys() - {command} if not elsewhere(key)]
    strange += [(command, key) for key in own.keys() - takers.keys()]
    if strange:
        raise _unknown(file, min(strange), takers)
    given = {key: (value, (key,)) for key, value in table.items() if key in takers and not isinstance(value, dict)}
    given |= {key: (value, (command, key)) for key, value in own.items()}
    places = {takers[key].name: place(file, *path) for key, (_, path) in given.items()}
    checked = {takers[key].name: _value(takers[key], value, file, path) for key, (value, path) in given.items()}
    return Settings(checked, places)


def find(folder: Path | None = None) -> tuple[Path | None, dict[str, Any]]:
    """Return the settings file of ``folder``, or of here, and its table: None and no table where there is none."""
    for file in _files(folder or Path()):
        table = read_toml(file, *_above(file))
        if isinstance(table, dict):
            return file, table
        if table is not None:
            raise UserError(f"{file}: tool.mlpbench: expected a table, got {_shown(table)}")
    return None, {}


def flat(file: Path, table: Mapping[str, Any]) -> dict[str, str]:
    """Return every key of a settings file with its value, as texts."""
    tables = {name: value if isinstance(value, dict) else {"": value} for name, value in table.items()}
    return {
        ".".join(filter(None, (*_above(file), name, key))): in_words(value)
        for name, own in tables.items()
        for key, value in own.items()
    }


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


def _unknown(file: Path, path: tuple[str, ...], known: Collection[str]) -> UserError:
    return UserError(f"{place(file, *path)}: there is no such option or command{nearest(path[-1], sorted(known))}")


def _value(taker: Taker, value: Any, file: Path, path: tuple[str, ...]) -> Any:
    """Return a value as the command line would have it. Raises UserError for one that the option does not take."""
    with placed(place(file, *path)):
        if taker.flag != isinstance(value, bool):
            raise UserError(f"expected {'true or false' if taker.flag else 'no true or false'}, got {_shown(value)}")
        if taker.flag:
            return value
        given = value if isinstance(value, list) else [value]
        texts = [str(item) for item in given if isinstance(item, str | int | float) and not isinstance(item, bool)]
        if not texts or len(texts) < len(given) or (len(texts) > 1 and not taker.many):
            expected = "a text or a number, or a list of them" if taker.many else "one text or number"
            raise UserError(f"expected {expected}, got {_shown(value)}")
        taker.check(texts if taker.many else texts[0])
    if path[-1] in PATHS:
        texts = [str(file.parent / values.home(Path(text))) for text in texts]
    return texts if taker.many else texts[0]


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else in_short(repr(value))
