"""What is not the same on the two sides of a comparison besides what is compared, in lines for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlpbench.bench.record.record import Record

__all__ = ["between_kernels", "between_runs", "that_forbid"]

#: Readings of the moment, different in any two processes.
VOLATILE = {"load", "sm_clock", "freq", "frequency", "time"}
#: What a kernel describes and what may differ between two kernels of one run without being what is compared.
KERNEL_SETTINGS = ("threads",)


def between_runs(baseline: Record, candidate: Record) -> list[str]:
    """Return what differs between two records of different runs: specification, data, weights, then the environment.

    Each line is ``what: value of the baseline against value of the candidate``.
    """
    lines = _lines("", _task(baseline), _task(candidate))
    lines += _lines("", _readable(baseline.environment), _readable(candidate.environment))
    if baseline.kernel == candidate.kernel:
        used = [{"version": side.version, "device": side.device, **side.describe} for side in (baseline, candidate)]
        lines += _lines(baseline.kernel, *used)
    dirty = [_is_dirty(side) for side in (baseline, candidate)]
    if all(dirty):
        lines.append("git: uncommitted changes on both sides: the code itself may differ")
    return lines


def that_forbid(baseline: Record, candidate: Record) -> list[str]:
    """Return the differences with which a verdict would be about something else: machine, network, data, weights.

    Threads, BLAS and libraries are not among them: whether they make a kernel slower is what people compare for.
    """
    machine = _lines("", {"machine": baseline.machine}, {"machine": candidate.machine})
    return machine + _lines("", _task(baseline), _task(candidate))


def between_kernels(baseline: Record, candidate: Record) -> list[str]:
    """Return what differs between two kernels of one run, and is not the kernel itself: the threads that they use."""
    used = [
        {key: side.describe[key] for key in KERNEL_SETTINGS if key in side.describe} for side in (baseline, candidate)
    ]
    common = used[0].keys() & used[1].keys()
    return _lines("kernel", *({key: side[key] for key in sorted(common)} for side in used))


def _task(record: Record) -> dict[str, Any]:
    return {
        "spec": str(record.spec),
        "data": {"name": record.data.name, "rows": record.data.rows, "sha256": _short_hash(record.data.sha256)},
        "weights": {"source": record.weights.source, "sha256": _short_hash(record.weights.sha256)},
    }


def _readable(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return an environment with the pools of its BLAS and OpenMP libraries by name instead of by place."""
    pools = environment.get("blas")
    named: dict[str, Any] = {}
    for pool in pools if isinstance(pools, list) else []:
        name = str(pool.get("internal_api", "unknown")) if isinstance(pool, dict) else "unknown"
        number = sum(key == name or key.startswith(f"{name} #") for key in named)
        named[name if number == 0 else f"{name} #{number + 1}"] = pool
    return {**environment, "blas": named}


def _lines(where: str, baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for key in dict.fromkeys((*baseline, *candidate)):
        if key in VOLATILE or baseline.get(key) == candidate.get(key):
            continue
        left, right, path = baseline.get(key), candidate.get(key), f"{where}: {key}" if where else key
        if isinstance(left, dict) and isinstance(right, dict):
            lines += _lines(path, left, right)
        else:
            lines.append(f"{path}: {_show(left)} against {_show(right)}")
    return lines


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _short_hash(text: str | None) -> str | None:
    return text[:12] if text else None


def _is_dirty(record: Record) -> bool:
    git = record.environment.get("git")
    return isinstance(git, dict) and bool(git.get("dirty"))
