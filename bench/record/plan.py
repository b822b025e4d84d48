"""What a file says was planned: the plan of a run, and the header of a sweep over several settings.

Everything here is made from cleaned JSON (`bench.record.untrusted`) and raises UserError, one line that begins with the path
of the file, where the JSON is not what it should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlpbench.bench.cases import MODES, read_setting
from mlpbench.bench.machine.binding import read_binding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlpbench.bench.cases import Setting
    from mlpbench.bench.machine.binding import Binding
    from mlpbench.bench.record.untrusted import Block


MAX_REPEATS = 10_000


@dataclass(frozen=True)
class Skipped:
    """A kernel that the run left out, and why."""

    kernel: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What the run was to do. ``order`` holds (kernel, repeat), one for each process; ``raw`` is the whole JSON.

    ``setting`` and ``sweep``, the sweep's name, are those of one setting of a sweep over several; else None.
    ``binding``: the processors that its processes were bound to, None where that was not wanted.
    """

    run_id: str
    profile: str | None
    kernels: tuple[str, ...]
    cases: tuple[tuple[str, int], ...]
    repeats: int
    seed: int | None
    order: tuple[tuple[str, int], ...]
    threads: int | None
    skipped: tuple[Skipped, ...]
    command: tuple[str, ...]
    started: str | None
    raw: Mapping[str, Any]
    setting: Setting | None = None
    sweep: str | None = None
    binding: Binding | None = None


@dataclass(frozen=True)
class SweepHeader:
    """What ``run.json`` of a sweep over several settings says: its name, and its settings in order."""

    run_id: str
    settings: tuple[Setting, ...]


def read_plan(plan: Block) -> Plan:
    """Return the plan of a run."""
    kernels, repeats = plan.names("kernels"), plan.integer("repeats", 1)
    if repeats > MAX_REPEATS:
        plan.refuse("repeats", repeats, f"at most {MAX_REPEATS}")
    order = plan.pairs("order") or [(kernel, repeat) for repeat in range(repeats) for kernel in kernels]
    setting = plan.block("setting") if "setting" in plan else None
    return Plan(
        run_id=plan.name("run_id"),
        profile=plan.name("profile", None),
        kernels=tuple(kernels),
        cases=tuple((read_mode(case), case.integer("batch_size", 1)) for case in plan.blocks("cases")),
        repeats=repeats,
        seed=plan.integer("seed", 0, None),
        order=tuple(order),
        threads=plan.integer("threads", 1, None),
        skipped=tuple(Skipped(item.name("kernel"), item.text("reason", "")) for item in plan.blocks("skipped")),
        command=tuple(plan.texts("command")),
        started=plan.text("started", None),
        raw=plan.data,
        setting=None if setting is None else read_setting(setting),
        sweep=None if setting is None else setting.name("sweep"),
        binding=read_binding(plan),
    )


def read_header(sweep: Block) -> SweepHeader:
    """Return the header of a sweep over several settings."""
    settings = tuple(map(read_setting, sweep.blocks("settings")))
    labels = [setting.label for setting in settings]
    if len(labels) < 2 or "" in labels or len(set(labels)) < len(labels):
        sweep.refuse("settings", sweep.data.get("settings"), "two settings or more, each with a label of its own")
    return SweepHeader(sweep.name("run_id"), settings)


def read_mode(block: Block, *default: None) -> Any:
    """Return the mode of a case."""
    mode = block.name("mode", *default)
    if mode is not None and mode not in MODES:
        block.refuse("mode", mode, f"one of {', '.join(MODES)}")
    return mode
