"""The plan of `mlpbench run` from what was typed: settings, kernels in each of them, repeats and their budget."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec.structs import replace as replan

from mlpbench.bench import cases as cases_
from mlpbench.bench import values
from mlpbench.bench.cases import Case, Setting
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import environment
from mlpbench.bench.plan import effort, plan, probe, sweep
from mlpbench.bench.plan.envs import Env
from mlpbench.bench.plan.probe import Probed
from mlpbench.bench.plan.profiles import Profile
from mlpbench.bench.plan.sweep import Sweep
from mlpbench.bench.record.plan import KernelFile, Skipped
from mlpbench.bench.stats.estimates import LEAST_REPEATS
from mlpbench.kernels import registry
from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.models import network
from mlpbench.kernels.own import files
from mlpbench.kernels.spec import ForwardSpec

#: What kernels on a device are measured beside.
BESIDE = "numpy"
#: Target and budget in seconds, both None for a fixed number of repeats.
Aim = tuple[float | None, float | None]
#: Where nobody says after how many seconds a process is stuck: of a budget, so many times its kernel's share.
TIMEOUT_SHARES, MOST_TIMEOUT_S = 2, 600.0
#: A minute at least, since a first process compiles; half a budget at most, so that others have time, or half a minute.
MINUTE_S, HALF_S = 60.0, 30.0


def find_aim(profile: Profile, repeats: int | None, budget: str | None, target: str | None) -> Aim:
    """Return the target and the budget in seconds, both None for a fixed number of repeats. Raises UserError."""
    if repeats is not None and (budget is not None or target is not None):
        given = "--budget" if budget is not None else "--target"
        raise UserError(f"--repeats is an exact number, {given} lets it grow: give one of them")
    if target is not None and budget is None and profile.budget_s is None:
        raise UserError(f"the profile {profile.name} has no budget for a --target: give --budget as well")
    share = effort.TARGET if target is None else values.parse_target(target)
    seconds = profile.budget_s if budget is None else values.parse_budget(budget)
    return (None, None) if repeats is not None or seconds is None else (share, seconds)


def find_timeout(timeout: str | None) -> float | None:
    """Return the seconds after which a process is stopped, as typed; None: `usual_timeout_s`. Raises UserError."""
    return None if timeout is None else values.parse_budget(timeout, "timeout")


def usual_timeout_s(budget_s: float | None, kernels: int) -> float:
    """Return the seconds after which a process is stopped where nobody says: a part of the budget."""
    if budget_s is None:
        return MOST_TIMEOUT_S
    longest_s = max(budget_s, MINUTE_S) if kernels == 1 else max(budget_s / 2, HALF_S)
    return min(max(TIMEOUT_SHARES * budget_s / kernels, MINUTE_S), longest_s, MOST_TIMEOUT_S)


def find_network(
    model: Path | None, specs: Sequence[str] | None, hidden: str | None, output: str | None, weights: Path | None
) -> dict[str, Any]:
    """Return the options that say which network it is: those that were given, or what a model in a file says.

    Raises UserError for a model beside ``specs`` or ``weights``, ParamsError for one that cannot be read.
    """
    if model is None:
        said = {"spec": specs[0] if specs else None, "hidden": hidden, "output": output}
        return {"weights": weights} | {name: value for name, value in said.items() if value is not None}
    if specs or weights:
        raise UserError(f"--model says sizes and weights: --{'spec' if specs else 'weights'} is one too many")
    if not network.is_network(model):
        raise UserError(f"--model {model}: a network is in a file that ends in {' or '.join(network.SUFFIXES)}")
    found = network.spec_of(model, hidden, output)
    return {"spec": found.label(), "hidden": found.hidden, "output": found.output, "weights": model}


def find_settings(
    options: Options,
    specs: Sequence[str] | None,
    threads: Sequence[str] | None,
    dtypes: Sequence[str] | None,
    envs: Sequence[str] = (),
) -> list[Setting]:
    """Return every combination of what was typed, else of what is usual.

    ``envs``: names of the environments that are measured, none for our own. Raises UserError and SpecError for values
    that are none.
    """
    found_dtypes = values.parse_dtypes(dtypes or (options.dtype,))
    found_specs = [ForwardSpec.parse(text, options.hidden, options.output).label() for text in specs or (options.spec,)]
    counts = values.parse_threads(threads or ("all",))
    return cases_.make_settings(found_specs, counts, found_dtypes, envs or (None,))


def make_workloads(settings: Sequence[Setting], options: Options, rows: int) -> list[Workload]:
    """Return what each setting computes; settings that differ in threads share it.

    Raises UserError, ParamsError or SpecError for data and weights that are bad or do not fit, before anything runs.
    """
    several = len({setting.spec for setting in settings}) > 1
    made: dict[tuple[str, str], Workload] = {}
    for setting in settings:
        at = setting.spec, setting.dtype
        if at in made:
            continue
        made[at] = Workload(replace(options, spec=setting.spec, dtype=setting.dtype), rows=rows)
        try:
            _ = made[at].facts()
        except (UserError, ParamsError) as error:
            if not several:
                raise
            raise UserError(f"--spec {setting.spec}: {error}") from None
    return [made[setting.spec, setting.dtype] for setting in settings]


def make_sweep(
    profile: Profile,
    named: Sequence[str],
    every: bool,
    peers: bool,
    settings: Sequence[Setting],
    workloads: Sequence[Workload],
    cases: list[Case],
    *,
    repeats: int | None,
    seed: int | None,
    aim: Aim,
    clock: Sequence[str],
    command: Sequence[str] = (),
    options_from_file: Mapping[str, str] | None = None,
    envs: Mapping[str, Env] | None = None,
    timeout_s: float | None = None,
    suffix: str = "",
) -> Sweep:
    """Return the plan. Raises UserError where a kernel that was asked for by name can run in no setting.

    ``envs``: the environments that settings name; kernels are asked in them.
    """
    envs = envs or {}
    more = registry.peers() if peers else ()
    names = list(dict.fromkeys([*(named or (registry.usual() if every else profile.usual)), *more]))
    specs = list(dict.fromkeys(workload.spec for workload in workloads))
    there = {setting.env: envs[setting.env].interpreter.python if setting.env else None for setting in settings}
    probed = {env: list(probe.probe_all(names, specs, python)) for env, python in there.items()}
    if profile.device is not None and not named:
        probed = {env: _on_device(answers, profile.device) for env, answers in probed.items()}
    answers = [
        [probe.for_spec(answer, workload.spec) for answer in probed[setting.env]]
        for setting, workload in zip(settings, workloads, strict=True)
    ]
    for of_kernel in zip(*answers, strict=True):
        if of_kernel[0].name in named and not any(answer.available for answer in of_kernel):
            raise UserError(f"{of_kernel[0].name} is unavailable: {of_kernel[0].reason}")
    parts, compiling = [], []
    devices: dict[str, str] = {}
    for setting, workload, found in zip(settings, workloads, answers, strict=True):
        skipped = [Skipped(answer.name, answer.reason or "") for answer in found if not answer.available]
        here = [answer for answer in found if answer.available]
        of_part = sweep.names_of(settings, setting, [answer.name for answer in here])
        compiling += [name for name, answer in zip(of_part, here, strict=True) if answer.compiles]
        devices |= {answer.name: answer.device for answer in here if answer.device}
        parts.append((setting, workload, of_part, skipped))
    pairs = sweep.together((setting, names_here) for setting, _, names_here, _ in parts)
    measured = [name for _, _, names_here, _ in parts for name in names_here]
    made = plan.make_plan(
        profile,
        measured,
        cases,
        repeats=repeats or (profile.repeats if aim[1] is None else max(profile.repeats, LEAST_REPEATS)),
        seed=plan.new_seed() if seed is None else seed,
        threads=settings[0].threads,
        command=command,
        commit=environment.commit().commit,
        target=aim[0],
        budget_s=aim[1],
        timeout_s=usual_timeout_s(aim[1], len(measured)) if timeout_s is None else timeout_s,
        suffix=suffix,
        clock=clock,
        together=pairs,
    )
    given = {name: KernelFile(*file) for name, file in files.given().items() if name in names}
    made = replan(made, options_from_file=dict(options_from_file or {}), files=given)
    made = replan(
        made, order=plan.compiled_last(made.order, [name for pair in pairs for name in pair if name in compiling])
    )
    divided = sweep.measured_in(replace(sweep.divide(made, parts), devices=devices), envs)
    # Settings that differ in threads are to differ in processors too, whatever a library makes of its variables.
    binds = len({setting.threads for setting in settings}) > 1
    return sweep.bind(divided) if binds else divided


def _on_device(answers: Sequence[Probed], device: str) -> list[Probed]:
    """Return the answers of the kernels on a device, and of `BESIDE`. Raises UserError where none can run there."""
    there = [answer for answer in answers if answer.device == device]
    if not any(answer.available for answer in there):
        why = f": {there[0].name}: {there[0].reason}" if there else ""
        raise UserError(f"no kernel that computes on {device} is available{why}")
    return [*there, *(answer for answer in answers if answer.name == BESIDE)]
