"""Runs as people name them: the folders of results, found and told apart by their names alone.

A sweep over several settings is one folder, with a folder for each setting in it (`bench.run.sweep`); it is listed once.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.untrusted import NAME

__all__ = ["find_runs", "latest", "resolve"]

_STAMP = re.compile(r"\d{8}T\d{6}Z")


def find_runs(results_dir: Path) -> list[Path]:
    """Return the folders of all runs, ``<results_dir>/<machine>/<run>``, newest first by the stamp in their names."""
    if not results_dir.is_dir():
        return []
    folders = {file.parent for file in results_dir.glob("*/*/*.json") if not file.name.startswith(".")}
    return sorted(folders, key=lambda folder: (bool(_STAMP.match(folder.name)), folder.name), reverse=True)


def latest(results_dir: Path) -> Path:
    """Return the folder of the newest run. Raises UserError if there is none."""
    runs = find_runs(results_dir)
    if not runs:
        raise UserError(f"no runs in {results_dir}: `mlpbench run` makes one")
    return runs[0]


def resolve(argument: str, results_dir: Path) -> Path:
    """Return the folder or file of a run as people name it.

    ``argument`` is a path, ``latest``, a run's name, or the beginning or end of one (the end is its commit); behind any
    of these, ``/<label>`` is one setting of a sweep, as is the name of its run, ``<sweep>.<label>``. Raises UserError
    that lists the candidates of an ambiguous name, or suggests the nearest one.
    """
    if argument == "latest":
        return latest(results_dir)
    for path in (Path(argument).expanduser(), results_dir / argument):
        if argument.strip() and _exists(path):
            return path
    runs = find_runs(results_dir)
    if (setting := _setting(argument, runs, results_dir)) is not None:
        return setting
    exact = [run for run in runs if run.name == argument]
    found = exact or [run for run in runs if argument and run.name.startswith(argument)]
    found = found or [run for run in runs if argument and run.name.endswith(argument)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(run.relative_to(results_dir)) for run in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise UserError(f"{argument!r} names {len(found)} runs: {names}{more}; give more of the name, or the folder")
    near = difflib.get_close_matches(argument, [run.name for run in runs], n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else _newest(runs, results_dir)
    raise UserError(f"no run, file or folder {argument!r}; {hint}")


def _setting(argument: str, runs: list[Path], results_dir: Path) -> Path | None:
    """Return the folder of one setting of a sweep, None where no sweep is named before its label."""
    sweep, slash, label = argument.rpartition("/")
    if not slash:
        named = [run for run in runs if argument.startswith(f"{run.name}.")]
        return _below(named[0], argument.removeprefix(f"{named[0].name}.")) if named else None
    if not sweep or not NAME.fullmatch(label):
        return None
    try:
        folder = resolve(sweep, results_dir)
    except UserError:  # told about the whole argument
        return None
    return _below(folder, label) if folder.is_dir() else None


def _below(sweep: Path, label: str) -> Path:
    try:
        labels = sorted(path.name for path in sweep.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"{sweep}: cannot be read: {error.strerror}") from None
    if label not in labels:
        there = f"it has {', '.join(labels)}" if labels else "it is a run of one"
        raise UserError(f"no setting {label!r} in {sweep.name}; {there}")
    return sweep / label


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long, or a folder that may not be looked into
        return False


def _newest(runs: list[Path], results_dir: Path) -> str:
    return f"the newest is {runs[0].name}" if runs else f"no runs in {results_dir}: `mlpbench run` makes one"
