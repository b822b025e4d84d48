"""`mlpbench run`: the sweep, checked, timed, saved and told."""

from pathlib import Path
from typing import Annotated

import typer

from mlpbench.bench import words
from mlpbench.bench.api import run as runs_
from mlpbench.bench.api.run import Carried
from mlpbench.bench.cli import console, options
from mlpbench.bench.cli.progress import hint, say_what_comes, shown
from mlpbench.bench.cli.report import name_left_out, print_end, tell, tell_doubts, write_reports
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.request import OPTIONS, Request
from mlpbench.bench.record import runs as record
from mlpbench.bench.report import render
from mlpbench.bench.report.document import Document
from mlpbench.bench.report.sections import times


@options.requests(*OPTIONS, hidden=("every", "data", "model", "env", "device", "seed", "p99_s"))
def run(
    request: Request,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, and run nothing.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every case, all notes.", hidden=True)] = False,
    as_json: options.AsJson = False,
) -> None:
    """Time kernels one image at a time and in batches, save the results, and state the finding.

    Every kernel and repeat has its own process, which checks the kernel before it times it. After the profile's repeats
    (quick: 5) the run goes on until every interval is narrow enough or the budget is spent. It names what did not fit.
    Several threads, dtypes or specs make a sweep over every combination. --help-all shows more options.

    Example: mlpbench run numpy numba --batch-size 1 --batch-size 100 --repeats 5
    """
    planned = runs_.plan(request)
    if dry_run:
        say_what_comes(planned, verbose=True)
        for place, value in request.from_file.items():
            console.say(f"{place} = {value}")
        console.out().print("\n".join(f"{kernel} {repeat + 1}" for kernel, repeat in planned.effort.ahead))
        return
    carried = carry_out(request, planned, verbose=verbose)
    if not carried.finished:
        _tell_interrupted(carried.folder, verbose=verbose, as_json=as_json)
        raise typer.Exit(console.INTERRUPTED)
    _tell(carried, verbose=verbose, as_json=as_json)


def carry_out(request: Request, planned: runs_.Planned, *, verbose: bool = False) -> Carried:
    """Carry out a plan, show its progress in the terminal, and the first times once every kernel has run."""
    plan, folders = planned.sweep.plan, list[Path]()

    def begin(folder: Path) -> None:
        folders.append(folder)
        say_what_comes(planned, verbose=verbose)

    with shown(plan) as show:

        def follow(progress: runs_.Progress) -> None:
            show(progress)
            first_round = progress.done == len(plan.kernels) > 1 and plan.repeats > 1
            if not first_round or not progress.outcome or progress.setting or planned.stopped:
                return
            if kernels := render.build(record.read_runs(folders[0])).headline.kernels:
                title = f"First times per sample, of 1 of {plan.repeats} processes each: no intervals yet"
                console.err().print(console.report_table(times.kernel_table(kernels), title, without="speedup"))

        return runs_.carry_out(planned, request.results, on_begin=begin, on_progress=follow)


def _tell(carried: Carried, *, verbose: bool, as_json: bool) -> None:
    """Print what was found, then what the machine's limits refuse of it, and write the reports.

    Whoever waits sees the table before the limits are measured. Exit 1 where a case has no time.
    """
    before = render.build(record.read_runs(carried.folder))
    if not as_json:
        tell(before, verbose=verbose)
    if before.cases:
        with console.working("measuring the machine's limits"):
            reasons = carried.measure_limits()
        for reason in reasons:
            console.say(reason, "yellow")
    document = render.build(record.read_runs(carried.folder))
    if as_json:
        tell(document, as_json=True)
    else:
        tell_doubts(document, before)
    _write(document, carried.folder, as_json=as_json)
    if name_left_out(document.runs) or any(run.failures for run in document.runs):
        raise typer.Exit(1)


def _tell_interrupted(folder: Path, *, verbose: bool, as_json: bool) -> None:
    """Print what was found before Ctrl-C; the machine's limits are measured when the run goes on to its end."""
    runs = record.read_runs(folder)
    done, missing = sum(len(run.records) for run in runs), sum(len(run.missing) for run in runs)
    if not done:
        console.complain(f"interrupted before the first process ended: nothing measured, the plan is in {folder}")
        return
    document = render.build(runs)
    tell(document, as_json=as_json, verbose=verbose)
    _write(document, folder, as_json=as_json)
    name_left_out(runs)
    console.complain(f"interrupted: {done} of {done + missing} processes finished, kept in {folder}{hint()}")


def _write(document: Document, folder: Path, *, as_json: bool) -> None:
    """Write the reports, and say where they are and what comes next."""
    try:
        with console.working("making the page"):
            written = write_reports(document, folder)
    except UserError as error:
        raise UserError(f"{error}; all records are kept in {folder}, and `mlpbench report` shows them") from None
    names = "".join(f", {path.name}" for path in written)
    done = sum(len(run.records) for run in document.runs)
    console.say(f"wrote {words.things(done, 'result file')}{names} to {folder}")
    if not as_json:
        print_end(document, written[-1])
