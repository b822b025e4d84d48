"""`mlpbench fleet` and `mlpbench merge`: the same plan on many machines, and their results in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mlpbench.bench import words
from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, Results, read_run
from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from mlpbench.bench.wings.fleet.carry import Worker
    from mlpbench.bench.wings.fleet.dask import Cluster
    from mlpbench.bench.wings.fleet.ssh import Hosts

#: Options of a run that are the fleet's own on its workers.
_OURS = ("--results", "--json", "--resume", "--dry-run", "--env")


def merge(
    sources: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="Folders of results, of one machine's, or of one run.")
    ],
    results: Results = Path("results"),
) -> None:
    """Copy the runs of other folders of results into this one.

    A run that is there already is not changed. All files are read first. Links, files
    that are no results, and two different results of one name are refused, and then nothing is copied.

    Example: mlpbench merge /mnt/node1/results /mnt/node2/results
    """
    from mlpbench.bench.wings.fleet import merge as merging

    merged = merging.merge(sources, results)
    for note in merged.notes:
        console.say(note, "yellow")
    for folder in merged.added:
        print(folder)  # noqa: T201
    console.say(f"{words.things(len(merged.added), 'run')} added to {results}, {len(merged.same)} there already")


def fleet(
    context: typer.Context,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The scheduler of a Dask cluster, such as tcp://node0:8786.")
    ] = None,
    ssh: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A TOML file with a table hosts.NAME for each host."),
    ] = None,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Run the same plan on every worker of a cluster or host of a list, and report on all of them together.

    All other words are those of `mlpbench run`. Each machine runs one process at a time, with its own checks. Results
    are read before they are copied. Exit 1 if a worker is lost or a kernel failed. For a worker that was lost, start a
    fleet of it alone.

    Example: mlpbench fleet --ssh hosts.toml numpy numba --profile smoke
    """
    from mlpbench.bench.wings.fleet import carry

    if (dask is None) == (ssh is None):
        raise UserError("say where the workers are: either --dask ADDRESS or --ssh FILE")
    for word in context.args:
        if (name := word.partition("=")[0]) in _OURS:
            raise UserError(f"{name} is no option of a fleet: each worker has its own folder")
    read_run(context, context.args)  # a mistake there ends it before any worker is asked
    transport: Cluster | Hosts
    if ssh is not None:
        from mlpbench.bench.wings.fleet.ssh import Hosts

        transport = Hosts(ssh)
    else:
        from mlpbench.bench.wings.fleet.dask import Cluster

        transport = Cluster(str(dask))
        context.call_on_close(transport.close)
    ended = carry.carry_out(transport, context.args, results, lambda worker, line: console.say(f"{worker}: {line}"))
    _tell(ended, results, as_json=as_json)


def _tell(ended: Sequence[Worker], results: Path, *, as_json: bool) -> None:
    """Report on all runs of a fleet; exit 1 where a worker has none, or a kernel failed."""
    from mlpbench.bench.cli.report import name_left_out, tell, write_reports
    from mlpbench.bench.record import runs as record
    from mlpbench.bench.report import render as documents

    lost = [worker for worker in ended if worker.problem]
    runs = [run for worker in ended for path in worker.runs for run in record.read_runs(results / path)]
    if runs:
        document = documents.build(runs)
        tell(document, as_json=as_json)
        written = write_reports(document, results, f"fleet-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        if not as_json:
            console.out().print(Text(f"page: {written[-1].resolve().as_uri()}"), soft_wrap=True)
    for worker in lost:
        console.say(f"{worker.name} has no results: {worker.problem}", "bold red")
    left_out = name_left_out(runs)
    if lost or left_out or any(run.failures for run in runs):
        raise typer.Exit(1)
