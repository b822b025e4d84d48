"""Numba's cache on disk, with a file for each key: the key covers all that decides what is compiled.

Numba's own cache would not do. Its index knows the one file in which the function stands, and other files shape our
code too. An index that was cut short ends the process that reads it. And data files are numbered: two processes that
compile for two processors at once may take one number. Here each file holds its checksum.
"""

# mypy: disable-error-code="no-untyped-call"
import contextlib
import hashlib
import pickle
import platform
import re
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import FunctionCache
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

_DIGEST = 32

#: Numba's settings that change what is compiled and that its key leaves out.
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")

#: A file of this cache: stem, key, and an ending. Numba's and Python's files may lie beside it.
_OURS = re.compile(r"((?:mlpbench\.)?kernels\.[\w.]+)\.[0-9a-f]{24}\.(nbc|[0-9a-f]{12}\.tmp)")
#: A file that no process has used for so long is removed, and of each function all but so many that were used last.
UNUSED_S = 30 * 86400.0
MOST_FILES = 24


def code_files() -> list[Path]:
    """Return the files of all modules that shape compiled code: `numba_jit`, `numba_simd`, and what they import."""
    kernels = Path(__file__).parent.parent
    imported = [kernels / f"{name}.py" for name in ("errors", "networks", "params", "spec")]
    return sorted([*(kernels / "numba_jit").rglob("*.py"), *(kernels / "numba_simd").rglob("*.py"), *imported])


@cache
def source_digest() -> str:
    """Return the hash of `code_files`."""
    digest = hashlib.sha256()
    for path in code_files():
        digest.update(f"{path.parent.name}/{path.name}".encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class OneFile:
    """Stands in for Numba's index and data files: one file for each key, put in place at once and whole.

    A file that is not what was written (cut short, overwritten, of another format) counts as none. Two processes that
    write a file at once write the same code, and the later one wins.
    """

    def __init__(self, folder: str, stem: str) -> None:
        self.folder = Path(folder)
        self.stem = stem

    def path(self, key: Any) -> Path:
        """Return the file for Numba's ``key``: signature, processor and its features, bytecode."""
        versions = (numba.__version__, llvmlite.__version__, sys.version, platform.machine())
        settings = [getattr(numba.config, name, None) for name in _SETTINGS]
        digest = hashlib.sha256(repr((key, versions, settings, source_digest())).encode()).hexdigest()
        return self.folder / f"{self.stem}.{digest[:24]}.nbc"

    def load(self, key: Any) -> Any:
        """Return what was saved for ``key``, or None. The file's time says when it was last used."""
        path = self.path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, payload = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(payload).digest() != digest:
            return None
        with contextlib.suppress(OSError):  # the folder may be read-only, or another process has just removed the file
            path.touch(exist_ok=True)
        return pickle.loads(payload)  # noqa: S301 - as Numba does; the folder is the user's own

    def save(self, key: Any, data: Any) -> None:
        """Write ``data`` for ``key``, and `prune`. Raises OSError where the file cannot be written."""
        payload = dumps(data)
        path = self.path(key)
        temporary = path.with_suffix(f".{uuid.uuid4().hex[:12]}.tmp")
        try:
            temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        self.prune(path)

    def prune(self, written: Path) -> None:
        """Remove files of older sources, of other versions and of killed processes, but not the one just ``written``.

        A file that cannot be removed is left: another process may be removing it. A process that is about to read a
        file that is gone compiles. The file system's clock alone says how old a file is.
        """
        now = written.stat().st_mtime
        found = []
        for path in self.folder.iterdir():
            name = _OURS.fullmatch(path.name)
            if name and path != written:
                with contextlib.suppress(OSError):
                    found.append((path.stat().st_mtime, name[1], path))
        kept = Counter({self.stem: 1})
        for used, stem, path in sorted(found, reverse=True):
            kept[stem] += 1
            if now - used > UNUSED_S or kept[stem] > MOST_FILES:
                with contextlib.suppress(OSError):
                    path.unlink()

    def flush(self) -> None:
        """Do nothing: no key leads to an old file."""


class Cache(FunctionCache):
    """Numba's cache of one function, in files as `OneFile` writes them."""

    def __init__(self, function: Any, *, parallel: bool = False) -> None:
        super().__init__(function)
        stem = f"{function.__module__}.{function.__qualname__}{'.parallel' if parallel else ''}"
        self._cache_file: Any = OneFile(self.cache_path, stem)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load what was compiled, or return None. Nothing is imported that only a compiler needs.

        Numba would first import all that it can compile, and SciPy: about half of the time to a first result. Machine
        code calls no more than Numba's runtime. A compiler that is needed later prepares itself.
        """
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write what was compiled if it can be written: a full disk or a folder that is gone is no reason to fail."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)

    def load_code(self, key: Any) -> bytes | None:
        """Load what was saved, or return None."""
        code: bytes | None = self._cache_file.load(key)
        return code

    def save_code(self, key: Any, code: bytes) -> None:
        """Write ``code`` if it can be written, as `save_overload` does."""
        with contextlib.suppress(OSError):
            self._cache_file.save(key, code)


def _cache_of(function: Any, *, parallel: bool = False) -> Cache | None:
    """Return the cache of a function at the top of a module, or None where there is no folder for one."""
    try:
        return Cache(function, parallel=parallel)
    except RuntimeError as error:
        if "no locator available" not in str(error):  # neither a folder here nor one of the user
            raise
        return None


def compile_once(function: Any, signature: Any, *, parallel: bool = False, **options: Any) -> Any:
    """Compile ``function``, from the top of a module, for one signature, or load it from the cache.

    Where there is no folder for a cache, the function is compiled. No call of the returned function compiles.
    """
    dispatcher = numba.njit(parallel=parallel, **options)(function)
    if (kept := _cache_of(function, parallel=parallel)) is not None:
        dispatcher._cache = kept  # noqa: SLF001 - Numba has no other way in
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher


def kept_code(function: Any, key: Any, make: Callable[[], bytes]) -> tuple[bytes, bool]:
    """Return code that is kept for ``key``, and True; or else what ``make`` returns, and False.

    It lies beside the code of ``function``, under its name.
    """
    kept = _cache_of(function)
    loaded = kept.load_code(key) if kept else None
    if loaded is not None:
        return loaded, True
    code = make()
    if kept:
        kept.save_code(key, code)
    return code, False
