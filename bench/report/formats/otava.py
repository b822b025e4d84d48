"""Apache Otava's CSV: a row for each run, a column for each case; and the configuration that names the columns."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.formats.csv import defused
from mlpbench.bench.report.formats.points import Point, commit_of, invocation, points, started

#: Columns that say which run a row is of.
ATTRIBUTES = ("commit", "run", "machine")


def render(runs: Sequence[Run]) -> str:
    """Return runs as CSV, the oldest first: medians in seconds per sample, and the ends of their 95 % intervals.

    A case that a run lacks is ``nan`` there, as is an end that does not exist. Raises UserError for runs of several
    machines: their levels differ, and each difference would be found as a change.
    """
    found = points(runs)
    if len(machines := {point.run.machine for point in found}) > 1:
        raise UserError(f"otava-csv takes the runs of one machine, and these are of {', '.join(sorted(machines))}")
    rows: dict[str, tuple[Run, dict[str, Point]]] = {}
    for point in found:
        rows.setdefault(str(invocation(point.run)), (point.run, {}))[1][point.name] = point
    names = list(dict.fromkeys(point.name for point in found))
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["time", *ATTRIBUTES, *(column for name in names for column in _columns(name))])
    for run, own in sorted(rows.values(), key=lambda row: started(row[0])):
        head = [started(run).isoformat(), commit_of(run), defused(run.id), defused(run.machine)]
        table.writerow([*head, *(value for name in names for value in _values(own.get(name)))])
    return written.getvalue()


def configuration(runs: Sequence[Run], file: str) -> str:
    """Return Otava's configuration for the CSV in ``file``: one test, with a metric for each case. JSON is YAML."""
    metrics = {
        name: {"column": name, "direction": -1, "scale": 1}
        for name in dict.fromkeys(point.name for point in points(runs))
    }
    test: dict[str, Any] = {"type": "csv", "file": file, "time_column": "time", "attributes": list(ATTRIBUTES)}
    return json.dumps({"tests": {"mlpbench": {**test, "metrics": metrics}}}, indent=2, ensure_ascii=False) + "\n"


def _columns(name: str) -> tuple[str, str, str]:
    return name, f"{name} low", f"{name} high"


def _values(point: Point | None) -> tuple[str, ...]:
    values = (None, None, None) if point is None else (point.case.sample.value, point.low, point.high)
    return tuple("nan" if value is None else repr(value) for value in values)
