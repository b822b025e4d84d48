"""Times from run to run, as Altair specifications: a panel one at a time, and one in batches."""

import json
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.analysis.history import Series
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Panel
from mlpbench.bench.report.sections.history import Drawn

_HEIGHT, _MOST_LABELS = 270, 6


def history_charts(drawn: Drawn, names: Sequence[str]) -> list[Panel]:
    """Return time per sample, as a share of its median, against the number of the run, with its day on the axis."""
    runs = sorted({run for one in (*drawn.single, *drawn.batched) for run in one.runs})
    places = {run: number for number, run in enumerate(runs)}
    panels = {"one at a time": drawn.single, "the best batch": drawn.batched}
    return [
        Panel(title, _chart([row for one in series for row in _rows(one, places)], runs, names))
        for title, series in panels.items()
        if series
    ]


def _chart(rows: list[dict[str, Any]], runs: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    days = json.dumps([f"{run[4:6]}-{run[6:8]}" for run in runs])
    step = max(1, -(-len(runs) // _MOST_LABELS))
    axis = alt.Axis(values=list(range(0, len(runs), step)), labelExpr=f"{days}[datum.value]", grid=False)
    scale = alt.Scale(domain=[-0.3, len(runs) - 0.7], nice=False)
    x = alt.X("x:Q", title="run, by month and day", scale=scale, axis=axis)
    values = [0.97, 1.03, *(row["value"] for row in rows)]
    across = alt.Scale(domain=[min(values) - 0.01, max(values) + 0.01], nice=False, zero=False)
    ticks = alt.Axis(labelExpr=base.RATIO_LABEL, tickCount=6)
    y = alt.Y("value:Q", title="time per sample / its median", scale=across, axis=ticks)
    lines = alt.Chart().encode(x, y, base.colour(names))
    told = {"kernel": "kernel", "case": "case", "run": "run", "time": "time per sample", "change": "change"}
    points = lines.encode(base.shape(names), **base.telling(told))
    changed = points.transform_filter("datum.changed")
    layers = [
        base.rule_at_one(),
        lines.mark_line(strokeWidth=1.5, clip=True),
        base.symbols(points.transform_filter("!datum.changed"), 45),
        base.symbols(changed, 260),
    ]
    return base.drawn(layers, rows, "Time per sample of each case as a share of its median, run by run.", _HEIGHT)


def _rows(one: Series, places: dict[str, int]) -> Iterator[dict[str, Any]]:
    changes, usual = {change.at: change for change in one.changes}, median(one.samples_s)
    for number, (run, sample_s) in enumerate(zip(one.runs, one.samples_s, strict=True)):
        change = changes.get(number)
        said = "none" if change is None else "; ".join([words.ratio(change.ratio), *change.besides[:3]])
        yield {
            "kernel": one.kernel,
            "case": words.case(one.mode, one.batch_size),
            "x": places[run],
            "value": sample_s / usual,
            "run": run,
            "time": words.seconds(sample_s),
            "change": said,
            "changed": change is not None,
        }


CHARTS = {"history": history_charts}
