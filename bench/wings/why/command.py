"""`mlpbench explain`: what the speedup of a run is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, Results, Runs
from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from mlpbench.bench.wings.why.explain import Explanation


def explain(runs: Runs = None, results: Results = Path("results"), as_json: AsJson = False) -> None:
    """Say what the speedup of each kernel is made of: calls, weights, arithmetic; and how near the limits it runs.

    Exit 1 if a time is refused because the machine cannot be so fast.

    Example: mlpbench explain latest
    """
    from mlpbench.bench.analysis import judge
    from mlpbench.bench.analysis.summary import summarize
    from mlpbench.bench.record.runs import named
    from mlpbench.bench.report.sections import gaps
    from mlpbench.bench.wings.why import explain as explaining

    paths = console.resolve(runs, results)
    settings = named([run for path in paths for run in judge.read(path)])
    by_run = [(run, explaining.find(run, summarize([run]))) for run in settings]
    explained = [explanation for _, explanation in by_run if explanation is not None]
    for run in (run for run, explanation in by_run if explanation is None):
        why = "nothing was timed, so there is nothing to explain"
        if run.shown is None or not explained:
            raise UserError(f"{run.path}: {why}")
        console.say(f"{run.title}: {why}")  # a setting that an interrupted sweep did not come to
    refused = gaps.doubted(settings)
    if as_json:
        console.print_json({"schema": 1, "runs": [one.as_dict() for one in explained], "refused": refused})
    else:
        _show(explained)
        for line in refused:
            console.out().print(Text(line, "bold red"))
    if refused:
        raise typer.Exit(1)


def _show(explained: list[Explanation]) -> None:
    from mlpbench.bench.wings.why import section

    out, several, first = console.out(), len(explained) > 1, explained[0]
    of_one = f"What the speedup is made of: {section.of_run(first)}, {first.first.spec.label()}"
    title = "What batching saves" if several else of_one
    table = section.gain_table(explained)
    if table.rows:
        out.print(console.report_table(table, title, table.caption))
    else:
        out.print(Text(title, "bold"))
    for explanation in explained:
        if several:
            out.print(Text(f"{explanation.run.title}, {explanation.first.spec.label()}", "bold"))
        for line in section.gain_sentences(explanation.kernels):
            out.print(Text(f"  {line}"))
        for line in explanation.evidence.missing:
            out.print(Text(f"  {line[0].upper()}{line[1:]}."))
    out.print(Text("  The cost of a call, and every case beside its limit: mlpbench report"))
