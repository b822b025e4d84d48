"""What benchmark-action/github-action-benchmark reads with ``tool: customSmallerIsBetter``."""

import json
from collections.abc import Sequence

from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.formats.points import of_one_run


def render(runs: Sequence[Run]) -> str:
    """Return one run as an array of results: the median, and its 95 % interval as the range.

    The action shows the range as it is. It would take "± x" apart, and an interval of ours has two different halves.
    """
    found = []
    for point in of_one_run(runs, "github-action-benchmark"):
        repeats = f"{point.case.repeats} repeats, {point.case.disturbed} disturbed"
        result: dict[str, object] = {"name": point.name, "unit": "s/sample", "value": point.case.sample.value}
        if point.low is not None and point.high is not None:
            result["range"] = f"{point.low:.6g} to {point.high:.6g}"
        found.append({**result, "extra": f"{repeats}\n{point.run.machine}\n{point.run.id}"})
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
