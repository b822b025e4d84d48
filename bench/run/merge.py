"""Results of several folders in one: what is there stays, what is new is copied, what contradicts is refused."""

import filecmp
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.write import write_bytes
from mlpbench.kernels.files import open_ordinary

#: What `mlpbench calibrate` found of a machine, in the machine's folder.
CALIBRATION = "calibration.json"


@dataclass(frozen=True)
class Merged:
    """What became of the runs of all sources: the folders with something new, and the others."""

    added: tuple[Path, ...]
    same: tuple[Path, ...]
    #: What was left out, a sentence each.
    notes: tuple[str, ...] = ()


def merge(sources: Sequence[Path], results: Path) -> Merged:
    """Copy the runs of other folders of results, of machines or of runs to ``results``.

    A second time nothing changes. Raises UserError, before anything is copied, for a folder without runs, a run that
    cannot be read, and two files of one name with different content: it names both.
    """
    copies: dict[Path, Path] = {}
    notes: list[str] = []
    every: dict[Path, None] = {}
    for run in (run for source in sources for run in _runs(source)):
        target = results / _machine(run) / run.name
        every[target] = None
        for file in _files(run):
            _plan(copies, file, target / file.relative_to(run))
    for source, target in _calibrations(sources, results):
        if target.exists() and not filecmp.cmp(source, target, shallow=False):
            notes.append(f"{source}: not taken, {target} is another calibration of that machine")
        elif not target.exists():
            copies[target] = source
    new = {target: source for target, source in copies.items() if not target.exists()}
    # The plan comes last: a folder with one has all its records.
    for target in sorted(new, key=lambda path: path.name == runs.PLAN_FILE):
        _copy(new[target], target)
    added = {folder for folder in every if any(folder in target.parents for target in new)}
    same = tuple(folder for folder in every if folder not in added)
    return Merged(tuple(folder for folder in every if folder in added), same, tuple(notes))


def _runs(source: Path) -> list[Path]:
    """Return the folders of the runs below a folder, which may be that of a run itself."""
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; name a folder of results, as mlpbench run --out takes it")
    for pattern in ("run.json", "*/run.json", "*/*/run.json"):
        if found := sorted(path.parent for path in source.glob(pattern)):
            # The settings of a sweep lie in its folder.
            return [path for path in found if path.parent not in found]
    raise UserError(f"{source}: no runs in this folder")


def _machine(run: Path) -> str:
    """Return the folder of a run's machine. Raises UserError where the run cannot be read, or was renamed."""
    first = runs.read_runs(run)[0]
    name = first.plan.sweep or first.id if first.plan else first.id
    if name != run.name:
        raise UserError(f"{run}: holds {name}: it was renamed or copied; give it its name back")
    if not untrusted.NAME.fullmatch(first.machine):
        raise UserError(f"{run}: the machine's name {first.machine!r} is no name of a folder")
    return first.machine


def _files(run: Path) -> Iterator[Path]:
    """Yield the files of a run that are results; its reports can be made again."""
    for path in sorted(run.rglob("*.json")):
        if path.is_file() and not path.is_symlink() and not path.name.startswith(("report.", ".")):
            yield path


def _calibrations(sources: Sequence[Path], results: Path) -> Iterator[tuple[Path, Path]]:
    for source in sources:
        for path in sorted({*source.glob(f"*/{CALIBRATION}"), *source.glob(CALIBRATION)}):
            machine = path.parent.resolve().name
            if untrusted.NAME.fullmatch(machine):
                yield path, results / machine / CALIBRATION


def _plan(copies: dict[Path, Path], source: Path, target: Path) -> None:
    """Add a copy, unless it is there already. Raises UserError for another content under its name."""
    for other in (target, copies.get(target)):
        if other is not None and other.exists() and not filecmp.cmp(source, other, shallow=False):
            raise UserError(f"{source} and {other} are two results of one name: take one of them away")
    copies.setdefault(target, source)


def _copy(source: Path, target: Path) -> None:
    with user_error(f"cannot copy {source} to {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_ordinary(source) as file:
            content = file.read()
    write_bytes(target, content)
