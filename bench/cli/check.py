"""`mlpbench check`: which kernels agree with the reference, and how many digits they get right."""

from typing import Annotated

import msgspec
import typer
from msgspec.structs import replace
from rich.table import Table
from rich.text import Text

from mlpbench.bench.cli import console, options
from mlpbench.bench.data.workload import Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import card
from mlpbench.bench.measure import verdict
from mlpbench.bench.measure.verdict import Verdict
from mlpbench.bench.plan import sweep
from mlpbench.bench.plan.request import Request
from mlpbench.bench.record.schema import computed
from mlpbench.kernels import registry


@options.requests("kernels", "peers", "data", "model", "spec", "dtype", "device")
def check(
    request: Request,
    traceback: Annotated[bool, typer.Option("--traceback", help="Print what a kernel raised in full.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Compare kernels with the float64 reference, and count their hits. Exit 1 if one does not conform.

    Each kernel has its own process. If one raises, its line names file and line; --traceback shows all of it.

    Example: mlpbench check numba --data mnist
    """
    card.use(request.device)
    named = list(map(registry.give, request.kernels))  # unknown names end it before anything runs
    names = [*(named or registry.usual()), *(registry.peers() if request.peers else ())]
    if len(request.spec) > 1 or len(request.dtype) > 1:
        raise UserError("check takes one --spec and one --dtype at a time")
    workload = Workload(sweep.make_options(request))
    _ = workload.inputs, workload.params  # bad input ends it before anything runs
    rows = []
    for name in dict.fromkeys(names):
        with console.working(f"checking {name} …"):
            row = verdict.ask(workload.options, name)
        if row.verdict == "unavailable" and name in named:
            raise UserError(f"{name} is unavailable: {row.reason}")
        if row.traceback and traceback:
            console.say(row.traceback)
        rows.append(replace(row, traceback=None))
    if as_json:
        facts = msgspec.to_builtins(computed(*workload.facts()))
        console.print_json({"spec": facts.pop("network"), **facts, "kernels": [row.as_dict() for row in rows]})
    else:
        console.out().print(_table(workload, rows))
    if any(row.verdict == "non-conforming" for row in rows):
        raise typer.Exit(1)


def _table(workload: Workload, rows: list[Verdict]) -> Table:
    data = f"{workload.dataset.name}, {len(workload.dataset):,} rows"
    title = f"{workload.spec} · {data} · {workload.weights_source} weights"
    columns = ("largest error", "of allowed", "accuracy one at a time", "accuracy in batches")
    table = console.table(title, "kernel", "verdict", *columns, right=columns)
    styles = {"conforms": "green", "unavailable": "yellow", "non-conforming": "bold red"}
    for row in rows:
        name, conforms = Text(row.kernel), Text(row.verdict, styles[row.verdict])
        if row.accuracy is None:
            table.add_row(name, conforms.append(f": {row.reason}"))
            continue
        near, hits = row.conformance, row.accuracy
        figures = ["-" if share is None else f"{share:.4f}" for share in (hits.per_sample, hits.batched)]
        table.add_row(name, conforms, f"{near['max_error']:.1e}", f"{near['max_error_ratio']:.1%}", *figures)
        if hits.reason:  # of the data or the weights, and so the same for every kernel
            table.caption = f"no accuracy: {hits.reason}"
    return table
