"""What `mlpbench run` says before its first process, and the machine's limits, which it measures after its last."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlpbench.bench import words
from mlpbench.bench.cases import CPU
from mlpbench.bench.cli import console
from mlpbench.bench.machine import environment, roofs
from mlpbench.bench.plan.sweep import Sweep
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.record.runs import ROOFS_FILE
from mlpbench.bench.run import looks, process
from mlpbench.kernels import base, registry


def say_what_comes(sweep: Sweep, *, verbose: bool, quiet: bool) -> None:
    """Say on stderr what is going to run, and what will be wrong with it.

    ``verbose``: with the command that times a kernel by hand; ``quiet``: only what will be wrong.
    """
    for line in [] if quiet else _what_comes(sweep):
        console.say(line)
    warnings = environment.warnings(environment.collect())
    most = max(part.setting.threads for part in sweep.parts)
    if most > (there := base.processors()):
        warnings.append(f"{most} threads on {there} processors take turns: times with them say little about threads")
    for warning in warnings:
        console.say(f"warning: {warning}", "yellow")
    if verbose:
        part = next(part for part in sweep.parts if part.plan.kernels)
        command = process.pytest_command(part.plan, part.workload.options, part.plan.kernels[0])
        console.say(f"each process: {shlex.join(command)}", "dim")


def _what_comes(sweep: Sweep) -> Iterator[str]:
    plan, parts = sweep.plan, sweep.parts
    if sweep.several:
        yield f"{len(parts)} settings: {'; '.join(part.setting.words for part in parts)}"
    kernels = words.things(len({kernel for part in parts for kernel in part.plan.kernels}), "kernel")
    repeats = _repeats(plan, min(part.plan.repeats for part in parts))
    where = "in each setting" if sweep.several else words.things(parts[0].setting.threads, "thread")
    yield f"{kernels}, {words.things(len(plan.cases), 'case')} each, {repeats}, {where}; seed {plan.seed}"
    workloads = list(dict.fromkeys(part.workload for part in parts))
    for workload in workloads:
        yield f"{workload.spec}; {workload.dataset.name}, {workload.weights_source} weights"
    bindings = {part.setting.threads: part.plan.binding for part in parts}
    for threads, binding in bindings.items():
        if binding is not None:
            yield f"processes of {words.things(threads, 'thread')} are {binding.words()}"
    yield from dict.fromkeys(
        f"the {len(workload.dataset):,} rows of {workload.dataset.name} are repeated to fill {workload.rows:,}"
        for workload in workloads
        if workload.repeated
    )
    for part in parts:
        setting = f" with {part.setting.words}" if sweep.several else ""
        # Where no library of any is installed, one line says what brings them all.
        every, skipped = set(registry.peers()), part.plan.skipped
        none = bool(every) and every <= {skip.kernel for skip in skipped}
        if none:
            yield f"no peer is installed{setting}: pip install -e '.[peers]'"
        for skip in skipped:
            if not (none and skip.kernel in every):
                yield f"{skip.kernel} is skipped{setting}: {skip.reason}"


def _repeats(plan: Plan, fewest: int) -> str:
    repeats = ("" if fewest == plan.repeats else f"{fewest} to ") + words.things(plan.repeats, "repeat")
    if plan.target is None or plan.budget_s is None:
        return repeats
    until = f"until every interval is within ±{100 * plan.target:.3g} % or {plan.budget_s:.0f} s are spent"
    return f"{repeats} and more {until}"


#: What a roof takes at most, whatever a case of the profile does.
ROOF_S = 0.15


def measure_roofs(folders: Sequence[Path], sweep: Sweep, seconds: float) -> None:
    """Measure what the machine can do at most, and each device that kernels compute on: for every threads and dtype.

    A run that is resumed may have them. Reports hold the kernels to them.
    """
    seconds = min(seconds, ROOF_S)
    sharing: dict[tuple[int, str], list[Path]] = {}
    devices: dict[tuple[int, str], set[str]] = {}
    bindings = {part.setting.threads: part.plan.binding for part in sweep.parts}
    for folder, part in zip(folders, sweep.parts, strict=True):
        if (folder / ROOFS_FILE).exists():
            continue
        shared = (part.setting.threads, part.setting.dtype)
        sharing.setdefault(shared, []).append(folder)
        devices.setdefault(shared, set()).update(sweep.devices.get(kernel, CPU) for kernel in part.plan.kernels)
    for (threads, dtype), those in sharing.items():
        others = sorted(devices[threads, dtype] - {CPU})
        bound, best = bindings[threads], looks.known(looks.path_for(those[0]))
        reason = roofs.write(those, threads, dtype, seconds=seconds, devices=others, binding=bound, best=best)
        if reason:
            console.say(f"limits of the machine: {reason}", "yellow")
