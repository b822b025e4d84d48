"""The sides of a comparison as people name them: a run, a kernel of the latest run, or RUN:KERNEL."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlpbench.bench.analysis import judge
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.cases import AXES, CPU, Setting
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.runs import Run, latest, resolve
from mlpbench.bench.record.schema import Record
from mlpbench.kernels.registry import nearest


@dataclass(frozen=True)
class Side:
    """A run, or with ``kernel`` one kernel of it."""

    run: Judged
    kernel: str | None = None

    @property
    def label(self) -> str:
        """The side as the command line takes it."""
        return self.run.id if self.kernel is None else f"{self.run.id}:{self.kernel}"


def parse_sides(text: str, results_dir: Path, here: str | None = None) -> list[Side]:
    """Read RUN, RUN:KERNEL, or a kernel of the latest run; a sweep is a side for each setting. Raises UserError.

    RUN is what `bench.record.runs.resolve` takes.
    """
    name, colon, kernel = text.rpartition(":")
    if colon and not Path(text).exists() and not any(mark in kernel for mark in "/\\"):
        return [Side(run, kernel_of(run, kernel)) for run in judge.read(resolve(name, results_dir, here))]
    try:
        path = resolve(text, results_dir, here)
    except UserError as no_run:
        newest = judge.read(latest(results_dir, here))
        known = kernels_of(newest[0])  # every setting of a sweep knows the same ones, be it as skipped
        if text in known:
            return [Side(run, text) for run in newest]
        hint = nearest(text, list(known))
        if not hint and any(char.isdigit() or char in "/\\." for char in text):
            raise  # it looks like a run
        no_side = f"{text!r} is no run, and no kernel of the latest one, {newest[0].id} ({', '.join(known)}){hint}"
        raise UserError(no_side) from no_run
    return [Side(run) for run in judge.read(path)]


def kernels_of(run: Run) -> tuple[str, ...]:
    """Return every kernel that the run knows something about, measured or not."""
    planned = (*run.plan.kernels, *run.skipped) if run.plan else ()
    return tuple(dict.fromkeys((*run.kernels, *planned)))


def kernel_of(run: Run, kernel: str) -> str:
    """Return ``kernel`` if the run knows it. Raises UserError."""
    known = kernels_of(run)
    if kernel not in known:
        raise UserError(f"no kernel {kernel!r} in {run.id}{nearest(kernel, list(known))}; it has {', '.join(known)}")
    return kernel


def by_axis(sides: Sequence[Side], wanted: str) -> tuple[str, list[Side], list[Side]]:
    """Return an axis, and the settings of a sweep with one value of it and with another. Raises UserError.

    ``wanted`` is the axis, or AXIS=BASELINE,CANDIDATE where it has more than two values.
    """
    axis, _, named = wanted.partition("=")
    if axis not in AXES:
        raise UserError(f"--by {wanted}: {axis!r} is no axis{nearest(axis, list(AXES))}; there are {', '.join(AXES)}")
    by_value = grouped((str(getattr(side.run.setting, axis) or "none"), side) for side in sides if side.run.setting)
    chosen, there = named.split(",") if named else list(by_value), ", ".join(by_value) or "nothing"
    if unknown := [value for value in chosen if value not in by_value]:
        near = nearest(unknown[0], list(by_value))
        raise UserError(f"--by {wanted}: no {axis} {unknown[0]!r} in this run{near}: {there}")
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise UserError(f"--by {wanted}: it takes two values, as {axis}=OLD,NEW; this run has {there}")
    return axis, by_value[chosen[0]], by_value[chosen[1]]


def name_of(sides: list[Side], first: Side, by: str | None = None) -> str:
    """Return the side as the command line takes it: of a sweep its name; with ``by``, the side's value of this axis."""
    if by and first.run.setting:
        value = str(getattr(first.run.setting, by))
        return value if by == "env" else f"{by} {value}"
    plan = first.run.plan
    if len(sides) == 1 or plan is None or plan.sweep is None:
        return first.label
    return plan.sweep if first.kernel is None else f"{plan.sweep}:{first.kernel}"


def shared_setting(one: Setting | None, other: Setting | None) -> str | None:
    """Return what of a sweep's settings both share, in words; None where there is nothing to say."""
    if one is None or other is None:
        return None
    swept = max(one, other, key=lambda setting: len(setting.varies))
    alike = tuple(axis for axis in swept.varies if getattr(one, axis) == getattr(other, axis))
    return replace(swept, varies=alike).words if alike else None


def same_run(a: Run, b: Run) -> bool:
    """Return whether two runs are one: the same folder, or copies of it."""
    copies = a.plan is not None and (a.id, a.host) == (b.id, b.host)
    return copies or a.path.resolve() == b.path.resolve()


def same_sweep(one: Run, other: Run) -> bool:
    """Return whether two runs are settings of one sweep, which went through their repeats side by side."""
    return bool(one.plan and other.plan and one.plan.sweep and one.plan.sweep == other.plan.sweep)


def ran_together(one: Side, other: Side) -> bool:
    """Return whether repeats of the same number ran next to each other: in one run, or in one sweep."""
    if same_run(one.run, other.run):
        return one.kernel != other.kernel
    return same_sweep(one.run, other.run) and one.run.host == other.run.host


def complete(baseline: Side, candidate: Side) -> tuple[Side, Side]:
    """Return both sides with a kernel where one of them names one. Raises UserError if they are the same."""
    # A single record is one kernel, whether or not it is named.
    left, right = [
        replace(side, kernel=side.run.kernels[0]) if side.kernel is None and side.run.path.is_file() else side
        for side in (baseline, candidate)
    ]
    if left.kernel and not right.kernel:
        right = replace(right, kernel=kernel_of(right.run, left.kernel))
    elif right.kernel and not left.kernel:
        left = replace(left, kernel=kernel_of(left.run, right.kernel))
    if left.run.path.resolve() == right.run.path.resolve() and left.kernel == right.kernel:
        raise UserError(f"nothing to compare: both sides are {left.label}; name two runs, or two kernels of one")
    return left, right


def kernel_by_kernel(left: Side, right: Side) -> list[tuple[Side, Side]]:
    """Return the pairs of one kernel on each side: of two runs, of every kernel that either knows."""
    if left.kernel:
        return [(left, right)]
    names = dict.fromkeys((*kernels_of(left.run), *kernels_of(right.run)))
    return [(replace(left, kernel=name), replace(right, kernel=name)) for name in names]


#: Readings of the moment, different in any two processes.
_VOLATILE = {"load", "freq", "frequency", "time"}
#: What must be alike off the CPU, as far as both files tell: older ones tell less.
_OF_CARDS = ("device_name", "device_uuid", "arithmetic", "compute_type", "overrides")


def differences(one: Side, other: Side, *, anyway: bool) -> list[str]:
    """Return what differs between a kernel on each side: specification, data, weights, then the environment.

    A line is one that the first repeats and the last ones show: what one process loaded, as a second BLAS, is none.
    Kernels of one run differ in their threads alone. Raises NothingComparable as `that_forbid`, unless ``anyway``.
    """
    together = same_run(one.run, other.run)
    left, right = ([r for r in side.run.records if r.kernel == side.kernel and r.cases] for side in (one, other))
    if not anyway and (forbidding := that_forbid(left[0], right[0], together=together)):
        reasons = "; ".join(forbidding)
        raise NothingComparable(f"not comparable, {reasons}: measure both sides alike, or compare --anyway")
    if together:
        used = [{"threads": records[0].facts.threads} for records in (left, right)]
        return [] if {"threads": None} in used else unequal("kernel", *used)
    last = _between(left[-1], right[-1])
    return [line for line in _between(left[0], right[0]) if line in last]


def _between(baseline: Record, candidate: Record) -> list[str]:
    lines = unequal("", _task(baseline), _task(candidate)) + unequal("", facts(baseline), facts(candidate))
    if baseline.kernel == candidate.kernel:
        lines += unequal(baseline.kernel, of_kernel(baseline), of_kernel(candidate))
    if baseline.environment.git.dirty and candidate.environment.git.dirty:
        lines.append("git: uncommitted changes on both sides: the code itself may differ")
    return lines


def of_kernel(record: Record) -> dict[str, Any]:
    """Return what a kernel was in a record: its library's version, its device, what it says of itself, its source."""
    info = record.kernel_info
    source = info.file.as_dict() if info.file else {}
    return {"version": info.version, "device": info.device, **info.describe, "source": source}


def facts(record: Record) -> dict[str, Any]:
    """Return the environment of a record, its BLAS and OpenMP libraries by name instead of by place."""
    named: dict[str, Any] = {}
    for pool in record.environment.blas:
        name = str(pool.get("internal_api") or "unknown")
        number = sum(key == name or key.startswith(f"{name} #") for key in named)
        named[name if number == 0 else f"{name} #{number + 1}"] = pool
    return {**record.environment.as_dict(), "blas": named}


def that_forbid(baseline: Record, candidate: Record, *, together: bool = False) -> list[str]:
    """Return the differences with which a verdict would be about something else than the kernel or its libraries.

    These are machine, threads, network, data and weights; and off the CPU, which is all that can differ in one run
    (``together``), the card and what products are computed in.
    """
    both = [name for name in _OF_CARDS if None not in (getattr(side.facts, name) for side in (baseline, candidate))]
    both = [] if CPU in (baseline.device, candidate.device) else both
    cards = ({name.replace("_", " "): getattr(side.facts, name) for name in both} for side in (baseline, candidate))
    if together:
        return unequal("", *cards)
    where, there = ({"machine": side.machine, "threads": side.threads} for side in (baseline, candidate))
    return unequal("", where, there) + unequal("", *cards) + unequal("", _task(baseline), _task(candidate))


def _task(record: Record) -> dict[str, Any]:
    data, weights = record.data, record.weights
    return {
        "spec": str(record.spec),
        "data": {"name": data.name, "rows": data.rows, "sha256": data.sha256 and data.sha256[:12]},
        "weights": {"source": weights.source, "sha256": weights.sha256 and weights.sha256[:12]},
    }


def unequal(where: str, baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[str]:
    """Return a line for each fact that differs: ``what: value of the baseline against value of the candidate``."""
    lines: list[str] = []
    for key in dict.fromkeys((*baseline, *candidate)):
        if key in _VOLATILE or baseline.get(key) == candidate.get(key):
            continue
        left, right, path = baseline.get(key), candidate.get(key), f"{where}: {key}" if where else key
        if isinstance(left, dict) and isinstance(right, dict):
            lines += unequal(path, left, right)
        else:
            lines.append(f"{path}: {_show(left)} against {_show(right)}")
    return lines


def _show(value: Any) -> str:
    if value in (None, ""):
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}…"
