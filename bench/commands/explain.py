"""`mlpbench explain`: what the speedup of a run is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import console
from bench.commands.options import AsJson, Results

if TYPE_CHECKING:
    from rich.table import Table

    from bench.explain import Explanation, KernelExplanation

IMPOSSIBLE = 1


def explain(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run's folder, result file or id. Default: the latest."),
    ] = None,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Say what the speedup of each kernel is made of: calls, weights, arithmetic, and how near the machine's limits.

    Exit 1 if a time is impossible: more than the machine can do.

    Example: mlpbench explain latest --json
    """
    from bench import explain as explaining
    from bench import record
    from bench.errors import UserError

    path = record.resolve(run, results) if run else record.latest(results)
    found = explaining.find(record.read_run(path))
    if found is None:
        raise UserError(f"{path}: nothing was timed, so there is nothing to explain")
    if as_json:
        console.print_json({"schema": 1, **found.as_dict()})
    else:
        _tell(found)
    if any(kernel.impossible for kernel in found.kernels):
        raise typer.Exit(IMPOSSIBLE)


def _tell(found: Explanation) -> None:
    from rich.text import Text

    from bench.explain_words import kernel_sentences, run_sentences

    out = console.out()
    out.print(Text(f"What the speedup is made of: run {found.run}, {found.spec}", "bold"))
    for line in run_sentences(found):
        out.print(Text(f"  {line}"))
    for kernel in found.kernels:
        out.print()
        out.print(Text(kernel.kernel, "bold"))
        for line in kernel_sentences(kernel):
            out.print(Text(f"  {line}"))
        if any(share.verdict for share in kernel.shares):
            out.print(_table(kernel))


def _table(kernel: KernelExplanation) -> Table:
    from bench.report.explained import ROOF_COLUMNS, roof_row

    right = ROOF_COLUMNS[1:-1]
    shown = console.table(f"{kernel.kernel} under its roofs", *ROOF_COLUMNS, right=right)
    for share in kernel.shares:
        shown.add_row(*roof_row(share))
    return shown
