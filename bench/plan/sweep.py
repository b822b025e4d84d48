"""The plan of a sweep: an ordinary run for each setting, side by side.

Each pair of setting and kernel is a name, ``<label>/<kernel>``, in one plan of the whole, whose order is shuffled as a
run's is: ratios between settings stay paired by repeat. With one setting names are kernels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as replan

from mlpbench.bench.cases import Setting
from mlpbench.bench.data.workload import Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.machine import binding
from mlpbench.bench.plan.plan import part_of
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.plan import Interpreter, Plan
from mlpbench.bench.registered import modules


@dataclass(frozen=True)
class Env:
    """An environment in which mlpbench can measure. ``third_party``: kernels of other packages there, and of which."""

    interpreter: Interpreter
    environment: Environment
    third_party: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One setting: an ordinary run. ``names``: what its kernels are called in the plan of the whole.

    ``env``: the environment that is measured, None for our own.
    """

    setting: Setting
    plan: Plan
    workload: Workload
    names: dict[str, str]
    env: Env | None = None


@dataclass(frozen=True)
class Sweep:
    """One run, or several side by side; ``plan`` is that of the whole. ``devices``: where kernels compute."""

    plan: Plan
    parts: tuple[Part, ...]
    devices: Mapping[str, str] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether there is more than one setting."""
        return len(self.parts) > 1

    @property
    def pairs(self) -> list[list[str]]:
        """The names of the plan in groups: see `together`."""
        return together((part.setting, part.names) for part in self.parts)

    def find(self, name: str) -> tuple[int, Part]:
        """Return the part, and its number, of a name of the plan."""
        return next((number, part) for number, part in enumerate(self.parts) if name in part.names)


def interpreters(texts: Sequence[str]) -> dict[str, str]:
    """Return the interpreter of each environment that was named as NAME=PATH, by its name. Raises UserError."""
    found = [wing.parse(texts) for wing in (modules("environments") if texts else ())]
    if texts and not found:
        raise UserError("--env: mlpbench measures in no other environment here")
    return found[0] if found else {}


def inspected(interpreters: Mapping[str, str]) -> dict[str, Env]:
    """Return the environment of each interpreter, which is started. Raises UserError where one lacks something."""
    asked = modules("environments") if interpreters else ()
    return {name: wing.inspect(name, python) for wing in asked for name, python in interpreters.items()}


def names_of(settings: Sequence[Setting], setting: Setting, kernels: Sequence[str]) -> dict[str, str]:
    """Return the kernels of a setting by what they are called in the plan of the whole."""
    return {kernel if len(settings) == 1 else f"{setting.label}/{kernel}": kernel for kernel in kernels}


def together(parts: Iterable[tuple[Setting, Mapping[str, str]]]) -> list[list[str]]:
    """Return names in groups: one kernel in all environments, with everything else of their settings alike."""
    named = (((*setting.point[:-1], kernel), name) for setting, own in parts for name, kernel in own.items())
    return list(grouped(named).values())


def divide(plan: Plan, parts: Sequence[tuple[Setting, Workload, dict[str, str]]]) -> Sweep:
    """Return the plan of the whole divided among settings, each with its workload and its names of kernels.

    Settings that differ in threads are bound to as many processors, whatever a library makes of its variables.
    """
    binds = len({setting.threads for setting, *_ in parts}) > 1
    made = []
    for setting, workload, names in parts:
        own = part_of(plan, setting, names) if len(parts) > 1 else plan
        own = replan(own, binding=binding.choose(setting.threads)) if binds else own
        made.append(Part(setting, own, workload, names))
    return of_parts(plan, made)


def of_parts(plan: Plan, parts: Sequence[Part]) -> Sweep:
    """Return the sweep of some parts. One part alone has the plan of the whole."""
    return Sweep(plan if len(parts) > 1 else parts[0].plan, tuple(parts))


def measured_in(part: Part, env: Env | None) -> Part:
    """Return a part that measures an environment, None for our own."""
    return replace(part, env=env, plan=replan(part.plan, env=env and env.interpreter))
