"""`mlpbench export`: saved results for the programs that keep a history of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import Results, Runs
from mlpbench.bench.cli.report import name_left_out
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.write import write_document
from mlpbench.kernels.registry import nearest

CONSUMERS = ("bencher", "github-action-benchmark")


def _consumers(incomplete: str) -> list[str]:
    return [name for name in CONSUMERS if name.startswith(incomplete)]


def export(
    runs: Runs = None,
    to: Annotated[
        str,
        typer.Option("--to", help="bencher or github-action-benchmark.", autocompletion=_consumers, metavar="WHO"),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="File to write. Default: stdout."),
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Write saved results for a program that keeps a history: median seconds per sample, the interval as bounds.

    Both take one run at a time. For other programs there are `report --format csv` and `--format json`.

    Example: mlpbench export --to bencher -o bencher.json
    """
    from mlpbench.bench.record import runs as record
    from mlpbench.bench.wings.ci import exports

    if to not in CONSUMERS:
        asked = f"unknown --to {to!r}{nearest(to, list(CONSUMERS))}" if to else "--to is missing"
        raise UserError(f"{asked}; there are {', '.join(CONSUMERS)}")
    chosen = [run for path in console.resolve(runs, results) for run in record.read_runs(path)]
    text = exports.render(chosen, to)
    if output is None:
        print(text, end="")  # noqa: T201 - data, to stdout as it is
    else:
        write_document(output, text)
        console.say(f"wrote {output}")
    name_left_out(chosen)
    for run in chosen:
        if run.environment.git.dirty:
            console.say(f"warning: {run.id} was measured with uncommitted changes", "yellow")
