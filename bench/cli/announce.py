"""What `mlpbench run` says before its first process."""

import shlex
from collections.abc import Iterator

from mlpbench.bench import words
from mlpbench.bench.api.run import Planned
from mlpbench.bench.cli import console
from mlpbench.bench.plan.sweep import Sweep
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.run import process, seal
from mlpbench.kernels import registry


def say_what_comes(planned: Planned, *, verbose: bool) -> None:
    """Say on stderr what is going to run, and what will be wrong with it; ``verbose``: how each process is started."""
    sweep = planned.sweep
    for line in _what_comes(sweep):
        console.say(line)
    for warning in planned.warnings():
        console.say(f"warning: {warning}", "yellow")
    if verbose:
        part = next(part for part in sweep.parts if part.plan.kernels)
        command = process.pytest_command(part.plan, part.workload.options, part.plan.kernels[0])
        console.say(f"each process: {shlex.join(command)}", "dim")
    say_how_it_goes_on(planned)


def say_how_it_goes_on(planned: Planned) -> None:
    """Say of a run that was stopped what it has, and what is left of its budget."""
    if planned.stopped is not None:
        effort, name = planned.effort, planned.sweep.plan.run_id
        left = f", {effort.left_budget_s:.0f} s of its budget are left" if effort.goes_on else ""
        console.say(f"{name} goes on after {words.things(effort.done, 'process', 'processes')}{left}")


def hint(command: str) -> str:
    """Return how an interrupted command goes on, as the end of a line; nothing where no run can be resumed."""
    return "" if seal.trouble() else f"; `mlpbench {command} --resume` goes on"


def _what_comes(sweep: Sweep) -> Iterator[str]:
    plan, parts = sweep.plan, sweep.parts
    if sweep.several:
        yield f"{len(parts)} settings: {'; '.join(part.setting.words for part in parts)}"
    kernels = words.things(len({kernel for part in parts for kernel in part.plan.kernels}), "kernel")
    where = "in each setting" if sweep.several else words.things(parts[0].setting.threads, "thread")
    repeats = _repeats(plan, min(part.plan.repeats for part in parts))
    yield f"{kernels}, {words.things(len(plan.cases), 'case')} each, {repeats}, {where}; seed {plan.seed}"
    workloads = dict.fromkeys(part.workload for part in parts)
    for workload in workloads:
        yield f"{workload.spec}; {workload.dataset.name}, {workload.weights_source} weights"
    for threads, binding in {part.setting.threads: part.plan.binding for part in parts}.items():
        if binding is not None:
            yield f"processes of {words.things(threads, 'thread')} are {binding.words()}"
    fewer = [(len(work.dataset), work.dataset.name, work.rows) for work in workloads if work.repeated]
    for rows, name, needed in dict.fromkeys(fewer):
        yield f"the {rows:,} rows of {name} are repeated to fill {needed:,}"
    for part in parts:
        setting = f" with {part.setting.words}" if sweep.several else ""
        peers, skipped = set(registry.peers()), part.plan.skipped
        none = peers if peers <= skipped.keys() else set()  # where no library is installed, one line brings them all
        if none:
            yield f"no peer is installed{setting}: pip install -e '.[peers]'"
        for kernel, reason in skipped.items():
            if kernel not in none:
                yield f"{kernel} is skipped{setting}: {reason}"


def _repeats(plan: Plan, fewest: int) -> str:
    repeats = ("" if fewest == plan.repeats else f"{fewest} to ") + words.things(plan.repeats, "repeat")
    if plan.target is None or plan.budget_s is None:
        return repeats
    until = f"until every interval is within ±{100 * plan.target:.3g} % or {plan.budget_s:.0f} s are spent"
    return f"{repeats} and more {until}"
