"""`mlpbench run`: the sweep, checked, timed, saved and told."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import console
from bench.commands.options import (
    SIZES,
    AsJson,
    Data,
    DataDir,
    DType,
    Hidden,
    Kernels,
    Output,
    Spec,
    Weights,
)

if TYPE_CHECKING:
    from rich.console import Console

    from bench.plan import Plan
    from bench.runner import Outcome
    from bench.sweep import Case, Profile
    from bench.workload import Workload

_HOW = "How it is timed"
INTERRUPTED = 130  # what shells give a command that Ctrl-C ended


def run(
    kernels: Kernels = None,
    profile: Annotated[
        str, typer.Option(help="smoke, quick, full or book: the grid and its budget.", rich_help_panel=_HOW)
    ] = "quick",
    batch_size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N", help="Rows per call, or all; may be repeated. Default: the profile's.", rich_help_panel=_HOW
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Threads of every library; default: all.", rich_help_panel=_HOW)
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Processes for each kernel. Default: the profile's.", rich_help_panel=_HOW),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of the running order; default: a new one, recorded.", rich_help_panel=_HOW),
    ] = None,
    data: Data = None,
    data_dir: DataDir = None,
    weights: Weights = None,
    spec: Spec = SIZES,
    hidden: Hidden = "sigmoid",
    output: Output = "softmax",
    dtype: DType = "float32",
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Time kernels one image at a time and in batches; save the results and tell the finding.

    Every kernel and repeat has a process of its own, in shuffled order, and is checked in it before it is timed.

    Example: mlpbench run numpy numba --batch-size 1 --batch-size 100 --repeats 5
    """
    from bench import runner, sweep
    from bench.workload import Options, Workload

    chosen = sweep.profile(profile)
    sizes = tuple(map(sweep.parse_batch_size, batch_size or ())) or chosen.batch_sizes
    cases = sweep.grid(chosen.modes, sizes)
    options = Options(spec, hidden, output, dtype, data, data_dir, weights)
    workload = Workload(options, rows=max(sweep.ALL_ROWS, *(case.batch_size for case in cases)))
    _ = workload.facts()  # bad data or weights are told before anything runs
    plan = _plan(chosen, kernels, cases, repeats=repeats, seed=seed, threads=threads)
    folder = runner.open_run(out, plan)
    _say_what_comes(plan, workload, folder)
    _measure_roofs(folder, plan, workload, chosen)
    interrupted = not _execute(plan, workload, folder)
    _tell(folder, as_json=as_json, interrupted=interrupted)


def _plan(
    profile: Profile,
    named: list[str] | None,
    cases: list[Case],
    *,
    repeats: int | None,
    seed: int | None,
    threads: int | None,
) -> Plan:
    from bench import environment, plan, probing
    from bench.errors import UserError
    from kernels import registry

    names = list(dict.fromkeys(named or profile.kernels or registry.names()))
    must = bool(named or profile.kernels)
    answers = list(probing.probe_all(names))
    skipped = [{"kernel": answer.name, "reason": answer.reason or ""} for answer in answers if not answer.available]
    if must and skipped:
        raise UserError(f"{skipped[0]['kernel']} is unavailable: {skipped[0]['reason']}")
    return plan.make_plan(
        profile,
        [answer.name for answer in answers if answer.available],
        cases,
        repeats=repeats or profile.repeats,
        seed=plan.new_seed() if seed is None else seed,
        threads=threads or environment.available_cpus(),
        skipped=skipped,
        command=["mlpbench", *sys.argv[1:]],
        commit=environment.commit()["commit"],
    )


def _say_what_comes(plan: Plan, workload: Workload, folder: Path) -> None:
    from rich.text import Text

    from bench import environment
    from bench.runner import pytest_command

    err = console.err()
    lines = [
        f"{len(plan.kernels)} kernels, {len(plan.cases)} cases each, {plan.repeats} repeats, {plan.threads} threads",
        f"{workload.spec}; {workload.dataset.name}, {workload.weights_source} weights; seed {plan.seed}",
    ]
    if workload.repeated:
        have = len(workload.dataset)
        lines.append(f"the {have:,} rows of {workload.dataset.name} are repeated to fill {workload.rows:,}")
    lines += [f"{skip['kernel']} is skipped: {skip['reason']}" for skip in plan.skipped]
    for line in lines:
        err.print(Text(line))
    for warning in environment.warnings(environment.collect()):
        err.print(Text(f"warning: {warning}", "yellow"))
    command = shlex.join(pytest_command(plan, workload.options, plan.kernels[0]))
    err.print(Text(f"each process: {command}", "dim"))
    err.print(Text(f"results go to {folder}", "dim"))


def _measure_roofs(folder: Path, plan: Plan, workload: Workload, profile: Profile) -> None:
    """Measure what the machine can do at most, with the run's threads: `mlpbench explain` holds the kernels to it."""
    from rich.text import Text

    from bench import roofs

    with console.err().status("measuring the machine's limits …"):
        reason = roofs.write(folder, plan.threads, workload.spec.dtype, seconds=profile.max_time_s)
    if reason:
        console.err().print(Text(f"no roofs: {reason}", "yellow"))


def _execute(plan: Plan, workload: Workload, folder: Path) -> bool:
    """Run the plan behind a progress bar; return False where Ctrl-C, or a request to end, stopped it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    from bench import runner

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Progress(*columns, console=console.err(), transient=True, speed_estimate_period=600) as progress:
            task = progress.add_task("starting", total=len(plan.order) * len(plan.cases))

            def on_case(kernel: str, repeat: int, _: str) -> None:
                progress.update(task, advance=1, description=f"{kernel}, repeat {repeat + 1} of {plan.repeats}")

            for number, outcome in enumerate(runner.execute(plan, workload, folder, on_case), start=1):
                progress.update(task, completed=number * len(plan.cases))
                _say_problems(progress.console, outcome)
    except KeyboardInterrupt:
        return False
    finally:
        signal.signal(signal.SIGTERM, before)
    return True


def _say_problems(err: Console, outcome: Outcome) -> None:
    from rich.text import Text

    for problem in outcome.problems:
        err.print(Text(f"{outcome.kernel}, repeat {outcome.repeat + 1}: {problem}", "yellow"))


def _tell(folder: Path, *, as_json: bool, interrupted: bool) -> None:
    """Print the finding, the table, and what was written; exit 1 where a case has no time, 130 after Ctrl-C."""
    from bench import record
    from bench.commands.report import tell, write_reports

    finished = record.read_run(folder)
    if not finished.records:
        console.complain(f"interrupted before the first process ended: nothing measured, the plan is in {folder}")
        raise typer.Exit(INTERRUPTED)
    tell(finished, as_json=as_json)
    for path in write_reports(finished, folder):
        console.err().print(f"wrote {path}", soft_wrap=True)
    console.err().print(f"wrote {len(finished.records)} result files to {folder}", soft_wrap=True)
    if interrupted:
        done, planned = len(finished.records), len(finished.records) + len(finished.missing)
        console.complain(f"interrupted: {done} of {planned} processes finished and are kept in {folder}")
        raise typer.Exit(INTERRUPTED)
    if any(finished_record.failures for finished_record in finished.records):
        raise typer.Exit(1)
