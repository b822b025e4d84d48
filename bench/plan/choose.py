"""The plan of a request: settings, kernels in each of them, repeats and their budget."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec.structs import replace as replan

from mlpbench.bench import cases as cases_
from mlpbench.bench.cases import Case, Setting
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import environment
from mlpbench.bench.plan import effort, probe, sweep
from mlpbench.bench.plan import plan as plans
from mlpbench.bench.plan.probe import Probed
from mlpbench.bench.plan.request import Request
from mlpbench.bench.plan.sweep import Env, Part, Sweep
from mlpbench.bench.record.plan import KernelFile, Plan
from mlpbench.bench.stats.estimates import LEAST_REPEATS
from mlpbench.kernels import base, registry
from mlpbench.kernels.own import files

#: What kernels on a device are measured beside.
BESIDE = "numpy"
#: Of a budget, so many times its kernel's share are the seconds after which a process is stuck.
TIMEOUT_SHARES, MOST_TIMEOUT_S = 2, 600.0
#: A minute at least, since a first process compiles; half a budget at most, so that others have time, or half a minute.
MINUTE_S, HALF_S = 60.0, 30.0


def plan(request: Request) -> Sweep:
    """Return what a request comes to here. Nothing is timed, and nothing is written.

    Raises UserError or errors of kernels: also where a kernel that was asked for by name can run in no setting.
    """
    interpreters = sweep.interpreters(request.env)
    settings, cases = make_settings(request, list(interpreters)), grid(request)
    workloads = make_workloads(request, settings, cases)
    elsewhere = bool(interpreters)
    named = [registry.give(name, elsewhere=elsewhere) for name in request.kernels or request.profile.kernels or ()]
    inspected = sweep.inspected(interpreters)
    answers = _ask(request, named, settings, workloads, inspected)
    names = [
        sweep.names_of(settings, setting, [answer.name for answer in of_setting if answer.available])
        for setting, of_setting in zip(settings, answers, strict=True)
    ]
    whole = _whole(request, settings, names, answers)
    divided = sweep.divide(whole, list(zip(settings, workloads, names, strict=True)))
    parts = [_finished(part, of_setting, inspected) for part, of_setting in zip(divided.parts, answers, strict=True)]
    devices = {answer.name: answer.device for of_setting in answers for answer in of_setting if answer.device}
    return replace(sweep.of_parts(whole, parts), devices=devices)


def _whole(
    request: Request,
    settings: Sequence[Setting],
    names: Sequence[Mapping[str, str]],
    answers: Sequence[Sequence[Probed]],
) -> Plan:
    """Return the plan of the whole, which has the kernels of each setting by their ``names``."""
    pairs = sweep.together(zip(settings, names, strict=True))
    kernels = {name: kernel for of_setting in names for name, kernel in of_setting.items()}
    given, budget_s, profile = files.given(), find_budget_s(request), request.profile
    p99 = [] if request.p99_s is None else [f"--p99={request.p99_s * 1e9:.0f}ns"]
    whole = plans.make_plan(
        profile,
        list(kernels),
        grid(request),
        repeats=request.repeats or max(profile.repeats, 0 if budget_s is None else LEAST_REPEATS),
        seed=plans.new_seed() if request.seed is None else request.seed,
        commit=environment.commit().commit,
        together=pairs,
        threads=settings[0].threads,
        command=request.command,
        clock=[*p99, *["--cold"] * profile.cold, *["--mlpbench-audit"] * request.audit],
        target=None if budget_s is None else effort.TARGET,
        budget_s=budget_s,
        timeout_s=timeout_s(budget_s, len(kernels)),
        options_from_file=dict(request.from_file),
        files={answer.name: KernelFile(*given[answer.name]) for answer in answers[0] if answer.name in given},
    )
    compiling = {answer.name for of_setting in answers for answer in of_setting if answer.compiles}
    last = [name for pair in pairs for name in pair if kernels[name] in compiling]
    return replan(whole, order=plans.compiled_last(whole.order, last))


def _finished(part: Part, answers: Sequence[Probed], inspected: Mapping[str, Env]) -> Part:
    """Return a part with the kernels that it skips, and with its environment."""
    skipped = {answer.name: answer.reason or "" for answer in answers if not answer.available}
    part = replace(part, plan=replan(part.plan, skipped=skipped))
    return sweep.measured_in(part, inspected.get(part.setting.env or ""))


def find_budget_s(request: Request) -> float | None:
    """Return the seconds in which repeats go on, None for a fixed number of them."""
    return None if request.repeats else request.budget_s or request.profile.budget_s


def timeout_s(budget_s: float | None, kernels: int) -> float:
    """Return the seconds after which a process is stopped: a part of the budget."""
    if budget_s is None:
        return MOST_TIMEOUT_S
    longest_s = max(budget_s, MINUTE_S) if kernels == 1 else max(budget_s / 2, HALF_S)
    return min(max(TIMEOUT_SHARES * budget_s / kernels, MINUTE_S), longest_s, MOST_TIMEOUT_S)


def grid(request: Request) -> list[Case]:
    """Return the cases of every process."""
    return cases_.grid(request.profile.modes, request.batch_size or request.profile.batch_sizes)


def make_options(request: Request) -> Options:
    """Return what is computed in the first setting."""
    spec, dtype = next(iter(request.spec), None), next(iter(request.dtype), Options.dtype)
    return Options(spec.text if spec else None, dtype, request.data, request.model)


def make_settings(request: Request, interpreters: Sequence[str] = ()) -> list[Setting]:
    """Return every combination of what was asked for; ``interpreters``: names of environments, none for our own."""
    specs = [spec.label() for spec in request.spec or (make_options(request).read_spec(),)]
    if len(set(specs)) < len(set(request.spec)):
        raise UserError("--spec: two networks of the same sizes: a sweep tells networks apart by their sizes")
    dtypes = request.dtype or (Options.dtype,)
    return cases_.make_settings(specs, request.threads or (base.processors(),), dtypes, interpreters or (None,))


def make_workloads(request: Request, settings: Sequence[Setting], cases: Sequence[Case]) -> list[Workload]:
    """Return what each setting computes; settings that differ in threads share it.

    Raises UserError for data and weights that are bad or do not fit, before anything runs.
    """
    rows = max(cases_.ALL_ROWS, *(case.batch_size for case in cases))
    options, texts = make_options(request), {spec.label(): spec.text for spec in request.spec}
    made: dict[tuple[str, str], Workload] = {}
    for setting in settings:
        options = replace(options, spec=texts.get(setting.spec), dtype=setting.dtype)
        try:
            _ = made.setdefault((setting.spec, setting.dtype), Workload(options, rows)).facts()
        except UserError as error:
            if len(texts) < 2:
                raise
            raise UserError(f"--spec {setting.spec}: {error}") from None
    return [made[setting.spec, setting.dtype] for setting in settings]


def _ask(
    request: Request,
    named: Sequence[str],
    settings: Sequence[Setting],
    workloads: Sequence[Workload],
    inspected: Mapping[str, Env],
) -> list[list[Probed]]:
    """Return what each kernel answers in each setting. Raises UserError where one that is ``named`` can run in none."""
    device = None if named else request.profile.device
    usual = registry.usual() if request.every else request.profile.usual
    names = list(dict.fromkeys([*(named or usual), *(registry.peers() if request.peers else ())]))
    specs = list(dict.fromkeys(workload.spec for workload in workloads))
    probed = {}
    for env in {setting.env for setting in settings}:
        of_env = list(probe.probe_all(names, specs, inspected[env].interpreter.python if env else None))
        probed[env] = of_env if device is None else _on_device(of_env, device)
    answers = [
        [probe.for_spec(answer, workload.spec) for answer in probed[setting.env]]
        for setting, workload in zip(settings, workloads, strict=True)
    ]
    for of_kernel in zip(*answers, strict=True):
        if of_kernel[0].name in named and not any(answer.available for answer in of_kernel):
            raise UserError(f"{of_kernel[0].name} is unavailable: {of_kernel[0].reason}")
    return answers


def _on_device(answers: Sequence[Probed], device: str) -> list[Probed]:
    """Return the answers of the kernels on a device, and of `BESIDE`. Raises UserError where none can run there."""
    there = [answer for answer in answers if answer.device == device]
    if not any(answer.available for answer in there):
        why = f": {there[0].name}: {there[0].reason}" if there else ""
        raise UserError(f"no kernel that computes on {device} is available{why}")
    return [*there, *(answer for answer in answers if answer.name == BESIDE)]
