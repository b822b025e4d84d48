"""`mlpbench history`: the cases of a machine from run to run."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mlpbench.bench import words
from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, FailIfSlower, Results, Verbose
from mlpbench.bench.machine import environment
from mlpbench.bench.wings.history import history as histories
from mlpbench.bench.wings.history import section
from mlpbench.kernels import registry


def history(
    kernels: Annotated[
        list[str] | None, typer.Argument(metavar="KERNEL", help="Kernels by name; default: every kernel of the runs.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="A folder of the results. Default: this machine's.")
    ] = None,
    fail_if_slower: FailIfSlower = None,
    verbose: Verbose = False,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Show which cases became faster or slower for good, since which run, and what else changed there.

    A series is one case of a kernel, with one network, data set, weights, dtype and number of threads. With
    --fail-if-slower exit 1 if the newest change of a series made it slower for good by more than that, in its last 10
    runs.

    Example: mlpbench history numpy --fail-if-slower 5%
    """
    folder = results / (machine or environment.machine_id())
    found = histories.find(folder, list(map(registry.typed_name, kernels or ())))
    slower = [one for one in found.series if fail_if_slower is not None and one.slowdown(fail_if_slower)]
    if as_json:
        console.print_json({"schema": 1, **asdict(found)})
    else:
        title = f"{found.machine}: {words.things(len(found.runs), 'run')}, {found.runs[0]} to {found.runs[-1]}"
        several = len({one.task for one in found.series}) > 1
        shown = section.change_table(found.changed, several=several, details=verbose)
        console.out().print(console.report_table(shown, title, shown.caption) if found.changed else Text(title, "bold"))
        console.out().print(Text(section.sentence(found.series), "bold"))
    for line in found.problems:
        console.say(line, "yellow")
    if slower:
        names = ", ".join(dict.fromkeys(f"{one.kernel} {one.mode} {one.batch_size}" for one in slower))
        console.say(f"slower for good by more than {100 * (fail_if_slower or 0):g}%: {names}", "bold red")
        raise typer.Exit(1)
