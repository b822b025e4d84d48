"""JSON and TOML that anyone may have written: bounded bytes, cleaned texts, decoded with their types checked.

`read` returns blocks that are safe to print, or raises UserError with the path, the place in it, and what is wrong.
"""

import json
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mlpbench.bench.cases import NAME_PATTERN
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import migrate
from mlpbench.bench.record.fields import MAX_TEXT, SCHEMA
from mlpbench.kernels.files import read_ordinary

_Content = TypeVar("_Content")

#: The largest record of a full sweep is below 1 MB. Lists of nothing, the worst there is, then take 0.4 GiB and 2 s.
MAX_BYTES = 16 * 2**20
#: What is larger is decoded into its types or refused at once: cleaning texts and finding faults take longer.
MAX_LOOKED_INTO = 4 * 2**20
MAX_DEPTH = 32
#: How much a line that says what is wrong with a file may quote from it.
MAX_LINE = 300
#: Settings and lists of hosts are written by people: a thousand hosts take a tenth of that.
MAX_TOML = 2**20
NAME = re.compile(NAME_PATTERN, re.ASCII)

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
#: Control, format (bidirectional overrides too), surrogate: they move cursors, hide text or cannot be encoded.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
#: A JSON string, or what is left of one that does not end.
_LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
#: A key of TOML with so many parts: what reads it takes the square of their number, and a level of nesting for each.
_DEEP_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}""")
#: What `read` takes as the type of a file of somebody else's benchmarks.
PYTESTS = "a pytest-benchmark file"
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels: more than any file of mlpbench has"


def read(path: Path, kind: type[_Content], is_called: str = "a result file") -> _Content:
    """Return the content of a file. Raises UserError where it is not what ``kind`` says; ``is_called`` names that."""
    raw = read_bytes(path)
    if not raw.strip():
        raise UserError(f"{path}: empty; the process that wrote it was interrupted: delete it and run again")
    return decode(raw, path, kind, is_called)


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return the bytes of an ordinary file. Raises UserError where it is none, or has more than ``most``."""
    try:
        return read_ordinary(path, most)
    except FileNotFoundError:
        raise UserError(f"{path}: {'a link to nothing' if path.is_symlink() else 'no such file'}") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no system takes
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def read_toml(path: Path, *table: str) -> Any:
    """Return the content of a TOML file, or a table of it, such as "tool", "mlpbench"; None where it has none.

    What is returned is not deep, and has bounded texts. Raises UserError, one line that begins with the path.
    """
    import tomllib

    raw = read_bytes(path, MAX_TOML)
    if not all(name.encode() in raw for name in table):
        return None  # somebody else's
    try:
        text = raw.decode("utf-8-sig")
        if _DEEP_KEY.search(text):
            raise RecursionError  # noqa: TRY301 - as where it is read
        found: Any = tomllib.loads(text)
        for name in table:
            found = found.get(name) if isinstance(found, dict) else None
        return _tidy(found)
    except RecursionError:
        raise UserError(f"{path}: {_TOO_DEEP}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid TOML: {in_short(str(error), MAX_LINE)}") from None
    except ValueError as error:  # a number with thousands of digits
        raise UserError(f"{path}: {in_short(str(error), MAX_LINE)}") from None


def decode(raw: bytes, path: Path, kind: type[_Content], is_called: str = "a result file") -> _Content:
    """Return the content of the bytes of a file, of an older schema too. Raises UserError as `read`."""
    text = _cleaned(raw, path)
    try:
        try:
            content: _Content = _decoder(kind).decode(text)  # type: ignore[arg-type]  # types can be hashed
            return content  # noqa: TRY300 - all that follows is about what cannot be decoded
        except msgspec.ValidationError:
            if len(text) > MAX_LOOKED_INTO:
                raise
        data = _tidy(msgspec.json.decode(text))
        _refuse_foreign(data, path, is_called)
        block = data.get("mlpbench")
        if isinstance(block, dict) and (schema := block.get("schema")) in (1, 2):
            try:
                migrate.from_older(data)
            except migrate.DAMAGED as error:
                raise UserError(f"{path}: damaged: not as schema {schema} says ({in_short(repr(error))})") from None
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).rpartition(" - at `$")
        told = in_short(f"{place.strip('.`')}: {what}" if what else str(error), MAX_LINE)
        raise UserError(f"{path}: {told}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise UserError(f"{path}: not JSON: {in_short(str(error), MAX_LINE)}") from None
    except RecursionError:
        raise UserError(f"{path}: {_TOO_DEEP}") from None


def clean_text(text: str) -> str:
    """Return ``text`` as one printable line: no escape sequences, control or format characters, bounded length."""
    if len(text) <= MAX_TEXT and text.isascii() and text.isprintable():
        return text
    text = " ".join(_ESCAPE_SEQUENCE.sub("", text[: 2 * MAX_TEXT]).split())
    text = "".join(char for char in text if unicodedata.category(char) not in _UNPRINTABLE)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def in_short(text: str, most: int = 60) -> str:
    """Return ``text`` as `clean_text` does, and of one with more than ``most`` characters beginning and end."""
    return clean_text(text if len(text) <= most else f"{text[: most - most // 3]}…{text[-(most // 3) :]}")


def inert(text: str) -> str:
    """Return ``text`` with its lines, and without whatever a terminal would obey."""
    return "".join(
        c for c in _ESCAPE_SEQUENCE.sub("", text) if c == "\n" or unicodedata.category(c) not in _UNPRINTABLE
    )


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _cleaned(raw: bytes, path: Path) -> bytes:
    """Return JSON whose texts are clean. Most files are ASCII without escapes and need no look at each text."""
    if raw.isascii() and b"\\" not in raw and b"\x7f" not in raw:
        return raw
    if len(raw) > MAX_LOOKED_INTO:
        raise UserError(f"{path}: larger than {MAX_LOOKED_INTO // 2**20} MiB, with texts that are not plain ASCII")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not JSON: byte {error.start} is not UTF-8") from None
    return _LITERAL.sub(lambda found: _clean_literal(found[0]), text.encode())


def _clean_literal(literal: bytes) -> bytes:
    if literal.isascii() and b"\\" not in literal and b"\x7f" not in literal:
        return literal
    try:
        text = json.loads(literal)
    except ValueError:  # no JSON: the decoder says so, with the position
        return literal
    return json.dumps(clean_text(text), ensure_ascii=False).encode()


def _tidy(value: Any, depth: int = 0, keep_null: bool = False) -> Any:
    """Return decoded JSON or TOML with bounded texts, and without null but where a kernel describes itself.

    Raises RecursionError, and ValueError for a number of many digits.
    """
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int) and value.bit_length() > 8192:  # Python does not write 4,300 digits
        raise ValueError("a number has too many digits")
    if isinstance(value, list):
        return [_tidy(item, depth + 1, keep_null) for item in value]
    if isinstance(value, dict):
        return {
            clean_text(key): _tidy(item, depth + 1, keep_null or key == "describe")
            for key, item in value.items()
            if keep_null or item is not None
        }
    return value


def _refuse_foreign(data: Any, path: Path, is_called: str) -> None:
    """Refuse what has no block of ours, or one of a newer version or of another kind of file."""
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected an object, got {type(data).__name__}")
    if is_called == PYTESTS:
        if "benchmarks" not in data:
            raise UserError(f"{path}: JSON, but no file of pytest-benchmark, whose --benchmark-json writes benchmarks")
        return
    block = data.get("mlpbench")
    if block is None:
        pytests = "a plain pytest-benchmark file" if "benchmarks" in data else "JSON, but no record"
        raise UserError(f'{path}: {pytests}: it has no "mlpbench" block; `mlpbench run` writes files with one')
    schema, kind = (block.get("schema"), block.get("kind")) if isinstance(block, dict) else (None, None)
    if type(schema) is int and schema > SCHEMA:
        raise UserError(f"{path}: written in schema {schema}; this version reads up to {SCHEMA}: upgrade mlpbench")
    if is_called == "a record" and kind in ("plan", "sweep"):
        raise UserError(f"{path}: the plan of a run, not a record; name its folder to read the run")
