"""Bencher Metric Format, https://bencher.dev/docs/reference/bencher-metric-format: what its adapter ``json`` reads."""

import json
from collections.abc import Sequence

from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.formats.points import of_one_run

#: Bencher's own measure ``latency`` is in nanoseconds.
MEASURE = "seconds-per-sample"


def render(runs: Sequence[Run]) -> str:
    """Return one run as BMF: the median, with the ends of its 95 % interval as bounds where there are any."""
    found = {}
    for point in of_one_run(runs, "bencher"):
        metric = {"value": point.case.sample.value, "lower_value": point.low, "upper_value": point.high}
        found[point.name] = {MEASURE: {name: value for name, value in metric.items() if value is not None}}
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
