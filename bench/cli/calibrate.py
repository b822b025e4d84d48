"""`mlpbench calibrate`: how often the tool's own verdicts are wrong here, and how small a slowdown they find."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mlpbench.bench import cases, values
from mlpbench.bench.cli import console, options, settings
from mlpbench.bench.cli.options import AsJson
from mlpbench.bench.errors import UserError
from mlpbench.kernels import base

if TYPE_CHECKING:
    from mlpbench.bench.analysis.judge import Judged
    from mlpbench.bench.record.calibration import CalibrationHead
    from mlpbench.bench.record.plan import Plan
    from mlpbench.bench.stats.trials import Tally

#: Folder, beside the runs of a machine, of the runs behind its calibrations: in no list of runs.
BELOW = "calibration"
_NO_RECORD = "no record: a larger --budget gives it time"


def calibrate(
    context: typer.Context,
    repeats: Annotated[
        int,
        typer.Option(
            min=2, max=100, help="Repeats on each side of a comparison, at most. `run A B --budget 2m` has time for 20."
        ),
    ] = 20,
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="How long to measure, such as 14m."), options.Reader(values.parse_budget)
    ] = "14m",
    threads: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Threads of every library; default: all.")
    ] = None,
    resume: options.Resume = None,
    anyway: options.Anyway = False,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Measure mlpbench itself on this machine: false verdicts, and the smallest slowdown that it finds.

    The same kernel runs beside itself and beside copies that are 2, 3, 5 and 10 % slower. This takes 15 minutes. Later,
    `mlpbench compare` states the smallest slowdown it can detect here.

    Example: mlpbench calibrate --threads 1
    """
    from dataclasses import replace as replace_

    from msgspec.structs import replace

    from mlpbench.bench.analysis.judge import judge
    from mlpbench.bench.cli import resuming
    from mlpbench.bench.cli.progress import carry_out
    from mlpbench.bench.data.workload import Options, Workload
    from mlpbench.bench.plan.effort import WholeRounds
    from mlpbench.bench.record import runs, write
    from mlpbench.bench.record.calibration import CalibrationFile
    from mlpbench.bench.run import folder as folder_
    from mlpbench.bench.run import process
    from mlpbench.bench.run import resume as resume_
    from mlpbench.bench.run.sweep import saying_what_is_kept
    from mlpbench.bench.trust import calibration

    stopped = None
    if resume is None:
        resuming.refuse_alone(anyway=anyway)
        resuming.warn_if_never()
        plan = replace(_plan(repeats, budget, threads), command=tuple(settings.typed(context)))
        plan, workload = replace(plan, options_from_file=settings.from_file(context)), Workload(Options())
        folder = folder_.open_run(out, plan, workload, below=BELOW)
    else:
        stopped = resuming.compared(context, resuming.find(context, resume, out, BELOW), anyway=anyway)
        plan, workload, folder = stopped.sweep.plan, stopped.sweep.parts[0].workload, stopped.folder
    effort = WholeRounds(plan)
    with folder_.held(folder):
        _say_what_comes(plan, folder)
        if stopped is not None:
            resume_.take_in(stopped, effort)
            resuming.begin(stopped, effort)
        with saying_what_is_kept(folder, "calibrate"):
            interrupted = not carry_out(
                plan, effort, lambda to: process.execute(plan, workload, folder, to.phase, effort)
            )
        ending = effort.ending(interrupted=interrupted)
        if interrupted:
            folder_.close_run(folder, ending)
            on = resuming.hint("calibrate")
            console.complain(f"interrupted: nothing calibrated; what was measured is in {folder}{on}")
            raise typer.Exit(console.INTERRUPTED)
        # The run ends behind its summary: `--resume` makes one that a kill has prevented.
        try:
            found = _evaluate(judge(replace_(runs.read_run(folder), ending=ending)), plan)
        except UserError:
            folder_.close_run(folder, ending)
            raise
        file = folder.parent.parent / calibration.FILE
        with saying_what_is_kept(folder, "calibrate"):
            write.write_atomically(file, CalibrationFile(found), replace=True)
            folder_.close_run(folder, ending)
    if as_json:
        console.print_json(CalibrationFile(found).as_dict())
    else:
        _print(found)
    console.say(f"wrote {file}")


def _plan(repeats: int, budget: str, threads: int | None) -> Plan:
    from mlpbench.bench.machine import environment
    from mlpbench.bench.measure import instruments
    from mlpbench.bench.plan import choose, plan
    from mlpbench.bench.plan.profiles import Profile

    # Shorter than a profile to compare with: what differs between processes is not what more rounds would tell.
    profile = Profile("calibrate", "the tool itself", ("per_sample", "batched"), (1, 10, 100, 1000), repeats, 0.05, 5)
    budget_s = values.parse_budget(budget)
    kernels = [*instruments.SAME, *instruments.SLOWED]
    return plan.make_plan(
        profile,
        kernels,
        cases.grid(profile.modes, profile.batch_sizes),
        repeats=repeats,
        seed=plan.new_seed(),
        threads=threads or base.processors(),
        command=(),
        commit=environment.commit().commit,
        budget_s=budget_s,
        timeout_s=choose.usual_timeout_s(budget_s, len(kernels)),
    )


def _say_what_comes(plan: Plan, folder: Path) -> None:
    from mlpbench.bench.machine import environment
    from mlpbench.bench.measure import instruments

    what = f"{instruments.BASE} {len(instruments.SAME)} times unchanged, and slowed by 2, 3, 5 and 10 %"
    console.say(f"{what}; {len(plan.cases)} cases each, {plan.threads} threads; seed {plan.seed}")
    console.say(f"{plan.repeats} repeats on each side, and blocks of as many until {plan.budget_s:.0f} s are spent")
    for warning in environment.warnings(environment.collect()):
        console.say(f"warning: {warning}", "yellow")
    console.say(f"what is measured goes to {folder}", "dim")
    console.say(f"again: {shlex.join(plan.command)}", "dim")


def _evaluate(run: Judged, plan: Plan) -> CalibrationHead:
    """Return what the records show. Raises UserError where a kernel has no times."""
    from mlpbench.bench.analysis import times as times_of
    from mlpbench.bench.analysis.summary import USUAL_WANDER
    from mlpbench.bench.measure import instruments
    from mlpbench.bench.record.calibration import CalibrationHead, SeenEntry, WanderEntry
    from mlpbench.bench.stats import trials, verdicts
    from mlpbench.bench.trust import calibration

    found = times_of.cases([run])
    times = {name: {case.at: case.by_repeat for case in found if case.kernel == name} for name in plan.kernels}
    silent = [name for name, cases in times.items() if len(cases) < len(plan.cases)]
    if silent:
        why = next((failure.reason for failure in run.failures if failure.kernel == silent[0]), _NO_RECORD)
        raise UserError(f"nothing calibrated: {silent[0]} has no times: {why}")
    slowed = {share: times[name] for name, share in instruments.SLOWED.items()}
    same = [times[name] for name in instruments.SAME]
    wander = trials.wandered(list(times.values()), USUAL_WANDER)
    repeats = trials.fitting(list(times.values()), plan.repeats)
    paired, unpaired = trials.evaluate(same, slowed, repeats, wander=wander)
    if paired is None:
        raise UserError(f"nothing calibrated: fewer than {repeats} repeats were measured; give it a longer --budget")
    seen = trials.seen_slowdowns(same, slowed)
    return CalibrationHead(
        kind="calibration",
        machine=run.machine,
        run=f"{BELOW}/{run.id}",
        kernel=instruments.BASE,
        threads=plan.threads,
        ended=(run.ending.ended if run.ending else None) or plan.started or "",
        repeats=repeats,
        threshold=verdicts.THRESHOLD,
        false_discovery_rate=verdicts.FALSE_DISCOVERY_RATE,
        paired=calibration.entry_of(paired),
        unpaired=calibration.entry_of(unpaired),
        seen=tuple(SeenEntry(share, shown) for share, shown in sorted(seen.items())),
        wander=WanderEntry(wander.sd, wander.degrees),
    )


def _print(found: CalibrationHead) -> None:
    from mlpbench.bench.trust import calibration

    out = console.out()
    out.print(_table(found))
    for paired in (True, False):
        out.print(Text(calibration.sentence(found, found.repeats, paired=paired)))
    if found.wander:
        out.print(Text(f"the level of a whole run wanders by {100 * found.wander.sd:.2g} %"))
    out.print(Text("Comparisons share processes: the bounds are narrower than independent cases would give.", "dim"))


def _table(found: CalibrationHead) -> Table:
    from mlpbench.bench.trust import calibration

    entries = {"kernels of a run": found.paired, "two runs": found.unpaired}
    kinds = {name: calibration.kind_of(entry) for name, entry in entries.items() if entry}
    seen = {entry.slowdown: f" (seen: {100 * entry.seen:.2g} %)" for entry in found.seen}
    title = f"{found.kernel}, {found.repeats} repeats on each side, threshold {100 * found.threshold:.3g} %"
    shown = console.table(title, "what was compared", *kinds, right=tuple(kinds))
    shown.add_row("equal: false verdicts", *(_rate(kind.false) for kind in kinds.values()))
    shown.add_row("equal: comparisons with any", *(_rate(kind.disjoint) for kind in kinds.values()))
    for share in sorted(next(iter(kinds.values())).planted):
        rates = (_rate(kind.planted[share]) for kind in kinds.values())
        shown.add_row(f"{100 * share:.3g} % slower{seen.get(share, '')}: found", *rates)
    return shown


def _rate(tally: Tally) -> str:
    if not tally.cases:
        return "not measured"
    low, high = tally.bounds()
    return f"{100 * tally.rate:.2f} % ({100 * low:.2f} to {100 * high:.2f}) of {tally.cases}"
