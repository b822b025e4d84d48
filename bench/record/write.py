"""JSON files that are there whole or not at all, and never written over by accident."""

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.fields import Block, as_json

_NUMBERS = re.compile(rb"\[\n((?:\s*-?\d[\d.eE+-]*,?\n)+)\s*\]")


def write_atomically(path: Path, content: Block | Mapping[str, Any] | msgspec.Raw, *, replace: bool = False) -> None:
    """Write a block as JSON to ``path``: whole or not at all and, unless ``replace``, never over an existing file.

    Floats that JSON does not have (NaN, infinities) become null. Raises UserError if the file is there already, or if
    the folder is missing, full or not writable.
    """
    write_bytes(
        path,
        _one_line_each(msgspec.json.format(msgspec.json.encode(content, enc_hook=as_json), indent=1)),
        replace=replace,
    )


def write_bytes(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file as `write_atomically` does, and raise what that raises."""
    try:
        # The partial file is no *.json, so that nobody reads it, and in the same folder, so that it can be linked.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(0o644)  # mkstemp's files are for their owner alone; results are shared
            if replace:
                partial.replace(path)
            else:
                _publish(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError:
        raise UserError(f"{path} is there already and is not overwritten") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def _one_line_each(text: bytes) -> bytes:
    """Put every list of numbers on one line: thousands of rounds, and a file that people can still look at.

    A line end is never inside a JSON string, so nothing else can match.
    """
    return _NUMBERS.sub(lambda found: b"[" + b" ".join(found[1].split()) + b"]", text)


def _publish(partial: Path, path: Path) -> None:
    """Give the finished file its name. A link fails where the name is taken; a rename would replace what is there."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: take the name first, then replace our own empty file
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        partial.replace(path)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # folders cannot be opened on Windows; the file itself is safe by now
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
