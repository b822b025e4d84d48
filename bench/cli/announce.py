"""What `mlpbench run` says and measures before its first process: the settings, warnings, the machine's limits."""

import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlpbench.bench import values, words
from mlpbench.bench.cli import console
from mlpbench.bench.clock import elapsed
from mlpbench.bench.machine import environment, load, roofs
from mlpbench.bench.plan import sweep as sweeps
from mlpbench.bench.plan.profiles import Profile
from mlpbench.bench.plan.sweep import Sweep
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.record.runs import ROOFS_FILE
from mlpbench.bench.run import looks, process
from mlpbench.bench.stats.estimates import LEAST_REPEATS
from mlpbench.kernels import base

#: Seconds that a busy machine may keep a run waiting, unless somebody says more: a first run is to take two minutes,
#: and beside others who never rest waiting gains nothing.
WAIT_S = 10.0
#: Where others keep more than this share of the processors, threads that share work wait for each other: none of their
#: rounds is quiet. One that has a processor to itself now and then has quiet rounds enough.
CROWDED = 0.5


def say_what_comes(sweep: Sweep, networks: Sequence[str] = (), *, verbose: bool, quiet: bool) -> None:
    """Say on stderr what is going to run, and what will be wrong with it; ``networks``: how they were chosen.

    ``verbose``: with the command that times a kernel by hand; ``quiet``: only what will be wrong.
    """
    for line in [] if quiet else [*networks, *_what_comes(sweep)]:
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


def waiting_s(wait: str | None, profile: Profile, budget_s: float | None) -> float:
    """Return how long a busy machine may keep a run waiting. Raises UserError for a time that is none.

    Without intervals, as in a smoke test, nothing waits unasked; and else a tenth of the budget at most.
    """
    if wait is None:
        return min(WAIT_S, (budget_s or math.inf) / 10) if profile.repeats >= LEAST_REPEATS else 0.0
    return 0.0 if wait == "0" else values.parse_budget(wait, "wait")


def wait_until_quiet(limit_s: float, sweep: Sweep, *, chosen: bool) -> Sweep:
    """Wait for others to leave the processors alone, at most so long, and say why nothing happens.

    Return the plan with as many threads as they have left processors, where nobody has ``chosen`` how many.
    """
    there, few = base.processors(), not (chosen or sweep.several)
    said: list[float] = []

    def tell(share: float) -> None:
        if not said:
            said.append(share)
            console.say(
                f"others use {share:.0%} of {words.things(there, 'processor')}: waiting up to {limit_s:.0f} s for "
                "a quiet moment (--wait 0 starts at once)",
                "yellow",
            )

    still = load.wait_until_quiet(limit_s, tell) if limit_s else None
    if not said or still is None or still <= load.BUSY:
        return sweep
    left = max(1, int(there * (1 - still)))
    if not few or still <= CROWDED or left >= (sweep.plan.threads or there):
        console.say(f"others still use {still:.0%}: starting all the same, intervals will be wide", "yellow")
        return sweep
    gone = (
        f"others still use {still:.0%}: measuring with {words.things(left, 'thread')}, since more would wait for each"
    )
    console.say(f"{gone} other (--threads {sweep.plan.threads} to measure with as many)", "yellow")
    return sweeps.with_threads(sweep, left)


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


#: What a roof takes at most, whatever a case of the profile does.
ROOF_S = 0.15


def measure_roofs(folders: Sequence[Path], sweep: Sweep, seconds: float) -> float:
    """Measure what the machine can do at most, and each device that kernels compute on: for every threads and dtype.

    A run that is resumed may have them. Return how long that took. `mlpbench explain` holds the kernels to it.
    """
    seconds, spent_s = min(seconds, ROOF_S), 0.0
    sharing: dict[tuple[int, str], list[Path]] = {}
    devices: dict[tuple[int, str], set[str]] = {}
    bindings = {part.setting.threads: part.plan.binding for part in sweep.parts}
    for folder, part in zip(folders, sweep.parts, strict=True):
        if (folder / ROOFS_FILE).exists():
            continue
        shared = (part.setting.threads, part.setting.dtype)
        sharing.setdefault(shared, []).append(folder)
        devices.setdefault(shared, set()).update(sweep.devices.get(kernel, roofs.CPU) for kernel in part.plan.kernels)
    for (threads, dtype), those in sharing.items():
        others = sorted(devices[threads, dtype] - {roofs.CPU})
        with elapsed() as took:
            bound, best = bindings[threads], looks.known(looks.path_for(those[0]))
            reason = roofs.write(those, threads, dtype, seconds=seconds, devices=others, binding=bound, best=best)
        spent_s += took.seconds
        if reason:
            console.say(f"roofs: {reason}", "yellow")
    return spent_s
