"""Times from run to run: a panel one at a time, and one in batches."""

import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from mlpbench.bench import words
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Names, Row, Spec
from mlpbench.bench.wings.history.history import Series


def history_charts(panels: Mapping[str, Sequence[Series]], names: Names) -> dict[str, Spec]:
    """Return time per sample, as a share of its median, against the number of the run, with its day on the axis."""
    runs = sorted({run for panel in panels.values() for series in panel for run in series.runs})
    rows = {title: [row for series in panel for row in _rows(series, runs)] for title, panel in panels.items()}
    days = json.dumps([f"{run[4:6]}-{run[6:8]}" for run in runs])
    labels = {
        "values": list(range(0, len(runs), -(-len(runs) // 6))),
        "labelExpr": f"{days}[datum.value]",
        "grid": False,
    }
    across = {"domain": [-0.3, len(runs) - 0.7], "nice": False}
    values = [0.97, 1.03, *(row["value"] for panel in rows.values() for row in panel)]
    upwards = {"domain": [min(values) - 0.01, max(values) + 0.01], "nice": False, "zero": False}
    ticks = {"labelExpr": base.RATIO_LABEL, "tickCount": 6}
    lines = {
        "x": base.field("x", title="run, by month and day", scale=across, axis=labels),
        "y": base.field("value", title="time per sample / its median", scale=upwards, axis=ticks),
        "color": base.colour(names),
    }
    titles = {"kernel": "kernel", "case": "case", "run": "run", "time": "time per sample", "change": "change"}
    points = lines | {"shape": base.shape(names), **base.telling(titles)}
    layers = [
        base.rule_at_one(),
        base.layer("line", lines, strokeWidth=1.5, clip=True),
        base.symbols(points, "!datum.changed", size=45),
        base.symbols(points, "datum.changed", size=260),
    ]
    what = "Time per sample of each case as a share of its median, run by run."
    return base.drawn(layers, rows, names, what, 270)


def _rows(series: Series, runs: Sequence[str]) -> Iterator[Row]:
    changes, usual = {change.at: change for change in series.changes}, median(series.samples_s)
    for number, (run, sample_s) in enumerate(zip(series.runs, series.samples_s, strict=True)):
        change = changes.get(number)
        yield {
            "kernel": series.kernel,
            "case": words.case(series.mode, series.batch_size),
            "x": runs.index(run),
            "value": sample_s / usual,
            "run": run,
            "time": words.seconds(sample_s),
            "change": "; ".join([words.ratio(change.ratio), *change.besides[:3]]) if change else "none",
            "changed": change is not None,
        }


CHARTS = {"history": history_charts}
