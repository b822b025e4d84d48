"""What `mlpbench run` says before its first process, and a line for each that has ended; what is done now."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.text import Text

from mlpbench.bench import words
from mlpbench.bench.api.run import Planned, Progress
from mlpbench.bench.cli import console
from mlpbench.bench.plan.sweep import Sweep
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.run import folder as folder_
from mlpbench.bench.run import process
from mlpbench.bench.run.process import Outcome
from mlpbench.kernels import registry


def say_what_comes(planned: Planned, *, verbose: bool) -> None:
    """Say on stderr what is going to run, and what will be wrong with it; ``verbose``: how each process is started."""
    for line in _what_comes(planned.sweep):
        console.say(line)
    for warning in planned.warnings():
        console.say(f"warning: {warning}", "yellow")
    if verbose:
        part = next(part for part in planned.sweep.parts if part.plan.kernels)
        command = process.pytest_command(part.plan, part.workload.options, part.plan.kernels[0])
        started = [part.plan.env.python, "-m"] if part.plan.env else []
        console.say(f"each process: {shlex.join([*started, *command])}", "dim")
    say_how_it_goes_on(planned)


def say_how_it_goes_on(planned: Planned) -> None:
    """Say of a run that was stopped what it has, and what is left of its budget."""
    if planned.stopped is not None:
        effort, name = planned.effort, planned.sweep.plan.run_id
        left = f", {max(0.0, effort.left_budget_s):.0f} s of its budget are left" if effort.goes_on else ""
        console.say(f"{name} goes on after {words.things(effort.done, 'process', 'processes')}{left}")


def hint() -> str:
    """Return how an interrupted run goes on, as the end of a line; nothing where no run can be resumed."""
    return "" if folder_.no_seal() else "; `mlpbench run --resume` goes on"


def _what_comes(sweep: Sweep) -> Iterator[str]:
    plan, parts = sweep.plan, sweep.parts
    if sweep.several:
        yield f"{len(parts)} settings: {'; '.join(part.setting.words for part in parts)}"
    kernels = words.things(len({kernel for part in parts for kernel in part.plan.kernels}), "kernel")
    where = "in each setting" if sweep.several else words.things(parts[0].setting.threads, "thread")
    fewest = min(part.plan.repeats for part in parts)
    repeats = ("" if fewest == plan.repeats else f"{fewest} to ") + words.things(plan.repeats, "repeat")
    if plan.target is not None and plan.budget_s is not None:
        until = f"until every interval is within ±{100 * plan.target:.3g} % or {plan.budget_s:.0f} s are spent"
        repeats = f"{repeats} and more {until}"
    yield f"{kernels}, {words.things(len(plan.cases), 'case')} each, {repeats}, {where}; seed {plan.seed}"
    for workload in dict.fromkeys(part.workload for part in parts):
        data = workload.dataset
        yield f"{workload.spec}; {data.name}, {workload.weights_source} weights"
        if workload.repeated:
            yield f"the {len(data):,} rows of {data.name} are repeated to fill {workload.rows:,}"
    for threads, binding in {part.setting.threads: part.plan.binding for part in parts}.items():
        if binding is not None:
            yield f"processes of {words.things(threads, 'thread')} are {binding.words()}"
    yield from (f"batches of {size:,} are left out: {why}" for size, why in plan.no_room)
    for part in parts:
        setting = f" with {part.setting.words}" if sweep.several else ""
        # Where no library of any is installed, one line says what brings them all.
        every, skipped = set(registry.peers()), part.plan.skipped
        if none := bool(every) and every <= skipped.keys():
            yield f"no peer is installed{setting}: pip install -e '.[peers]'"
        left = {kernel: reason for kernel, reason in skipped.items() if not (none and kernel in every)}
        yield from (f"{kernel} is skipped{setting}: {reason}" for kernel, reason in left.items())


@contextmanager
def shown(plan: Plan) -> Iterator[Callable[[Progress], None]]:
    """Return what shows each progress of a plan, for as long as the block lasts."""
    now, left = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[left]}")
    columns = (SpinnerColumn(), now, BarColumn(20), MofNCompleteColumn(), left)
    err = console.err()
    with rich_progress.Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("starting", total=len(plan.order), left="")
        told: set[tuple[str, str | None, str]] = set()

        def show(progress: Progress) -> None:
            place = f"{progress.repeat + 1}" + (f"/{plan.repeats}" if progress.repeat < plan.repeats else "")
            who = f"{progress.kernel}{f', {progress.setting},' if progress.setting else ''} {place}"
            if progress.outcome is None:
                bar.update(task, description=f"{who}: {progress.doing}")
                return
            at_most, left_s = "at most " if plan.budget_s is not None else "", progress.left_s
            time = "" if left_s is None else f"{at_most}{left_s // 60:.0f}:{left_s % 60:02.0f} left"
            bar.update(task, completed=progress.done, total=progress.total, left=time)
            for problem in progress.problems:
                if (at := (progress.kernel, progress.setting, problem)) not in told:  # once, and not for each repeat
                    told.add(at)
                    err.print(Text(f"{who}: {problem}", "yellow"))
            if progress.times:
                err.print(Text(f"{who}: {_in_words(progress.outcome)}"))

        yield show


def _in_words(outcome: Outcome) -> str:
    """Return the times of a process in a line: one at a time, in the best batch, and the ratio of both."""
    single_s = next((time for (mode, _), time in outcome.times.items() if mode == "per_sample"), None)
    batches = {size: time for (mode, size), time in outcome.times.items() if mode == "batched"}
    parts = [] if single_s is None else [f"{words.seconds(single_s)} one at a time"]
    if batches:
        size = min(batches, key=batches.__getitem__)
        gain = "" if single_s is None else f" ({single_s / batches[size]:.3g}x)"
        parts.append(f"{words.seconds(batches[size])} in batches of {size:,}{gain}")
    disturbed = f", {len(outcome.disturbed)} of {len(outcome.times)} timings disturbed" if outcome.disturbed else ""
    return ", ".join(parts) + disturbed
