"""What was derived from the runs of a machine, kept beside them, so that it need not be derived again.

An index is a file of SQLite that anybody may delete. Each entry has the mark of what it was derived from, which files
and by which code, and counts only while that is true. One that is lost, stale, damaged or cannot be written costs time
and no answer.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec

from mlpbench.bench.errors import user_error

#: In the folder of a machine's results; a dot keeps it out of lists of runs.
FILE = ".history.sqlite"
T = TypeVar("T")
_TABLE = "CREATE TABLE IF NOT EXISTS derived (run TEXT PRIMARY KEY, mark TEXT NOT NULL, content BLOB NOT NULL)"


def derived(
    folder: Path, runs: Sequence[Path], kind: type[T], derive: Callable[[Path], T], code: str
) -> tuple[dict[Path, T], str | None]:
    """Return what ``derive`` makes of each run, from the index of a machine's ``folder`` where that is still true.

    ``kind`` is a type that msgspec reads and writes, ``code`` names the code that derives. With it comes why the index
    could not be used, None where it could. Raises what ``derive`` raises.
    """
    marks = {run: _mark(run, code) for run in runs}
    known, trouble = _read(folder / FILE)
    found, made = {}, {}
    for run in runs:
        mark, content = known.get(run.name, ("", b""))
        kept = _decoded(content, kind) if mark == marks[run] else None
        if kept is None:
            kept = derive(run)
            made[run.name] = (marks[run], msgspec.json.encode(kept))
        found[run] = kept
    gone = known.keys() - {run.name for run in runs}
    if trouble is not None or made or gone:
        entries = {name: entry for name, entry in known.items() if name not in gone} | made
        trouble = _write(folder / FILE, entries, anew=trouble is not None)
    return found, trouble


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


def _decoded(content: bytes, kind: type[T]) -> T | None:
    """Return what an entry holds, None where its content is damaged."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _read(path: Path) -> tuple[dict[str, tuple[str, bytes]], str | None]:
    if not path.is_file():
        return {}, None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            rows = file.execute("SELECT run, mark, content FROM derived").fetchall()
    except sqlite3.Error as error:
        return {}, f"{path}: {error}"
    if not all(isinstance(text, str) for row in rows for text in row[:2]):
        return {}, f"{path}: not an index of mlpbench"
    return {run: (mark, content if isinstance(content, bytes) else b"") for run, mark, content in rows}, None


def _write(path: Path, entries: dict[str, tuple[str, bytes]], *, anew: bool) -> str | None:
    """Write all entries; ``anew``: over a file that cannot be read. Return why that failed, None where it did not."""
    rows = [(run, mark, content) for run, (mark, content) in entries.items()]
    try:
        if anew:
            path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as file, file:
            file.execute(_TABLE)
            file.execute("DELETE FROM derived")
            file.executemany("INSERT INTO derived VALUES (?, ?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        return f"{path}: {error}"
    return None
