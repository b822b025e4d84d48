"""The plan of a request: an ordinary run for each setting, side by side, and their kernels, repeats and budget.

A kernel of a setting is a name, ``<label>/<kernel>``, in the plan of the whole, whose order is shuffled as a run's is:
ratios between settings stay paired by repeat. With one setting names are kernels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as replan

from mlpbench.bench import cases as cases_
from mlpbench.bench.cases import Case, Setting
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.machine import environment, threads
from mlpbench.bench.plan import effort, probe
from mlpbench.bench.plan import plan as plans
from mlpbench.bench.plan.probe import Probed
from mlpbench.bench.plan.request import Request
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.plan import Interpreter, KernelFile, Plan
from mlpbench.bench.registered import modules
from mlpbench.bench.stats.estimates import LEAST_REPEATS
from mlpbench.kernels import base, registry
from mlpbench.kernels.own import files

#: What kernels on a device are measured beside.
BESIDE = "numpy"


@dataclass(frozen=True)
class Env:
    """An environment in which mlpbench can measure. ``third_party``: kernels of other packages there, and of which."""

    interpreter: Interpreter
    environment: Environment
    third_party: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One setting: an ordinary run of kernels, by their ``names`` in the whole; ``env``: None for our environment."""

    setting: Setting
    plan: Plan
    workload: Workload
    names: dict[str, str]
    env: Env | None = None


@dataclass(frozen=True)
class Sweep:
    """One run, or several side by side, with the plan of the ``whole``. ``devices``: where kernels compute."""

    whole: Plan
    parts: tuple[Part, ...]
    devices: Mapping[str, str] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether there is more than one setting."""
        return len(self.parts) > 1

    @property
    def plan(self) -> Plan:
        """The plan of the whole; one setting alone has its own."""
        return self.whole if self.several else self.parts[0].plan

    @property
    def pairs(self) -> list[list[str]]:
        """The names of the plan in groups: see `together`."""
        return together((part.setting, part.names) for part in self.parts)

    def find(self, name: str) -> tuple[int, Part]:
        """Return the part, and its number, of a name of the plan."""
        return next((number, part) for number, part in enumerate(self.parts) if name in part.names)


def plan(request: Request) -> Sweep:
    """Return what a request comes to here. Raises UserError, also where a kernel that it names can run nowhere."""
    pythons = interpreters(request.env)
    settings = make_settings(request, list(pythons))
    workloads = make_workloads(request, settings)
    named = [registry.give(name, elsewhere=bool(pythons)) for name in request.kernels or request.profile.kernels or ()]
    envs = inspected(pythons)
    answers = _ask(request, named, list(zip(settings, workloads, strict=True)), envs)
    fitted = (wing.fitted(request, workloads, answers) for wing in modules("memory"))
    request, no_room = next(fitted, (request, ()))
    workloads = make_workloads(request, settings) if no_room else workloads
    names = [
        {setting.name(answer.name): answer.name for answer in of_setting if answer.available}
        for setting, of_setting in zip(settings, answers, strict=True)
    ]
    whole, parts = replan(_whole(request, settings, names), no_room=no_room), []
    for setting, workload, own, of_setting in zip(settings, workloads, names, answers, strict=True):
        env = envs.get(setting.env or "")
        skipped = {answer.name: answer.reason or "" for answer in of_setting if not answer.available}
        own_plan = replan(plan_of(whole, setting, own), skipped=skipped, env=env and env.interpreter)
        parts.append(Part(setting, own_plan, workload, own, env))
    devices = {answer.name: answer.device for of_setting in answers for answer in of_setting if answer.device}
    return Sweep(whole, tuple(parts), devices)


def _whole(request: Request, settings: Sequence[Setting], names: Sequence[Mapping[str, str]]) -> Plan:
    """Return the plan of the whole, which has the kernels of each setting by their ``names``."""
    kernels = {name: kernel for of_setting in names for name, kernel in of_setting.items()}
    budget_s, profile = find_budget_s(request), request.profile
    p99 = [] if request.p99_s is None else [f"--p99={request.p99_s * 1e9:.0f}ns"]
    return plans.make_plan(
        profile,
        list(kernels),
        grid(request),
        repeats=request.repeats or max(profile.repeats, 0 if budget_s is None else LEAST_REPEATS),
        seed=request.seed,
        commit=environment.commit().commit,
        together=together(zip(settings, names, strict=True)),
        threads=settings[0].threads,
        command=request.command,
        clock=[*p99, *["--cold"] * profile.cold, *["--mlpbench-audit"] * request.audit],
        target=None if budget_s is None else effort.TARGET,
        budget_s=budget_s,
        options_from_file=dict(request.from_file),
        files={name: KernelFile(*file) for name, file in files.given().items() if name in kernels.values()},
    )


def together(parts: Iterable[tuple[Setting, Mapping[str, str]]]) -> list[list[str]]:
    """Return names in groups: one kernel in all environments, with everything else of their settings alike."""
    named = (((*setting.point[:-1], kernel), name) for setting, own in parts for name, kernel in own.items())
    return list(grouped(named).values())


def plan_of(whole: Plan, setting: Setting, names: Mapping[str, str]) -> Plan:
    """Return the plan of one of the settings of a sweep: an ordinary run, of the kernels with these names.

    Settings that differ in threads are bound to as many processors, whatever a library makes of its variables.
    """
    if not setting.varies:
        return whole
    order = tuple((names[name], repeat) for name, repeat in whole.order if name in names)
    return replan(
        whole,
        run_id=f"{whole.run_id}.{setting.label}",
        kernels=tuple(names.values()),
        order=order,
        repeats=max((repeat for _, repeat in order), default=whole.repeats - 1) + 1,
        threads=setting.threads,
        sweep=whole.run_id,
        setting=setting,
        binding=threads.choose(setting.threads) if "threads" in setting.varies else None,
    )


def find_budget_s(request: Request) -> float | None:
    """Return the seconds in which repeats go on, None for a fixed number of them."""
    return None if request.repeats else request.budget_s or request.profile.budget_s


def grid(request: Request) -> list[Case]:
    """Return the cases of every process."""
    return cases_.grid(request.profile.modes, request.batch_size or request.profile.batch_sizes)


def make_options(request: Request) -> Options:
    """Return what is computed in the first setting."""
    spec, dtype = next(iter(request.spec), None), next(iter(request.dtype), Options.dtype)
    model = str(request.model) if request.model else None
    return Options(spec.text if spec else None, dtype, request.data, model)


def make_settings(request: Request, envs: Sequence[str]) -> list[Setting]:
    """Return every combination of what was asked for; ``envs``: names of environments, none for our own."""
    specs = [spec.label() for spec in request.spec or (Workload(make_options(request)).spec,)]
    if len(set(specs)) < len(set(request.spec)):
        raise UserError("--spec: two networks of the same sizes: a sweep tells networks apart by their sizes")
    threads, dtypes = request.threads or (base.processors(),), request.dtype or (Options.dtype,)
    return cases_.make_settings(specs, threads, dtypes, envs or (None,))


def make_workloads(request: Request, settings: Sequence[Setting]) -> list[Workload]:
    """Return what each setting computes; those that differ in threads share it. Raises UserError for what is bad."""
    rows = max(cases_.ALL_ROWS, *(case.batch_size for case in grid(request)))
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


def interpreters(texts: Sequence[str]) -> dict[str, str]:
    """Return the interpreter of each environment that was named as NAME=PATH, by its name. Raises UserError."""
    if not texts:
        return {}
    for wing in modules("environments"):
        return dict(wing.parse(texts))
    raise UserError("--env: mlpbench measures in no other environment here")


def inspected(interpreters: Mapping[str, str]) -> dict[str, Env]:
    """Return the environment of each interpreter, which is started. Raises UserError where one lacks something."""
    asked = modules("environments") if interpreters else ()
    return {name: wing.inspect(name, python) for wing in asked for name, python in interpreters.items()}


def _ask(
    request: Request, named: Sequence[str], settings: Sequence[tuple[Setting, Workload]], envs: Mapping[str, Env]
) -> list[list[Probed]]:
    """Return what each kernel answers in each setting. Raises UserError where one that is ``named`` can run in none."""
    device = None if named else request.profile.device
    usual = registry.usual() if request.every or device else plans.USUAL
    names = list(dict.fromkeys([*(named or usual), *(registry.peers() if request.peers else ())]))
    specs = list(dict.fromkeys(workload.spec for _, workload in settings))
    probed = {}
    for name in {setting.env for setting, _ in settings}:
        of_env = list(probe.probe_all(names, specs, envs[name].interpreter.python if name else None))
        probed[name] = of_env if device is None else _on_device(of_env, device)
    answers = [
        [replace(one, reason=one.reason or one.refuses.get(str(workload.spec))) for one in probed[setting.env]]
        for setting, workload in settings
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
