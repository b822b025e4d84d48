"""What was derived from the runs of a machine, kept beside them, so that it need not be derived again.

The file is one that anybody may delete. Each entry has the mark of what it was derived from, which files and by which
code, and counts only while that is true. An index that is lost, stale or damaged costs time and no answer.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.record.write import write_bytes
from mlpbench.kernels.files import read_ordinary

#: In the folder of a machine's results; a dot keeps it out of lists of runs.
FILE = ".history.json"
MAX_BYTES = 256 * 2**20
T = TypeVar("T")


def derived(
    folder: Path, runs: Sequence[Path], kind: type[T], derive: Callable[[Path], T], code: str
) -> tuple[dict[Path, T], str | None]:
    """Return what ``derive`` makes of each run, from the index of a machine's ``folder`` where that is still true.

    ``kind`` is a type that msgspec reads and writes, ``code`` names the code that derives. With it comes why the index
    could not be written, None where it could. Raises what ``derive`` raises.
    """
    path, known, problem = folder / FILE, dict[str, tuple[str, msgspec.Raw]](), None
    with suppress(OSError, msgspec.MsgspecError, RecursionError):
        known = msgspec.json.decode(read_ordinary(path, MAX_BYTES), type=dict[str, tuple[str, msgspec.Raw]])
    results: dict[Path, T] = {}
    entries: dict[str, tuple[str, msgspec.Raw]] = {}
    for run in runs:
        mark, (kept_mark, content) = _mark(run, code), known.get(run.name, ("", msgspec.Raw(b"")))
        try:
            results[run] = msgspec.json.decode(content if kept_mark == mark else b"", type=kind)
        except (msgspec.MsgspecError, RecursionError):
            results[run] = derive(run)
            content = msgspec.Raw(msgspec.json.encode(results[run]))
        entries[run.name] = (mark, content)
    if entries != known:
        try:
            write_bytes(path, msgspec.json.encode(entries), replace=True)
        except UserError as error:
            problem = str(error)
    return results, problem


def code_of(*folders: Path) -> str:
    """Return a digest of the Python files of some folders: what is derived by other code is derived again."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _mark(run: Path, code: str) -> str:
    """Return a digest of names, sizes and dates of all files of a run, and of the code. Raises UserError."""
    digest = hashlib.sha256(code.encode())
    with user_error(f"{run}: cannot be read"):
        for path in sorted(run.rglob("*.json")):
            state = path.stat()
            digest.update(f"{path.relative_to(run)}\0{state.st_size}\0{state.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()
