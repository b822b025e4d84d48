"""Results of several folders in one: all is read before anything is written, and what contradicts is refused."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.machine import look
from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.device import RoofsFile
from mlpbench.bench.record.fields import Block
from mlpbench.bench.record.plan import RunFile
from mlpbench.bench.record.schema import RecordFile
from mlpbench.bench.record.write import write_bytes

#: Every other file of a run is a record.
_KINDS: dict[str, type[Block]] = {
    runs.PLAN_FILE: RunFile,
    runs.ROOFS_FILE: RoofsFile,
}


@dataclass(frozen=True)
class Merged:
    """What became of the runs of all sources: the folders with something new, and the others.

    ``notes``: what was left out, a sentence each.
    """

    added: tuple[Path, ...]
    same: tuple[Path, ...]
    notes: tuple[str, ...]


def merge(sources: Sequence[Path], results: Path) -> Merged:
    """Copy the runs of other folders of results, of machines or of runs to ``results``; mark them as `runs.MERGED`.

    A second time nothing changes. Raises UserError, before anything is copied, for a folder without runs, for links,
    for a run that cannot be read, and for two files of one name with different content.
    """
    contents: dict[Path, tuple[bytes, Path]] = {}
    notes: list[str] = []
    folders: list[Path] = []
    for run in (run for source in sources for run in _runs(source)):
        machine, files, others = _read(run)
        folders.append(results / machine / run.name)
        if others:
            notes.append(f"{run}: not copied, no result of this run: {', '.join(path.name for path in others)}")
        for file in files:
            if (other := _differs(file, folders[-1] / file.relative_to(run), contents)) is not None:
                raise UserError(f"{file} and {other} are two results of one name: take one of them away")
    machines = dict.fromkeys(run.parent for source in sources for run in _runs(source) if run != source)
    notes += [note for folder in machines if (note := _beside(folder))]
    new = [target for target in contents if not target.exists()]
    added = tuple(folder for folder in dict.fromkeys(folders) if any(path.is_relative_to(folder) for path in new))
    for folder in added:
        with user_error(f"cannot write to {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / runs.MERGED).touch()
    # The plan comes last: a folder with one has all its records.
    for target in sorted(new, key=lambda path: path.name == runs.PLAN_FILE):
        with user_error(f"cannot write to {target.parent}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, contents[target][0])
    same = tuple(folder for folder in dict.fromkeys(folders) if folder not in added)
    return Merged(added, same, tuple(notes))


def _runs(source: Path) -> list[Path]:
    """Return the folders of the runs below a folder, which may be that of a run itself."""
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; name a folder of results, as mlpbench run --results takes it")
    folders = [source]
    for _ in ("a run", "a machine", "results"):
        if with_plan := [folder for folder in folders if os.path.lexists(folder / runs.PLAN_FILE)]:
            return with_plan
        folders = [child for folder in folders for child in _folders(folder)]
    raise UserError(f"{source}: no runs in this folder")


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder. Raises UserError for one that is a link, and as `_entries`."""
    return _no_links(path for path in _entries(folder) if path.is_dir())


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, neither hidden nor a report. Raises UserError where it cannot be looked into."""
    with user_error(f"{folder}: cannot be read"):
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "report.")))


def _beside(machine: Path) -> str | None:
    """Say which files lie beside the runs of a machine, but for what its own runs have found; None for none."""
    names = [path.name for path in _entries(machine) if not path.is_dir() and path.name != look.FILE]
    return f"{machine}: not copied, no run: {', '.join(names)}" if names else None


def _no_links(paths: Iterable[Path]) -> list[Path]:
    checked = list(paths)
    if link := next((path for path in checked if path.is_symlink()), None):
        raise UserError(f"{link}: a link, and links are not copied: put what it leads to in its place, or remove it")
    return checked


def _read(run: Path) -> tuple[str, list[Path], list[Path]]:
    """Read a run whole; return its machine, its files, and what else lies there.

    Raises UserError where any of it cannot be read, and for a run that was renamed.
    """
    for folder in (run, *_folders(run)):
        _no_links(_entries(folder))
    parts = runs.read_runs(run)
    if damaged := [line for part in parts for line in part.damaged]:
        raise UserError(damaged[0])
    first = parts[0]
    name = first.plan.sweep or first.id if first.plan else first.id
    if name != run.name:
        raise UserError(f"{run}: holds {name}: it was renamed or copied; give it its name back")
    if not untrusted.NAME.fullmatch(first.machine):
        raise UserError(f"{run}: the machine's name {first.machine!r} is no name of a folder")
    folders = dict.fromkeys((run, *(part.path for part in parts)))
    below = [path for folder in folders for path in _entries(folder) if path not in folders]
    # The reader has read each file with this ending, and is content with it.
    files = [path for path in below if path.suffix == ".json"]
    return first.machine, files, [path for path in below if path.suffix != ".json"]


def _differs(file: Path, target: Path, contents: dict[Path, tuple[bytes, Path]]) -> Path | None:
    """Return what is, or will be, under a name and has another content than a file; note the content of a new one.

    A file may have changed since it was read: what is written later is checked once more. Raises UserError for that.
    """
    content = untrusted.read_bytes(file)
    untrusted.decode(content, file, _KINDS.get(file.name, RecordFile))
    if target.exists() and untrusted.read_bytes(target) != content:
        return target
    noted, source = contents.setdefault(target, (content, file))
    return None if noted == content else source
