"""A results folder of airspeed velocity: `asv publish` shows it beside what the project measures itself.

The layout is asv's own: version 2 of its results and of its list of benchmarks, version 1 of a machine. asv keeps one
result for each commit, machine and environment; ours is called "mlpbench".
"""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.untrusted import NAME
from mlpbench.bench.report.formats.points import Point, commit_of, points, started
from mlpbench.bench.stats import estimates

ENVIRONMENT = "mlpbench"
PARAMETERS = ("kernel", "batch_size", "network")
_COLUMNS = (
    *("result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b"),
    *("stats_q_25", "stats_q_75", "stats_number", "stats_repeat"),
)
#: asv draws a graph again from its start where this changes.
_VERSION = "1"


def render(runs: Sequence[Run], listed: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the files of a results folder by their paths in it.

    ``listed``: the list of benchmarks that the folder has already; others' entries stay, ours grow. Times are medians
    in seconds per sample; asv's own interval is one of 99 %, and so is what stands there.

    Raises UserError for two runs of one commit on one machine, for runs that do not say their commit, and for a machine
    whose name cannot be that of a folder.
    """
    found = grouped(((point.run.machine, commit_of(point.run)), point) for point in points(runs))
    files = {}
    known: dict[str, list[list[str]]] = {}
    for (machine, commit), own in found.items():
        if not NAME.fullmatch(machine):  # it comes from a file, and becomes a path
            raise UserError(f"{own[0].run.id}: {machine!r} cannot be the name of a machine's folder")
        files[f"{machine}/machine.json"] = _json({**_machine(own[0].run), "version": 1})
        results = {}
        for name, those in grouped((f"mlpbench.{point.case.mode}", point) for point in own).items():
            results[name] = _result(those, commit)
            known[name] = [_union(*pair) for pair in zip(known.get(name, _NONE), _values(those), strict=True)]
        files[f"{machine}/{commit[:8]}-{ENVIRONMENT}.json"] = _json(_of_commit(own[0].run, commit, results))
    files["benchmarks.json"] = _json(_benchmarks(known, listed or {}))
    return files


_NONE: list[list[str]] = [[] for _ in PARAMETERS]


def _place(point: Point) -> tuple[str, ...]:
    """Return the parameters of a case, as asv writes them: each as Python would."""
    return repr(point.case.kernel), repr(point.case.batch_size), repr(point.network)


def _values(found: Sequence[Point]) -> list[list[str]]:
    return [list(dict.fromkeys(values)) for values in zip(*map(_place, found), strict=True)]


def _union(one: Sequence[str], other: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


def _result(found: Sequence[Point], commit: str) -> list[Any]:
    """Return one benchmark of one commit: a list for each of `_COLUMNS`, in the order of all combinations."""
    by_place = {_place(point): point for point in found}
    if len(by_place) < len(found):
        raise UserError(
            f"asv keeps one result of a commit on a machine, and {commit[:8]} was measured twice: name one run"
        )
    values = _values(found)
    rows = [_statistics(by_place.get(place)) for place in product(*values)]
    result, *stats = map(list, zip(*rows, strict=True))
    return [result, values, _VERSION, _milliseconds(found[0].run), None, *stats]


def _statistics(point: Point | None) -> tuple[float | int | None, ...]:
    if point is None:
        return (None,) * 7
    value, logs = point.case.sample.value, np.log(list(point.case.by_repeat.values()))
    half = math.exp(estimates.ALONE.of(logs).half(0.99)) if len(logs) > 1 else None
    low, high = (value / half, value * half) if half else (None, None)
    first, third = (float(q) for q in np.quantile(list(point.case.by_repeat.values()), [0.25, 0.75]))
    return value, low, high, first, third, 1, point.case.repeats


def _of_commit(run: Run, commit: str, results: Mapping[str, Any]) -> dict[str, Any]:
    environment = run.measured_in
    return {
        "commit_hash": commit,
        "env_name": ENVIRONMENT,
        "date": _milliseconds(run),
        "params": {**_machine(run), "python": environment.python.version or ""},
        "python": environment.python.version or "",
        "requirements": {},
        "env_vars": {},
        "result_columns": list(_COLUMNS),
        "results": dict(results),
        "durations": {},
        "version": 2,
    }


def _machine(run: Run) -> dict[str, str]:
    machine, system = run.environment.machine, run.environment.os
    return {
        "arch": machine.arch or "",
        "cpu": machine.cpu_model or "",
        "machine": run.machine,
        "num_cpu": str(machine.logical_cpus or ""),
        "os": f"{system.system or ''} {system.release or ''}".strip(),
        "ram": str(machine.memory_bytes or ""),
    }


def _benchmarks(known: Mapping[str, list[list[str]]], listed: Mapping[str, Any]) -> dict[str, Any]:
    made = {}
    for name, values in known.items():
        there = listed.get(name, {}).get("params", _NONE)
        made[name] = {
            "code": "",
            "name": name,
            "param_names": list(PARAMETERS),
            "params": [_union(*pair) for pair in zip(there, values, strict=True)],
            "pretty_name": f"seconds per sample, {name.partition('.')[2]}",
            "timeout": 60.0,
            "type": "time",
            "unit": "seconds",
            "version": _VERSION,
        }
    return {**listed, **made, "version": 2}


def _milliseconds(run: Run) -> int:
    return int(started(run).timestamp() * 1000)


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
