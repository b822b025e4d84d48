"""Results of several folders in one: all is read before anything is copied, and what contradicts is refused."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlpbench.bench import words
from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.calibration import CalibrationFile
from mlpbench.bench.record.fields import Block
from mlpbench.bench.record.plan import RunFile
from mlpbench.bench.record.roofs import RoofsFile
from mlpbench.bench.record.schema import RecordFile
from mlpbench.bench.record.write import write_bytes

#: What `mlpbench calibrate` found of a machine, in the machine's folder.
CALIBRATION = "calibration.json"
#: How the names of files begin that can be made again, and of hidden ones.
_LEFT = ("report.", ".")


@dataclass(frozen=True)
class Merged:
    """What became of the runs of all sources: the folders with something new, and the others."""

    added: tuple[Path, ...]
    same: tuple[Path, ...]
    #: The machines whose calibration is new.
    calibrations: tuple[str, ...] = ()
    #: What was left out, a sentence each.
    notes: tuple[str, ...] = ()


def merge(sources: Sequence[Path], results: Path) -> Merged:
    """Copy the runs of other folders of results, of machines or of runs to ``results``; mark them as `runs.MERGED`.

    A second time nothing changes. Raises UserError, before anything is copied, for a folder without runs, for links,
    for a run or a calibration that cannot be read, and for two files of one name with different content.
    """
    copies: dict[Path, Path] = {}
    notes: list[str] = []
    folders: dict[Path, None] = {}
    for run in (run for source in sources for run in _runs(source)):
        machine, files, others = _read(run)
        folders[results / machine / run.name] = None
        notes += [f"{run}: not copied, no result of this run: {_first(others)}"] if others else []
        for file in files:
            target = results / machine / run.name / file.relative_to(run)
            if (other := _differs(file, target, copies)) is not None:
                raise UserError(f"{file} and {other} are two results of one name: take one of them away")
            copies.setdefault(target, file)
    for source, machine in _calibrations(sources):
        target = results / machine / CALIBRATION
        if (other := _differs(source, target, copies)) is not None:
            notes.append(f"{source}: not taken, {other} is another calibration of that machine")
        copies.setdefault(target, source)
    new = {target: source for target, source in copies.items() if not target.exists()}
    changed = {results.joinpath(*target.relative_to(results).parts[:2]) for target in new}
    added = tuple(folder for folder in folders if folder in changed)
    for folder in added:
        with user_error(f"cannot write to {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / runs.MERGED).touch()
    # The plan comes last: a folder with one has all its records.
    for target in sorted(new, key=lambda path: path.name == runs.PLAN_FILE):
        _copy(new[target], target)
    same = tuple(folder for folder in folders if folder not in added)
    calibrations = tuple(target.parent.name for target in new if target.name == CALIBRATION)
    return Merged(added, same, calibrations, tuple(notes))


def _runs(source: Path) -> list[Path]:
    """Return the folders of the runs below a folder, which may be that of a run itself."""
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; name a folder of results, as mlpbench run --results takes it")
    folders = [source]
    for _ in ("a run", "a machine", "results"):
        if found := [folder for folder in folders if os.path.lexists(folder / runs.PLAN_FILE)]:
            return found
        folders = [child for folder in folders for child in _folders(folder)]
    raise UserError(f"{source}: no runs in this folder")


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder. Raises UserError for one that is a link, and as `_entries`."""
    folders = [path for path in _entries(folder) if path.is_dir()]
    _refuse_links(folders)
    return folders


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder and may be a result. Raises UserError where it cannot be looked into."""
    with user_error(f"{folder}: cannot be read"):
        return sorted(path for path in folder.iterdir() if not path.name.startswith(_LEFT))


def _refuse_links(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_symlink():
            raise UserError(
                f"{path}: a link, and links are not copied: put what it leads to in its place, or remove it"
            )


def _read(run: Path) -> tuple[str, list[Path], list[Path]]:
    """Read a run whole; return its machine, its files, and what else lies there.

    Raises UserError where any of it cannot be read, and for a run that was renamed.
    """
    for folder in (run, *_folders(run)):
        _refuse_links(_entries(folder))
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


def _first(paths: Sequence[Path]) -> str:
    more = [f"{len(paths) - 3} more"] if len(paths) > 3 else []
    return words.listed([*(path.name for path in paths[:3]), *more])


def _calibrations(sources: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the calibrations of folders of results or of machines, with their machines. Raises UserError as `merge`."""
    for source in sources:
        for folder in (source, *_folders(source)):
            path = folder / CALIBRATION
            if os.path.lexists(path):
                _refuse_links([path])
                yield path, untrusted.read(path, CalibrationFile, "a calibration").mlpbench.machine


def _differs(source: Path, target: Path, copies: dict[Path, Path]) -> Path | None:
    """Return what is, or will be, under a name and has another content than a file; None where nothing has."""
    for other in (target, copies.get(target)):
        if other is not None and other.exists() and untrusted.read_bytes(source) != untrusted.read_bytes(other):
            return other
    return None


def _copy(source: Path, target: Path) -> None:
    """Copy a file as it is now, which may not be as it was read: it is read again, and what is no result is refused."""
    content = untrusted.read_bytes(source)
    untrusted.decode(content, source, _kind(source.name))
    with user_error(f"cannot copy {source} to {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, content)


def _kind(name: str) -> type[Block]:
    """Return what a file of a name holds."""
    if name == runs.ROOFS_FILE or runs.ROOFS_OF_REPEAT.fullmatch(name):
        return RoofsFile
    kinds: dict[str, type[Block]] = {runs.PLAN_FILE: RunFile, CALIBRATION: CalibrationFile}
    return kinds.get(name, RecordFile)
