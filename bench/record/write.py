"""Files that are there whole or not at all, and results that are never written over."""

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.fields import Block, File, as_json
from mlpbench.bench.record.untrusted import MAX_BYTES
from mlpbench.kernels.files import TooLarge, read_ordinary

_NUMBERS = re.compile(rb"\[\n((?:\s*-?\d[\d.eE+-]*,?\n)+)\s*\]")
_LISTS_OF_NUMBERS = re.compile(rb"\[\n((?:\s*\[[\d.eE+, -]*\],?\n)+)\s*\]")


def write_atomically(path: Path, content: Block | Mapping[str, Any], *, replace: bool = False) -> None:
    """Write a block as JSON to ``path``: whole or not at all and, unless ``replace``, never over an existing file.

    Floats that JSON does not have (NaN, infinities) become null. Raises UserError if the file is there already, or if
    the folder is missing, full or not writable.
    """
    write_bytes(path, as_bytes(content), replace=replace)


def as_bytes(content: Block | Mapping[str, Any]) -> bytes:
    """Return JSON as files hold it, every list of numbers on one line: people can still look at thousands of rounds."""
    text = msgspec.json.format(msgspec.json.encode(content, enc_hook=as_json), indent=1)
    for pattern in (_NUMBERS, _LISTS_OF_NUMBERS):  # a line end is never inside a string: nothing else can match
        text = pattern.sub(lambda items: b"[" + b"".join(items[1].split()) + b"]", text)
    return text


def write_bytes(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file as `write_atomically` does, and raise what that raises.

    It is written beside ``path``, hidden, and gets its name when it is whole. A process that is killed may leave it; a
    run that is resumed removes it.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)  # temporary files are for their owner alone; results are shared
            if replace:
                partial.replace(path)
            else:
                _publish(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        with suppress(OSError):  # folders cannot be opened on Windows; the file itself is safe by now
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except FileExistsError:
        raise UserError(f"{path} is there already and is not overwritten") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def write_document(path: Path, text: str | bytes) -> None:
    """Write what ``-o`` asks for, whole or not at all, in the place of an older one; a link is followed.

    Raises UserError where it cannot be written, and for a result: those are never overwritten. What is no ordinary
    file, as /dev/stdout, is written as it is; a pipe that nobody reads is refused.
    """
    content = text if isinstance(text, bytes) else text.encode(errors="replace")
    try:
        target = path.resolve()
        if target.is_symlink():
            target.stat()  # raises for a loop of links, of which resolving says nothing from Python 3.13 on
        if target.exists() and not target.is_file():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "wb") as other:
                os.set_blocking(other.fileno(), True)
                other.write(content)
        elif target.exists() and _is_a_result(target):
            raise UserError(f"{path} is a result, and results are not overwritten")  # noqa: TRY301 - its advice follows
        else:
            write_bytes(target, content, replace=True)
    except UserError as error:
        raise UserError(f"{str(error).replace(str(target), str(path), 1)}; choose another file with -o") from None
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name that no system takes
        why = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write {path}: {why}; choose another file with -o") from None


def _is_a_result(path: Path) -> bool:
    """Whether a file is one of those that mlpbench reads: what is too large to be read is none of them."""
    with suppress(msgspec.DecodeError, RecursionError, TooLarge):
        content = msgspec.json.decode(read_ordinary(path, MAX_BYTES), type=File[dict[str, msgspec.Raw]])
        return "schema" in content.mlpbench
    return False


def _publish(partial: Path, path: Path) -> None:
    """Give the finished file its name. A link fails where the name is taken; a rename would replace what is there."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: take the name first, then replace our own empty file
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        partial.replace(path)
