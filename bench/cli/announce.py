"""What `mlpbench run` says and measures before its first process: the settings, warnings, the machine's limits."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlpbench.bench import words
from mlpbench.bench.cli import console
from mlpbench.bench.clock import elapsed
from mlpbench.bench.machine import environment, roofs
from mlpbench.bench.run import process
from mlpbench.kernels import base, registry

if TYPE_CHECKING:
    from mlpbench.bench.plan.sweep import Sweep
    from mlpbench.bench.record.plan import Plan


def say_what_comes(sweep: Sweep, folder: Path, networks: Sequence[str] = ()) -> None:
    """Say on stderr what is going to run, and what will be wrong with it; ``networks``: how they were chosen."""
    for line in [*networks, *_what_comes(sweep)]:
        console.say(line)
    warnings = environment.warnings(environment.collect())
    most = max(part.setting.threads for part in sweep.parts)
    if most > (there := base.processors()):
        warnings.append(f"{most} threads on {there} processors take turns: times with them say little about threads")
    for warning in warnings:
        console.say(f"warning: {warning}", "yellow")
    part = next(part for part in sweep.parts if part.plan.kernels)
    command = process.pytest_command(part.plan, part.workload.options, part.plan.kernels[0])
    console.say(f"each process: {shlex.join(command)}", "dim")
    console.say(f"results go to {folder}", "dim")


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
        for skip in part.plan.skipped:
            yield f"{skip.kernel} is skipped{setting}: {skip.reason}"


def _repeats(plan: Plan, fewest: int) -> str:
    repeats = ("" if fewest == plan.repeats else f"{fewest} to ") + words.things(plan.repeats, "repeat")
    if plan.target is None or plan.budget_s is None:
        return repeats
    until = f"until every interval is within ±{100 * plan.target:.3g} % or {plan.budget_s:.0f} s are spent"
    return f"{repeats} and more {until}"


def measure_roofs(folders: Sequence[Path], sweep: Sweep, seconds: float) -> float:
    """Measure what the machine can do at most, and each device that kernels compute on: for every threads and dtype.

    Return how long that took. `mlpbench explain` holds the kernels to it.
    """
    spent_s = 0.0
    sharing: dict[tuple[int, str], list[Path]] = {}
    devices: dict[tuple[int, str], set[str]] = {}
    bindings = {part.setting.threads: part.plan.binding for part in sweep.parts}
    for folder, part in zip(folders, sweep.parts, strict=True):
        shared = (part.setting.threads, part.setting.dtype)
        sharing.setdefault(shared, []).append(folder)
        devices.setdefault(shared, set()).update(registry.load(kernel).device for kernel in part.plan.kernels)
    for (threads, dtype), those in sharing.items():
        others = sorted(devices[threads, dtype] - {"cpu"})
        with elapsed() as took:
            reason = roofs.write(those, threads, dtype, seconds=seconds, devices=others, binding=bindings[threads])
        spent_s += took.seconds
        if reason:
            console.say(f"no roofs: {reason}", "yellow")
    return spent_s
