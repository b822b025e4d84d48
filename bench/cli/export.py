"""`mlpbench export`: saved results for the programs that keep a history of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import Results, Runs
from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.record.untrusted import read_bytes
from mlpbench.bench.record.write import write_document
from mlpbench.kernels.registry import nearest

if TYPE_CHECKING:
    from mlpbench.bench.record.runs import Run

CONSUMERS = ("bencher", "github-action-benchmark", "asv", "otava-csv")


def _consumers(incomplete: str) -> list[str]:
    return [name for name in CONSUMERS if name.startswith(incomplete)]


def export(
    runs: Runs = None,
    to: Annotated[
        str,
        typer.Option(
            "--to", help="bencher, github-action-benchmark, asv or otava-csv.", autocompletion=_consumers, metavar="WHO"
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; of asv its results folder. Default: stdout."),
    ] = None,
    commit: Annotated[
        str | None, typer.Option(metavar="SHA", help="The commit that was measured, if the run's own is another.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Write saved results for a program that keeps a history: median seconds per sample, the interval as bounds.

    Bencher and github-action-benchmark take one run at a time; asv and Otava take all that are named.

    Example: mlpbench export --to bencher -o bencher.json
    """
    from mlpbench.bench.record import runs as record
    from mlpbench.bench.report.formats import action_benchmark, bencher

    if to not in CONSUMERS:
        asked = f"unknown --to {to!r}{nearest(to, list(CONSUMERS))}" if to else "--to is missing"
        raise UserError(f"{asked}; there are {', '.join(CONSUMERS)}")
    found = [_with_commit(run, commit) for path in console.resolve(runs, results) for run in record.read_runs(path)]
    if to == "asv":
        _write_asv(found, output)
    elif to == "otava-csv":
        _write_otava(found, output)
    elif to == "bencher":
        _put(output, bencher.render(found))
    else:
        _put(output, action_benchmark.render(found))
    for run in found:
        for line in run.damaged:
            console.say(f"left out: {line}", "yellow")


def _with_commit(run: Run, commit: str | None) -> Run:

    from msgspec.structs import replace as changed

    from mlpbench.bench.report.formats.points import COMMIT

    if commit is None:
        if run.environment.git.dirty:
            console.say(f"warning: {run.id} was measured with uncommitted changes", "yellow")
        return run
    if not COMMIT.fullmatch(commit):
        raise UserError(f"{commit!r} is no commit: give its hash, as `git rev-parse HEAD` prints it")
    git = changed(run.environment.git, commit=commit)
    return replace(run, environment=changed(run.environment, git=git))


def _put(output: Path | None, text: str) -> None:
    if output is None:
        print(text, end="")  # noqa: T201 - data, to stdout as it is
        return
    write_document(output, text)
    console.say(f"wrote {output}")


def _write_otava(found: Sequence[Run], output: Path | None) -> None:
    """Write the CSV, and beside a file Otava's configuration for it."""
    from mlpbench.bench.report.formats import otava

    _put(output, otava.render(found))
    if output is not None:
        _put(output.with_suffix(".yaml"), otava.configuration(found, str(output)))


def _write_asv(found: Sequence[Run], output: Path | None) -> None:
    from mlpbench.bench.report.formats import asv

    if output is None:
        raise UserError("asv keeps results in a folder: name it with -o, it is results_dir in asv.conf.json")
    for name, text in asv.render(found, _listed(output / "benchmarks.json")).items():
        path = output / name
        with user_error(f"cannot write {path}", "; choose another folder with -o"):
            path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, text)


def _listed(path: Path) -> dict[str, Any]:
    """Return the benchmarks that a folder of asv lists. Raises UserError for a file that is no list of asv's."""
    if not path.exists():
        return {}
    try:
        found = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("version") != 2:
        raise UserError(f"{path}: no list of benchmarks as asv writes it, version 2")
    return found
