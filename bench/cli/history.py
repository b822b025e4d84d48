"""`mlpbench history`: what became of a machine's cases from run to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, Results, Verbose

if TYPE_CHECKING:
    from mlpbench.bench.analysis.history import History


def history(
    kernels: Annotated[
        list[str] | None, typer.Argument(metavar="KERNEL", help="Kernels by name; default: every kernel of the runs.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="A folder of the results. Default: this machine's.")
    ] = None,
    fail_if_slower: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Fail if a case got slower for good by more than this: 5%, or 0.05."),
    ] = None,
    verbose: Verbose = False,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Show which cases became faster or slower for good, since which run, and what else changed there.

    A series is one case of a kernel, with one network, data set, weights, dtype and number of threads. Exit 1 with
    --fail-if-slower if the newest change of a series is such a slowdown, in its last 10 runs.

    Example: mlpbench history numpy --fail-if-slower 5%
    """
    from mlpbench.bench import values
    from mlpbench.bench.analysis import history as histories
    from mlpbench.bench.errors import UserError
    from mlpbench.bench.machine import environment

    threshold = values.parse_threshold(fail_if_slower) if fail_if_slower is not None else None
    try:
        found = histories.find(results / (machine or environment.machine_id()), kernels or ())
    except ImportError as missing:
        raise UserError(f"{histories.NEEDS} ({missing.name or missing})") from None
    slower = [one for one in found.series if threshold is not None and one.slowdown(threshold)]
    if as_json:
        console.print_json({"schema": 1, **found.as_dict()})
    else:
        _tell(found, verbose=verbose)
    for line in (*found.problems, *([found.trouble] if found.trouble else [])):
        console.say(line, "yellow")
    if slower:
        names = ", ".join(dict.fromkeys(f"{one.kernel} {one.mode} {one.batch_size}" for one in slower))
        console.say(f"slower for good by more than {fail_if_slower}: {names}", "bold red")
        raise typer.Exit(1)


def _tell(found: History, *, verbose: bool) -> None:
    from mlpbench.bench import words
    from mlpbench.bench.report.formats import terminal
    from mlpbench.bench.report.sections import history as section

    out, several = console.out(), len({one.task for one in found.series}) > 1
    title = f"{found.machine}: {words.things(len(found.runs), 'run')}, {found.runs[0]} to {found.runs[-1]}"
    if found.changed:
        shown = section.change_table(found.changed, several=several, details=verbose)
        console.show(terminal.table(shown, title, shown.caption), heads=shown.heads)
    else:
        out.print(Text(title, "bold"))
    out.print(Text(section.sentence(found.series), "bold"))
