"""Numba's cache on disk with one file for everything that decides what is compiled, and a checksum in it.

Numba's own index knows the file of the function that it caches; what writes our instructions stands in other files.
And it numbers its data files: two processes that compile for two processors at once may take one number.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import contextlib
import hashlib
import pickle
import platform
import sys
import uuid
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.serialize import dumps

__all__ = ["compile_once"]

_DIGEST = 32


@cache
def source_digest() -> str:
    """Return the hash of every file of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class OneFile:
    """Stands in for Numba's index and data files: one file for each key, put in place at once and whole.

    A file that is not what was written (cut short, overwritten, of another format) is as good as none. Two processes
    that fill it at once write the same, and the later one wins.
    """

    def __init__(self, folder: str, stem: str) -> None:
        self.folder = Path(folder)
        self.stem = stem

    def path(self, key: Any) -> Path:
        """Return the file for Numba's ``key``: signature, processor and its features, bytecode."""
        versions = (numba.__version__, llvmlite.__version__, sys.version, platform.machine())
        digest = hashlib.sha256(repr((key, versions, source_digest())).encode()).hexdigest()
        return self.folder / f"{self.stem}.{digest[:24]}.nbc"

    def load(self, key: Any) -> Any:
        """Return what was saved for ``key``, or None."""
        try:
            content = self.path(key).read_bytes()
        except OSError:
            return None
        digest, payload = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(payload).digest() != digest:
            return None
        return pickle.loads(payload)  # noqa: S301 - as Numba does; the folder is the user's own

    def save(self, key: Any, data: Any) -> None:
        """Write ``data`` for ``key``."""
        payload = dumps(data)
        path = self.path(key)
        temporary = path.with_suffix(f".{uuid.uuid4().hex[:12]}.tmp")
        try:
            temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def flush(self) -> None:
        """Do nothing: a file that no key leads to is never read."""


def compile_once(function: Any, signature: Any, **options: Any) -> Any:
    """Compile ``function`` for one signature, or load it from the cache; where there is no folder for one, compile."""
    dispatcher = numba.njit(**options)(function)
    try:
        dispatcher.enable_caching()
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
    else:
        stored = dispatcher._cache  # noqa: SLF001 - Numba has no other way in
        stored._cache_file = OneFile(stored.cache_path, f"{function.__module__}.{function.__qualname__}")  # noqa: SLF001
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher
