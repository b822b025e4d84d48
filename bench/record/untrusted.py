"""JSON that anyone may have written: bounded, cleaned, and read with its types checked.

A result file may come from another machine, another version or another hand. `load` gives back plain values that are
safe to print; `Block` hands them out one by one, and says in one line what is wrong and where.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import TYPE_CHECKING, Any, NoReturn

from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


#: The largest record of a full sweep is below 1 MB.
MAX_BYTES = 64 * 2**20
MAX_DEPTH = 32
MAX_TEXT = 10_000
#: Whole numbers stay below the first that a float cannot hold; times between a picosecond and a year.
MAX_INTEGER = 2**53
MIN_SECONDS = 1e-12
MAX_SECONDS = 3.2e7

#: Names that end up in file names and tables: kernels, modes, runs, profiles.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
#: Control, format (bidirectional overrides too), surrogate: they move cursors, hide text or cannot be encoded.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_MISSING = object()


def load(path: Path) -> Any:
    """Return the JSON of a file, every text in it cleaned.

    Raises UserError, one line that begins with the path: not there, not readable, too large, empty, not JSON (with the
    position), nested too deeply, or with numbers that JSON does not have.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES // 2**20} MiB; this is not a result file")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not JSON: byte {error.start} is not UTF-8") from None
    if not text.strip():
        raise UserError(f"{path}: empty; the process that wrote it was interrupted: delete it and run again")
    try:
        return _clean(json.loads(text, parse_constant=_no_constant), 0)
    except json.JSONDecodeError as error:
        where = f"{error.msg} at line {error.lineno}, column {error.colno}"
        cut = " (cut off: delete it and run again)" if error.pos >= len(text.rstrip()) - 1 else ""
        raise UserError(f"{path}: not JSON: {where}{cut}") from None
    except RecursionError:
        raise UserError(f"{path}: nested deeper than {MAX_DEPTH} levels; this is not a result file") from None
    except ValueError as error:  # a constant that is no JSON, or digits beyond Python's limit
        raise UserError(f"{path}: not JSON: {str(error).partition(';')[0]}") from None


def clean_text(text: str) -> str:
    """Return ``text`` as one printable line: no escape sequences, control or format characters, bounded length."""
    text = " ".join(_ESCAPE_SEQUENCE.sub("", text[: 2 * MAX_TEXT]).split())
    text = "".join(char for char in text if unicodedata.category(char) not in _UNPRINTABLE)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def machine_name(environment: Mapping[str, Any]) -> str:
    """Return the machine's name as an environment gives it, or "unknown"."""
    machine = environment.get("machine")
    name = machine.get("name") if isinstance(machine, dict) else None
    return name if isinstance(name, str) and name else "unknown"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _clean(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number beyond the range of a float")
    return value


class Block:
    """A JSON object whose members are asked for by name and type.

    ``where`` names it in messages: the path of the file, then the way to it. Every method raises UserError if the
    member is missing (and no ``default`` was given) or of another type. A member that is null counts as missing.
    """

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise UserError(f"{where}: expected an object, got {_show(data)}")
        self.data: dict[str, Any] = data
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self.data.get(key) is not None

    def block(self, key: str) -> Block:
        """Return an object; a missing one is empty."""
        return Block(self._get(key, {}), f"{self.where}: {key}")

    def blocks(self, key: str) -> Iterator[Block]:
        """Yield the objects of a list; a missing one is empty."""
        for i, item in enumerate(self._list(key)):
            yield Block(item, f"{self.where}: {key}[{i}]")

    def text(self, key: str, default: Any = _MISSING) -> Any:
        """Return free text."""
        return self._typed(key, default, str, "text")

    def name(self, key: str, default: Any = _MISSING) -> Any:
        """Return a name: letters, digits, ``.``, ``_`` and ``-``, fit for tables and file names."""
        value = self._typed(key, default, str, "a name")
        if isinstance(value, str) and not NAME.fullmatch(value):
            self.refuse(key, value, "a name of letters, digits, '.', '_' and '-'")
        return value

    def names(self, key: str) -> list[str]:
        """Return a list of names; a missing one is empty."""
        pairs = [Block({key: item}, self.where) for item in self._list(key)]
        return [pair.name(key) for pair in pairs]

    def texts(self, key: str) -> list[str]:
        """Return a list of free texts; a missing one is empty."""
        pairs = [Block({key: item}, self.where) for item in self._list(key)]
        return [pair.text(key) for pair in pairs]

    def integers(self, key: str, minimum: int) -> list[int]:
        """Return a list of whole numbers of at least ``minimum``; a missing one is empty."""
        pairs = [Block({key: item}, self.where) for item in self._list(key)]
        return [pair.integer(key, minimum) for pair in pairs]

    def pairs(self, key: str) -> list[tuple[str, int]]:
        """Return a list of [name, number from 0]; a missing one is empty."""
        result = []
        for item in self._list(key):
            if not isinstance(item, list) or len(item) != 2:
                self.refuse(key, item, "pairs of a name and a number")
            pair = Block({"name": item[0], "number": item[1]}, f"{self.where}: {key}")
            result.append((pair.name("name"), pair.integer("number", 0)))
        return result

    def flag(self, key: str, default: Any = _MISSING) -> Any:
        """Return true or false."""
        return self._typed(key, default, bool, "true or false")

    def integer(self, key: str, minimum: int, default: Any = _MISSING) -> Any:
        """Return a whole number of at least ``minimum``."""
        value = self._typed(key, default, int, "a whole number")
        if value is not default and not minimum <= value <= MAX_INTEGER:
            self.refuse(key, value, f"a whole number of at least {minimum}")
        return value

    def number(self, key: str, default: Any = _MISSING) -> Any:
        """Return a finite number as a float."""
        value = self._typed(key, default, (int, float), "a number")
        if value is not default and abs(value) > 1e300:
            self.refuse(key, value, "a number")
        return default if value is default else float(value)

    def seconds(self, key: str, default: Any = _MISSING) -> Any:
        """Return a time that is not negative."""
        value = self.number(key, default)
        if value is not default and not 0 <= value <= MAX_SECONDS:
            self.refuse(key, value, "seconds")
        return value

    def timings(self, key: str) -> tuple[float, ...]:
        """Return a list of times above 0, at least one."""
        values = self.durations(key)
        if not values:
            raise UserError(f"{self.where}: {key}: no rounds; write the file with --benchmark-json, which keeps them")
        return values

    def durations(self, key: str) -> tuple[float, ...]:
        """Return a list of times above 0; a missing one is empty."""
        values = self._list(key)
        for value in values:
            if type(value) not in (int, float) or not MIN_SECONDS <= value <= MAX_SECONDS:
                self.refuse(key, value, "seconds above 0")
        return tuple(map(float, values))

    def refuse(self, key: str, value: Any, expected: str) -> NoReturn:
        """Raise the UserError for a member that is not what it should be."""
        raise UserError(f"{self.where}: {key}: expected {expected}, got {_show(value)}")

    def _get(self, key: str, default: Any) -> Any:
        value = self.data.get(key)
        if value is None:
            if default is _MISSING:
                raise UserError(f"{self.where}: {key} is missing; this is not a record of mlpbench, or a damaged one")
            return default
        return value

    def _typed(self, key: str, default: Any, kind: type | tuple[type, ...], expected: str) -> Any:
        value = self._get(key, default)
        if value is default:
            return value
        # bool is an int in Python, and never a count or a time here
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(key, value, expected)
        return value

    def _list(self, key: str) -> list[Any]:
        value = self._get(key, [])
        if not isinstance(value, list):
            self.refuse(key, value, "a list")
        return value


def _show(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
