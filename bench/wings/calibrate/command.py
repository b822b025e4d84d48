"""`mlpbench calibrate`: how often the tool's own verdicts are wrong here, and how small a slowdown they find."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from mlpbench.bench import cases
from mlpbench.bench.analysis import times as times_of
from mlpbench.bench.analysis.judge import Judged, judge
from mlpbench.bench.analysis.summary import USUAL_WANDER
from mlpbench.bench.api import run as runs_
from mlpbench.bench.cases import Setting
from mlpbench.bench.cli import console, options, progress
from mlpbench.bench.cli.options import AsJson
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import environment
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import Profile, make_plan
from mlpbench.bench.plan.request import Request
from mlpbench.bench.plan.sweep import Part, Sweep
from mlpbench.bench.record import runs, write
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.stats import verdicts
from mlpbench.bench.trust import calibration
from mlpbench.bench.trust.calibration import CalibrationFile, CalibrationHead, TallyEntry
from mlpbench.bench.wings.calibrate import planted, trials
from mlpbench.kernels import base
from mlpbench.kernels.spec import MNIST

#: Folder, beside the runs of a machine, of the runs behind its calibrations: in no list of runs.
BELOW = "calibration"


@options.requests("budget_s", "threads", "resume", "results")
def calibrate(
    request: Request,
    repeats: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, max=100, help="Repeats on each side of a comparison, at most. Default: 20."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure mlpbench itself on this machine: false verdicts, and the smallest slowdown that it finds.

    The same kernel runs beside itself and beside copies that are 2, 3, 5 and 10 % slower. This takes 15 minutes. Later,
    `mlpbench compare` states the smallest slowdown it can detect here. The default of --budget is 14m.

    Example: mlpbench calibrate --threads 1
    """
    if request.resume is None:
        sweep = _planned(request, repeats or 20)
        planned = runs_.Planned(sweep, Effort(sweep.plan), command="calibrate", below=BELOW)
    elif repeats is not None:
        raise UserError("--repeats contradicts --resume: a run that is resumed keeps to its plan")
    else:
        planned = runs_.resumed(request, "calibrate", BELOW)
    plan = planned.sweep.plan
    with progress.shown(plan) as show:
        carried = runs_.carry_out(planned, request.results, lambda folder: _say_what_comes(planned, folder), show)
    if not carried.finished:
        on = progress.hint("calibrate")
        console.complain(f"interrupted: nothing calibrated; what was measured is in {carried.folder}{on}")
        raise typer.Exit(console.INTERRUPTED)
    found = _evaluate(judge(runs.read_run(carried.folder)), plan)
    path = carried.folder.parent.parent / calibration.FILE
    write.write_atomically(path, CalibrationFile(found), replace=True)
    if as_json:
        console.print_json(CalibrationFile(found).as_dict())
    else:
        out = console.out()
        out.print(_table(found))
        for paired in (True, False):
            out.print(Text(calibration.sentence(found, found.repeats, paired=paired)))
        if found.wander:
            out.print(Text(f"the level of a whole run wanders by {100 * found.wander[0]:.2g} %"))
        out.print(
            Text("Comparisons share processes: the bounds are narrower than independent cases would give.", "dim")
        )
    console.say(f"wrote {path}")


def _planned(request: Request, repeats: int) -> Sweep:
    if len(request.threads) > 1:
        raise UserError("--threads: calibrate measures with one number of threads")
    budget_s = request.budget_s or 14 * 60
    # Shorter than a profile to compare with: what differs between processes is not what more rounds would tell.
    profile = Profile("calibrate", ("per_sample", "batched"), (1, 10, 100, 1000), repeats, 0.05, 5)
    kernels = [*planted.SAME, *planted.SLOWED]
    threads = next(iter(request.threads), base.processors())
    plan = make_plan(
        profile,
        kernels,
        cases.grid(profile.modes, profile.batch_sizes),
        repeats=repeats,
        commit=environment.commit().commit,
        threads=threads,
        command=request.command,
        budget_s=budget_s,
        options_from_file=dict(request.from_file),
    )
    setting = Setting(MNIST.label(), threads, MNIST.dtype)
    return Sweep(plan, (Part(setting, plan, Workload(Options()), {name: name for name in kernels}),))


def _say_what_comes(planned: runs_.Planned, folder: Path) -> None:
    plan = planned.sweep.plan
    console.say(f"{planted.BASE} {len(planted.SAME)} times unchanged, and slowed by 2, 3, 5 and 10 %")
    progress.say_what_comes(planned, verbose=False)
    console.say(f"blocks of {plan.repeats} repeats until {plan.budget_s:.0f} s are spent, in {folder}", "dim")


def _evaluate(run: Judged, plan: Plan) -> CalibrationHead:
    """Return what the records show. Raises UserError where a kernel has no times."""
    found = times_of.cases([run])
    times = {name: {case.at: case.by_repeat for case in found if case.kernel == name} for name in plan.kernels}
    silent = [name for name, cases in times.items() if len(cases) < len(plan.cases)]
    if silent:
        no_record = "no record: a larger --budget gives it time"
        why = next((failure.reason for failure in run.failures if failure.kernel == silent[0]), no_record)
        raise UserError(f"nothing calibrated: {silent[0]} has no times: {why}")
    slowed = {share: times[name] for name, share in planted.SLOWED.items()}
    same = [times[name] for name in planted.SAME]
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
        kernel=planted.BASE,
        threads=plan.threads,
        ended=(run.ending.ended if run.ending else None) or plan.started or "",
        repeats=repeats,
        threshold=verdicts.THRESHOLD,
        false_discovery_rate=verdicts.FALSE_DISCOVERY_RATE,
        paired=paired,
        unpaired=unpaired,
        seen=tuple(sorted(seen.items())),
        wander=(wander.sd, wander.degrees),
    )


def _table(found: CalibrationHead) -> Table:
    entries = {"kernels of a run": found.paired, "two runs": found.unpaired}
    kinds = {name: entry for name, entry in entries.items() if entry}
    seen = {share: f" (seen: {100 * shown:.2g} %)" for share, shown in found.seen}
    title = f"{found.kernel}, {found.repeats} repeats on each side, threshold {100 * found.threshold:.3g} %"
    shown = console.table(title, "what was compared", *kinds, right=tuple(kinds))
    shown.add_row("equal: false verdicts", *(_rate(kind.false) for kind in kinds.values()))
    shown.add_row("equal: comparisons with any", *(_rate(kind.disjoint) for kind in kinds.values()))
    for tallies in zip(*(kind.planted for kind in kinds.values()), strict=True):
        share = tallies[0].slowdown
        shown.add_row(f"{100 * share:.3g} % slower{seen.get(share, '')}: found", *map(_rate, tallies))
    return shown


def _rate(tally: TallyEntry) -> str:
    """Return a rate with its two-sided 95 % interval, C. J. Clopper and E. S. Pearson, Biometrika 26 (1934)."""
    from scipy.stats import binomtest

    if not tally.cases:
        return "not measured"
    low, high = binomtest(tally.hits, tally.cases).proportion_ci(0.95, method="exact")
    return f"{100 * tally.rate:.2f} % ({100 * low:.2f} to {100 * high:.2f}) of {tally.cases}"
