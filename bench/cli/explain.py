"""`mlpbench explain`: what the speedup of a run is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, Results, Runs
from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from mlpbench.bench.analysis.explain import Explanation


def explain(
    runs: Runs = None,
    details: Annotated[
        bool, typer.Option("--details", help="Explain each kernel in sentences, with its roofs.")
    ] = False,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Say what the speedup of each kernel is made of: calls, weights, arithmetic; and how near the limits it runs.

    Exit 1 if a time is refused because the machine cannot be so fast.

    Example: mlpbench explain latest --details
    """
    from mlpbench.bench.analysis import explain as explaining
    from mlpbench.bench.analysis.refused import settled
    from mlpbench.bench.analysis.summary import summarize
    from mlpbench.bench.record import runs as record
    from mlpbench.bench.record.names import named
    from mlpbench.bench.report.sections import gaps

    paths = console.resolve(runs, results)
    runs_read = list(map(settled, named([run for path in paths for run in record.read_runs(path)])))
    found = [one for run in runs_read if (one := explaining.find(run, summarize([run]))) is not None]
    for run in runs_read:
        silent = not any(one.run == run.name for one in found)
        if silent and (run.shown is None or not found):
            raise UserError(f"{run.path}: nothing was timed, so there is nothing to explain")
        if silent:  # a setting that an interrupted sweep did not come to
            console.say(f"{run.title}: nothing was timed, so there is nothing to explain")
    refused = gaps.refused(runs_read)
    if as_json:
        runs_found = [one.as_dict() for one in found]
        console.print_json({"schema": 1, "runs": runs_found, "refused": refused})
    else:
        for one in found:
            _tell(one, details=details)
        _compare(found)
        for line in refused:
            console.out().print(Text(line, "bold red"))
    if refused:
        raise typer.Exit(1)


def _tell(found: Explanation, *, details: bool) -> None:
    from mlpbench.bench.report.formats import terminal
    from mlpbench.bench.report.sections.explain import (
        brief_table,
        gain_sentences,
        kernel_sentences,
        roof_table,
        run_sentences,
    )

    out = console.out()
    shown, title = brief_table(found), f"What the speedup is made of: {found.of_run}, {found.spec}"
    if shown.rows:
        console.show(terminal.table(shown, title, shown.caption), heads=shown.heads)
    else:
        out.print(Text(title, "bold"))
    for line in gain_sentences(found.kernels):
        out.print(console.indented(line))
    if not details:
        for line in found.missing:
            out.print(console.indented(f"{line[0].upper()}{line[1:]}."))
        out.print(console.indented("Kernel by kernel, in sentences and beside the machine's limits: --details"))
        return
    for line in run_sentences(found):
        out.print(console.indented(line))
    for kernel in found.kernels:
        out.print()
        out.print(Text(kernel.kernel, "bold"))
        for line in kernel_sentences(kernel):
            out.print(console.indented(line))
        if any(share.verdict for share in kernel.shares):
            console.show(terminal.table(roof_table([kernel]), f"{kernel.kernel} under its roofs"))


def _compare(found: list[Explanation]) -> None:
    """Print what each cause is worth, run after run."""
    from mlpbench.bench.report.formats import terminal
    from mlpbench.bench.report.sections.explain import saved_table

    if len(found) > 1:
        shown = saved_table(found)
        console.show(terminal.table(shown, shown.caption), heads=shown.heads)
