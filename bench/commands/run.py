"""`mlpbench run`: the sweep, checked, timed, saved and told."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import console
from bench.commands.closer import P99, Cold, Latency, closer_look
from bench.commands.options import (
    SIZES,
    AsJson,
    Data,
    DataDir,
    DType,
    Hidden,
    Kernels,
    Output,
    Peers,
    Spec,
    Weights,
)

if TYPE_CHECKING:
    from rich.console import Console

    from bench.effort import Effort
    from bench.plan import Plan
    from bench.runner import Outcome
    from bench.sweep import Case, Profile
    from bench.workload import Workload
    from kernels.spec import ForwardSpec

_HOW = "How it is timed"
INTERRUPTED = 130  # what shells give a command that Ctrl-C ended


def run(
    kernels: Kernels = None,
    peers: Peers = False,
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
        typer.Option(
            min=1, max=1000, help="Exactly so many processes for each kernel, whatever comes.", rich_help_panel=_HOW
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Go on repeating for so long, 90s or 2m; default: the profile's (quick: 110s).",
            rich_help_panel=_HOW,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Stop earlier once every interval is within ± this share; default: 2%.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of the running order; default: a new one, recorded.", rich_help_panel=_HOW),
    ] = None,
    latency: Latency = None,
    p99: P99 = None,
    cold: Cold = False,
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
    After the profile's repeats (quick: 3) it goes on until every interval is narrow enough or the budget is spent.

    Example: mlpbench run numpy numba --batch-size 1 --batch-size 100 --repeats 5
    """
    from bench import runner, sweep
    from bench.effort import Effort
    from bench.workload import Options, Workload

    chosen = sweep.profile(profile)
    aim = _aim(chosen, repeats, budget, target)
    sizes = tuple(map(sweep.parse_batch_size, batch_size or ())) or chosen.batch_sizes
    cases = sweep.grid(chosen.modes, sizes)
    options = Options(spec, hidden, output, dtype, data, data_dir, weights)
    workload = Workload(options, rows=max(sweep.ALL_ROWS, *(case.batch_size for case in cases)))
    _ = workload.facts()  # bad data or weights are told before anything runs
    named = kernels or list(chosen.kernels or ())
    plan = _plan(chosen, named, peers, workload.spec, cases, repeats=repeats, seed=seed, threads=threads, aim=aim)
    plan.clock.extend(closer_look(latency, p99, cold=cold or profile == "full"))
    folder = runner.open_run(out, plan)
    _say_what_comes(plan, workload, folder)
    _measure_roofs(folder, plan, workload, chosen)
    effort = Effort(plan)
    interrupted = not carry_out(plan, workload, folder, effort)
    runner.close_run(folder, effort.ending(interrupted=interrupted))
    _tell(folder, as_json=as_json, interrupted=interrupted)


def _aim(
    profile: Profile, repeats: int | None, budget: str | None, target: str | None
) -> tuple[float | None, float | None]:
    """Return the target and the budget in seconds, both None for a fixed number of repeats."""
    from bench import effort
    from bench.errors import UserError

    if repeats is not None and (budget is not None or target is not None):
        given = "--budget" if budget is not None else "--target"
        raise UserError(f"--repeats is an exact number, {given} lets it grow: give one of them")
    if target is not None and budget is None and profile.budget_s is None:
        raise UserError(f"the profile {profile.name} has no budget for a --target: give --budget as well")
    share = effort.TARGET if target is None else effort.parse_target(target)
    seconds = profile.budget_s if budget is None else effort.parse_budget(budget)
    return (None, None) if repeats is not None or seconds is None else (share, seconds)


def _plan(
    profile: Profile,
    named: list[str],
    peers: bool,
    spec: ForwardSpec,
    cases: list[Case],
    *,
    repeats: int | None,
    seed: int | None,
    threads: int | None,
    aim: tuple[float | None, float | None],
) -> Plan:
    from bench import environment, plan, probing
    from bench.errors import UserError
    from bench.statistics import LEAST_REPEATS
    from kernels import registry

    names = list(dict.fromkeys([*(named or registry.usual()), *(registry.peers() if peers else ())]))
    answers = [probing.for_spec(answer, spec) for answer in probing.probe_all(names)]
    skipped = [{"kernel": answer.name, "reason": answer.reason or ""} for answer in answers if not answer.available]
    for skip in skipped:
        if skip["kernel"] in named:
            raise UserError(f"{skip['kernel']} is unavailable: {skip['reason']}")
    return plan.make_plan(
        profile,
        [answer.name for answer in answers if answer.available],
        cases,
        repeats=repeats or (profile.repeats if aim[1] is None else max(profile.repeats, LEAST_REPEATS)),
        seed=plan.new_seed() if seed is None else seed,
        threads=threads or environment.available_cpus(),
        skipped=skipped,
        command=["mlpbench", *sys.argv[1:]],
        commit=environment.commit()["commit"],
        target=aim[0],
        budget_s=aim[1],
    )


def _say_what_comes(plan: Plan, workload: Workload, folder: Path) -> None:
    from rich.text import Text

    from bench import environment
    from bench.runner import pytest_command

    err = console.err()
    lines = [
        f"{len(plan.kernels)} kernels, {len(plan.cases)} cases each, {_repeats(plan)}, {plan.threads} threads",
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


def _repeats(plan: Plan) -> str:
    if plan.target is None or plan.budget_s is None:
        return f"{plan.repeats} repeats"
    until = f"until every interval is within ±{100 * plan.target:.3g} % or {plan.budget_s:.0f} s are spent"
    return f"{plan.repeats} repeats and more {until}"


def _measure_roofs(folder: Path, plan: Plan, workload: Workload, profile: Profile) -> None:
    """Measure what the machine can do at most, with the run's threads: `mlpbench explain` holds the kernels to it."""
    from rich.text import Text

    from bench import roofs

    with console.err().status("measuring the machine's limits …"):
        reason = roofs.write(folder, plan.threads, workload.spec.dtype, seconds=profile.max_time_s)
    if reason:
        console.err().print(Text(f"no roofs: {reason}", "yellow"))


def carry_out(plan: Plan, workload: Workload, folder: Path, effort: Effort) -> bool:
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
                progress.update(task, advance=1, description=f"{kernel}, {_place(plan, effort, repeat)}")

            for number, outcome in enumerate(runner.execute(plan, workload, folder, on_case, effort), start=1):
                done = number * len(plan.cases)
                # How many more there will be is not known: one at least, while it goes on.
                total = max(len(plan.order) * len(plan.cases), done + len(plan.cases) * effort.goes_on)
                progress.update(task, completed=done, total=total)
                _say_problems(progress.console, outcome)
    except KeyboardInterrupt:
        return False
    finally:
        signal.signal(signal.SIGTERM, before)
    return True


def _place(plan: Plan, effort: Effort, repeat: int) -> str:
    if repeat < plan.repeats:
        return f"repeat {repeat + 1} of {plan.repeats}"
    return f"repeat {repeat + 1}, {effort.spent_s:.0f} of {plan.budget_s:.0f} s"


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
    if interrupted and not finished.missing:
        console.complain(f"interrupted: {len(finished.records)} processes finished and are kept in {folder}")
        raise typer.Exit(INTERRUPTED)
    if interrupted:
        done, planned = len(finished.records), len(finished.records) + len(finished.missing)
        console.complain(f"interrupted: {done} of {planned} processes finished and are kept in {folder}")
        raise typer.Exit(INTERRUPTED)
    if any(finished_record.failures for finished_record in finished.records):
        raise typer.Exit(1)
