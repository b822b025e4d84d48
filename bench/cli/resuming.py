"""`--resume`: which run goes on, and whether it may."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mlpbench.bench import words
from mlpbench.bench.cli import console
from mlpbench.bench.errors import UserError
from mlpbench.kernels import registry

if TYPE_CHECKING:
    import typer

    from mlpbench.bench.plan.effort import Effort
    from mlpbench.bench.run.resume import Stopped

#: Options that are no part of a plan: how much is said, which run it is and where.
#: Interpreters are compared, and not how they were typed.
_FREE = {"resume", "anyway", "out", "dry_run", "verbose", "quiet", "as_json", "env"}
#: What `with_a_run` puts behind ``--resume`` where no run is named.
NEWEST = "newest"
#: More differences than a line should have are counted.
_TOLD = 8


def with_a_run(typed: Sequence[str]) -> list[str]:
    """Return what was typed, with `NEWEST` behind a ``--resume`` that stands alone; that of a fleet always does."""
    if typed[:1] == ["fleet"]:
        return list(typed)
    return [
        f"{word}={NEWEST}" if word == "--resume" and (not after or after[0].startswith("-")) else word
        for word, after in ((word, typed[number + 1 :]) for number, word in enumerate(typed))
    ]


def refuse_alone(*, anyway: bool) -> None:
    """Refuse ``--anyway`` for a run that is new."""
    if anyway:
        raise UserError("--anyway goes on with a run that has stopped: give --resume as well")


def find(context: typer.Context, named: str, out: Path, below: str = "") -> Stopped:
    """Return the run that was named, or the newest that has stopped. Raises UserError for options against its plan.

    ``below``: the folder, in that of its machine, of the runs of this command.
    """
    from mlpbench.bench.machine import identity
    from mlpbench.bench.record import runs
    from mlpbench.bench.run import resume

    if named == NEWEST:
        folder = resume.find(out, below)
    elif below and (there := out / identity.machine_id() / below / named).is_dir():
        folder = there
    else:
        folder = runs.resolve(named, out, identity.machine_id())
    stopped = resume.read(folder)
    _refuse_contradictions(context, stopped)
    return stopped


def _refuse_contradictions(context: typer.Context, stopped: Stopped) -> None:
    typed = {name: value for name, value in context.params.items() if name not in _FREE and _is_typed(context, name)}
    planned = _params(context, stopped.sweep.plan.command) if typed else {}
    for name, value in typed.items():
        if name not in planned or planned[name] != value:
            option = next(option for option in context.command.params if option.name == name)
            _refuse_contradiction(option.opts[0] if option.opts[0].startswith("-") else "naming kernels", stopped)


def _refuse_contradiction(what: str, stopped: Stopped) -> NoReturn:
    plan = stopped.sweep.plan.run_id
    raise UserError(f"{what} contradicts the plan of {plan}: a run that is resumed keeps to its plan")


def _is_typed(context: typer.Context, option: str) -> bool:
    return str(getattr(context.get_parameter_source(option), "name", "")) == "COMMANDLINE"


def _params(context: typer.Context, command: Sequence[str]) -> Mapping[str, Any]:
    """Return the options of the command that a run was started with; none where it was not typed."""
    name = str(context.info_name)
    if name not in command:
        return {}
    with context.command.make_context(name, with_a_run(command[list(command).index(name) + 1 :])) as before:
        return before.params


def device(context: typer.Context, stopped: Stopped) -> str | None:
    """Return the card that the run was told to use, None without one."""
    found: str | None = _params(context, stopped.sweep.plan.command).get("device")
    return found


def compared(context: typer.Context, stopped: Stopped, *, anyway: bool) -> Stopped:
    """Return the run to go on with, compared with what it was before.

    All that can be compared is, before anything is started; then come interpreters, and last the kernels. Raises
    UserError where something differs, unless ``anyway``; for an interpreter that a file alone names; and where a kernel
    of the plan cannot run here.
    """
    from mlpbench.bench.plan import envs, probe
    from mlpbench.bench.plan.sweep import measured_in
    from mlpbench.bench.run import resume

    interpreters = _interpreters(context, stopped)
    _refuse_differences(stopped, resume.differences(stopped, {}), anyway=anyway)
    if interpreters:
        inspected = {name: envs.inspect(name, python) for name, python in interpreters.items()}
        stopped = replace(stopped, sweep=measured_in(stopped.sweep, inspected))
        _refuse_differences(stopped, resume.differences(stopped, {}), anyway=anyway)
    devices: dict[str, str] = {}
    versions: dict[tuple[str | None, str], str | None] = {}
    specs = list(dict.fromkeys(part.workload.spec for part in stopped.sweep.parts))
    for part in {part.setting.env: part for part in stopped.sweep.parts}.values():
        python = part.env.interpreter.python if part.env else None
        # `calibrate` has kernels that nobody offers.
        kernels = [kernel for kernel in part.plan.kernels if python is not None or registry.is_known(kernel)]
        for answer in probe.probe_all(kernels, specs, python):
            if not answer.available:
                raise UserError(f"{answer.name} is unavailable, and the plan has it: {answer.reason}")
            devices[answer.name] = answer.device or "cpu"
            versions[part.setting.env, answer.name] = answer.version
    differing = resume.differences(stopped, versions)
    _refuse_differences(stopped, differing, anyway=anyway)
    return replace(stopped, sweep=replace(stopped.sweep, devices=devices), differing=differing)


def _refuse_differences(stopped: Stopped, differing: Sequence[str], *, anyway: bool) -> None:
    if differing and not anyway:
        first, more = "; ".join(differing[:_TOLD]), len(differing) - _TOLD
        rest = f"; and {more} more" if more > 0 else ""
        raise UserError(f"{stopped.sweep.plan.run_id} cannot go on as it was: {first}{rest}; --anyway marks both parts")


def _interpreters(context: typer.Context, stopped: Stopped) -> Mapping[str, str]:
    """Return the interpreters of the plan by name, each typed again or of an environment that mlpbench made here.

    Raises UserError for another one than before, and for one that only a file names: that is never started.
    """
    from mlpbench.bench.plan import envs
    from mlpbench.bench.run import making

    planned = {env.name: env.python for part in stopped.sweep.parts if (env := part.plan.env) is not None}
    typed = envs.parse(context.params["env"]) if _is_typed(context, "env") else {}
    if typed and typed != planned:
        _refuse_contradiction("--env", stopped)
    unknown = [name for name, python in planned.items() if name not in typed and not making.is_own(Path(python))]
    if unknown:
        again = " ".join(f"--env {shlex.quote(f'{name}={planned[name]}')}" for name in planned)
        raise UserError(
            f"{stopped.sweep.plan.run_id} needs interpreters, and no file says what is started: add {again}"
        )
    return planned


def warn_if_never() -> None:
    """Say of a run that begins that it can never be resumed, where this user can keep no key."""
    from mlpbench.bench.run import seal

    if (reason := seal.trouble()) is not None:
        console.say(f"warning: if this run stops, it cannot be resumed: {reason}", "yellow")


def hint(command: str) -> str:
    """Return how an interrupted command goes on, as the end of a line; nothing where no run can be resumed."""
    from mlpbench.bench.run import seal

    return "" if seal.trouble() else f"; `mlpbench {command} --resume` goes on"


def begin(stopped: Stopped, effort: Effort) -> None:
    """Write down that the run goes on, and say so."""
    from mlpbench.bench.run import resume

    resume.reopen(stopped)
    left = f", {effort.left_budget_s:.0f} s of its budget are left" if effort.goes_on else ""
    for line in stopped.differing:
        console.say(f"not as before: {line}", "yellow")
    console.say(f"{stopped.sweep.plan.run_id} goes on behind {words.things(effort.done, 'process', 'processes')}{left}")
