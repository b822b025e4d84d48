"""A sweep over several settings: an ordinary run for each, measured side by side and kept in one folder.

Each pair of setting and kernel is a name, ``<label>/<kernel>``, in one plan of the whole: its order is shuffled as a
run's is, so that all pairs of a repeat run next to each other in time, and ratios between settings, a speedup over
threads for one, stay paired by repeat as ratios between kernels do. One budget is spent where intervals are widest.
With one setting there is nothing to divide: names are kernels, and the folder is the run's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlpbench.bench.clock import elapsed
from mlpbench.bench.machine import binding, roofs
from mlpbench.bench.plan.plan import Plan, part_of
from mlpbench.bench.record import runs
from mlpbench.bench.run import folder as run_folder
from mlpbench.bench.run import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mlpbench.bench.cases import Setting
    from mlpbench.bench.data.workload import Workload
    from mlpbench.bench.plan.effort import Effort
    from mlpbench.bench.run.process import Outcome


@dataclass(frozen=True)
class Part:
    """One setting: an ordinary run. ``names``: what its kernels are called in the plan of the whole."""

    setting: Setting
    plan: Plan
    workload: Workload
    names: dict[str, str]


@dataclass(frozen=True)
class Sweep:
    """One run, or several side by side. ``plan`` is that of the whole, whose kernels are names of `Part.names`."""

    plan: Plan
    parts: tuple[Part, ...]

    @property
    def several(self) -> bool:
        """Whether there is more than one setting."""
        return len(self.parts) > 1

    def find(self, name: str) -> tuple[int, Part]:
        """Return the part, and its number, of a name of the plan."""
        return next((number, part) for number, part in enumerate(self.parts) if name in part.names)


def names_of(settings: Sequence[Setting], setting: Setting, kernels: Sequence[str]) -> dict[str, str]:
    """Return what the kernels of a setting are called in the plan of the whole."""
    return {kernel if len(settings) == 1 else f"{setting.label}/{kernel}": kernel for kernel in kernels}


def divide(plan: Plan, parts: Sequence[tuple[Setting, Workload, dict[str, str], list[dict[str, str]]]]) -> Sweep:
    """Return the plan of the whole divided among settings: each has its workload, names, and what it skips."""
    if len(parts) == 1:
        ((setting, workload, names, skipped),) = parts
        plan = replace(plan, skipped=skipped)
        return Sweep(plan, (Part(setting, plan, workload, names),))
    return Sweep(
        plan,
        tuple(
            Part(setting, part_of(plan, setting, names, skipped), workload, names)
            for setting, workload, names, skipped in parts
        ),
    )


def bind(sweep: Sweep) -> Sweep:
    """Return the sweep with the processes of each setting bound to as many processors as it has threads."""
    return _replanned(sweep, [{"binding": binding.choose(part.setting.threads)} for part in sweep.parts])


def measure_limits(sweep: Sweep, after: Sequence[str | None]) -> Sweep:
    """Return the sweep with the machine's limits measured after each process of a kernel, one of each setting."""
    return _replanned(sweep, [{"limits_after": kernel} for kernel in after])


def _replanned(sweep: Sweep, changes: Sequence[dict[str, Any]]) -> Sweep:
    """Return the sweep with other plans of its parts. One part alone has the plan of the whole."""
    plans = [replace(part.plan, **change) for part, change in zip(sweep.parts, changes, strict=True)]
    parts = tuple(replace(part, plan=plan) for part, plan in zip(sweep.parts, plans, strict=True))
    return Sweep(sweep.plan if sweep.several else plans[0], parts)


def open_folders(results: Path, sweep: Sweep) -> tuple[Path, list[Path]]:
    """Make the folder of a sweep, with its header, and one for each of its settings, with its plan.

    Return both; with one setting they are the same. Raises UserError where that cannot be written.
    """
    if not sweep.several:
        folder = run_folder.open_run(results, sweep.plan)
        return folder, [folder]
    folder = run_folder.make_folder(results, sweep.plan.run_id)
    folders = [folder / part.setting.label for part in sweep.parts]
    for child, part in zip(folders, sweep.parts, strict=True):
        child.mkdir()
        run_folder.write_plan(child, part.plan)
    # Last: a sweep with a header has all its settings.
    run_folder.write_header(folder, runs.SWEEP, _header(sweep))
    return folder, folders


def _header(sweep: Sweep) -> dict[str, Any]:
    plan = sweep.plan
    kept = ("run_id", "profile", "repeats", "seed", "target", "budget_s", "command", "started")
    return {
        **{name: getattr(plan, name) for name in kept},
        "settings": [part.setting.as_dict() for part in sweep.parts],
        "order": _told(sweep, plan.order),
    }


def _told(sweep: Sweep, order: Sequence[tuple[str, int]]) -> list[list[Any]]:
    """Return an order as a file holds it: label of the setting, kernel, repeat."""
    found = ((sweep.find(name)[1], name, repeat) for name, repeat in order)
    return [[part.setting.label, part.names[name], repeat] for part, name, repeat in found]


def execute(
    sweep: Sweep, folders: Sequence[Path], on_case: Callable[[str, int, str], None], effort: Effort
) -> Iterator[Outcome]:
    """Run the processes that ``effort`` names, each as `bench.run.process.execute` does, into the folder of its setting.

    Behind those that a plan names for it, the machine's limits are measured, and the same budget pays for that.
    """
    for name, repeat in effort.processes():
        number, part = sweep.find(name)
        done = process.run_process(
            part.plan,
            part.workload,
            folders[number],
            (part.names[name], repeat),
            partial(on_case, _in_words(sweep, part, name), repeat),
            partial(effort.note, name, repeat),
        )
        if part.plan.limits_after == part.names[name]:
            with elapsed() as took:
                reason = _measure(part, folders[number], repeat)
            effort.pay(name, took.seconds)
            done = replace(done, problems=(*done.problems, *reason))
        yield replace(done, setting=part.setting.words) if sweep.several else done


def _measure(part: Part, folder: Path, repeat: int) -> tuple[str, ...]:
    """Measure the machine's limits within a repeat; return why not, if so."""
    threads, dtype = part.setting.threads, part.setting.dtype
    reason = roofs.write_of_repeat(folder, repeat, threads, dtype, part.plan.binding)
    return () if reason is None else (f"its limits were not measured: {reason}",)


def _in_words(sweep: Sweep, part: Part, name: str) -> str:
    kernel = part.names[name]
    return f"{kernel}, {part.setting.words}" if sweep.several else kernel


def close(sweep: Sweep, folder: Path, folders: Sequence[Path], effort: Effort, *, interrupted: bool) -> None:
    """Write how the sweep ended, as a whole and in each of its settings."""
    whole = effort.ending(interrupted=interrupted)
    if not sweep.several:
        run_folder.close_run(folder, whole.as_dict())
        return
    for child, part in zip(folders, sweep.parts, strict=True):
        run_folder.close_run(child, effort.ending(interrupted=interrupted, kernels=part.names).as_dict())
    kept = ("target", "budget_s", "spent_s", "interrupted", "ended")
    told = {name: getattr(whole, name) for name in kept} | {"order": _told(sweep, whole.order)}
    run_folder.close_run(folder, told)
