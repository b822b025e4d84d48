"""JSON files that are there whole or not at all, and never written over by accident."""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.bench.errors import UserError
from mlpbench.bench.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping


_NUMBERS = re.compile(r"\[\n((?:\s*-?\d[\d.eE+-]*,?\n)+)\s*\]")


def write_atomically(path: Path, data: Mapping[str, Any], *, replace: bool = False) -> None:
    """Write ``data`` as JSON to ``path``: whole or not at all and, unless ``replace``, never over an existing file.

    Floats that JSON does not have (NaN, infinities) become null. Raises UserError if the file is there already, or if
    the folder is missing, full or not writable.
    """
    text = _one_line_each(json.dumps(plain(data), allow_nan=False, indent=1))
    try:
        # The partial file is no *.json, so that nobody reads it, and in the same folder, so that it can be linked.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        partial = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
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


def _one_line_each(text: str) -> str:
    """Put every list of numbers on one line: thousands of rounds, and a file that people can still look at.

    A line end is never inside a JSON string, so nothing else can match.
    """
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


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
