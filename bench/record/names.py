"""What tables call runs: by what tells them apart."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from mlpbench.bench.record.runs import Run

R = TypeVar("R", bound=Run)
#: Digits of a host's digest in a name.
_DIGITS = 6


def named(runs: Sequence[R]) -> list[R]:
    """Return the runs as tables name them: of one sweep by their settings, of several machines with the machine."""
    plans = [run.plan for run in runs]
    if len(runs) < 2:
        return list(runs)
    if len(machines := {machine_of(run) for run in runs}) > 1:
        names = [machine_name(run, machines) for run in runs]
        alone = len(machines) == len(runs)
        return [
            replace(run, shown=name if alone else f"{run.id} on {name}") for run, name in zip(runs, names, strict=True)
        ]
    if len({run.plan and run.plan.sweep for run in runs}) > 1:
        return list(runs)
    words = [plan.setting.words if plan and plan.setting else None for plan in plans]
    if len(set(words)) < len(runs):  # a run named twice, too
        return list(runs)
    return [replace(run, shown=word) for run, word in zip(runs, words, strict=True)]


def machine_of(run: Run) -> tuple[str, str | None]:
    """Return the machine of a run: its name, and the digest of its host where that is known."""
    return run.machine, run.environment.machine.host


def machine_name(run: Run, among: set[tuple[str, str | None]]) -> str:
    """Return the name of a run's machine; among several of one model with the first digits of its host."""
    machine, host = machine_of(run)
    alike = sum(other == machine for other, _ in among) > 1
    return f"{machine} (host {host[:_DIGITS] if host else 'not known'})" if alike else machine


def env_of(run: Run) -> str | None:
    """Return the name of the Python environment that a run measured, None for mlpbench's own."""
    if run.plan and run.plan.env:
        return run.plan.env.name
    return run.setting.env if run.setting else None
