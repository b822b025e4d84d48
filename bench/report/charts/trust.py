"""The charts about trust, as Altair specifications: the disturbance timeline, and the harness measured by itself."""

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.style import PAGE
from mlpbench.bench.report.sections.trust import COST_NAMES
from mlpbench.bench.trust import clock_check
from mlpbench.bench.trust.timeline import Moment, Timeline

#: The calibration's axis goes to this multiple of its best; what is above stands at its end, and its words say how far.
_MOST = 3.0
#: The height of a lane as a share of that of the axis above it.
_LANE = 0.13
_LEVEL_HEIGHT, _LANE_HEIGHT = 210, 26


def timeline_chart(found: Timeline, names: Sequence[str]) -> dict[str, Any]:
    """Return the Vega-Lite specification of the calibration over the run, with a lane for each cause of disturbance."""
    causes = list(dict.fromkeys(cause.cause for moment in found.moments for cause in moment.disturbances))
    levels = [level for moment in found.moments for level in (moment.before, moment.after)]
    low, high = min(0.98, *levels), min(_MOST, max(1.5 * found.limit - 0.5, 1.02 * max(levels)))
    lane = _LANE * (high - low)
    lanes: dict[str, float] = {cause: low - lane * (number + 0.7) for number, cause in enumerate(causes)}
    rows = [*_line(found, high), *(row for moment in found.moments for row in _marks(moment, lanes, high))]
    scale = alt.Scale(domain=[low - lane * (len(causes) + 0.2), high], nice=False, zero=False)
    axis = alt.Axis(values=[*_ticks(low, high), *lanes.values()], labelExpr=_lane_labels(lanes, low))
    level = alt.Chart().encode(alt.Y("y:Q", title=None, scale=scale, axis=axis))
    both = level.encode(_when(found))
    told = ("kernel", "repeat", "case", "calibration", "cause", "what happened")
    symbols = base.styled(both, names, {name: name for name in told})
    layers = [
        level.transform_filter("datum.kind == 'limit'").mark_rule(color=PAGE.muted, strokeDash=[5, 3]),
        both.transform_filter("datum.kind == 'line'")
        .encode(detail=[alt.Detail("process:N")])
        .mark_line(color=PAGE.muted, strokeWidth=1),
        symbols.transform_filter("datum.kind == 'case'").mark_point(filled=True, opacity=0.9, size=40),
        symbols.transform_filter("datum.kind == 'disturbed'").mark_point(filled=True, opacity=1, size=90),
    ]
    what = "The calibration beside every case over the run, and the disturbed cases by cause."
    return base.drawn(layers, rows, what, _LEVEL_HEIGHT + _LANE_HEIGHT * len(causes))


def _when(found: Timeline) -> alt.X:
    """Return the axis of time, or of the number of cases where the files have no dates."""
    title = "time since the first case" if found.dated else "cases, in the order in which they ran"
    label = f"datum.value == 0 ? '0' : {base.TIME_LABEL}" if found.dated else "datum.value"
    axis = alt.Axis(labelExpr=label, grid=False, tickCount=6, labelOverlap=True, labelSeparation=8)
    scale = alt.Scale(domain=[0, max(moment.ends for moment in found.moments)], nice=False)
    return alt.X("x:Q", title=title, axis=axis, scale=scale)


def _line(found: Timeline, high: float) -> Iterator[dict[str, Any]]:
    """Yield the ends of the line of each process, in order, and the limit from which on something is wrong.

    Where the cases of a process took turns, the line is flat at their median.
    """
    for (kernel, repeat), moments in found.processes().items():
        ends = [(x, level) for m in moments for x, level in ((m.begins, m.before), (m.ends, m.after))]
        if found.looks:
            level = median(level for _, level in ends)
            ends = [(min(x for x, _ in ends), level), (max(x for x, _ in ends), level)]
        for x, level in ends:  # no kernel's: the machine's, whatever the legend hides
            yield {"kind": "line", "process": f"{kernel} {repeat}", "x": x, "y": min(level, high)}
    yield {"kind": "limit", "y": found.limit}


def _marks(moment: Moment, heights: dict[str, float], high: float) -> Iterator[dict[str, Any]]:
    """Yield the symbol of a case on the line, and one in the lane of each cause that disturbed it."""
    shared = {
        "kernel": moment.kernel,
        "repeat": str(moment.repeat + 1),
        "case": words.case(moment.mode, moment.batch_size),
        "calibration": f"{moment.level:.2f}x its best",
        "x": (moment.begins + moment.ends) / 2,
    }
    causes = ", ".join(dict.fromkeys(cause.cause for cause in moment.disturbances)) or "none"
    why = "; ".join(cause.text for cause in moment.disturbances) or "nothing"
    yield {**shared, "kind": "case", "y": min(moment.level, high), "cause": causes, "what happened": why}
    for cause in moment.disturbances:
        told = {"cause": cause.cause, "what happened": cause.text}
        yield {**shared, "kind": "disturbed", "y": heights[cause.cause], **told}


def _ticks(low: float, high: float) -> list[float]:
    """Return at most six round values between two ends, 1 among them."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if (high - low) / step <= 6)
    first, last = math.ceil((low - 1) / step), math.floor((high - 1) / step)
    return [round(1 + number * step, 4) for number in range(first, last + 1)]


def _lane_labels(heights: dict[str, float], low: float) -> str:
    """Return the expression that labels the axis: multiples of the best, and below them the lanes' causes."""
    causes = "".join(f"datum.value > {height - 1e-9} ? '{cause}' : " for cause, height in heights.items())
    return f"datum.value >= {low - 1e-9} ? format(datum.value, '.2f') + 'x' : {causes}''"


def clock_chart(run: Run, names: Sequence[str]) -> dict[str, Any]:
    """Return the Vega-Lite specification of the spins' times, off the exact proportion, against their length."""
    rows = list(_spins(run))
    limit = clock_check.CLOCK_LIMIT
    most = max(1.5 * limit, *(1.1 * abs(row["y"]) for row in rows))
    lengths = sorted({row["x"] for row in rows})
    rules = [{"kind": "exact", "y": 0.0}, {"kind": "limit", "y": limit}, {"kind": "limit", "y": -limit}]
    across = alt.Scale(type="log", base=2, domain=[lengths[0] / 1.3, lengths[-1] * 1.3], nice=False)
    upwards = alt.Scale(domain=[-most, most], nice=False)
    x = alt.X("x:Q", title="length of the work", scale=across, axis=alt.Axis(values=lengths, format="d", grid=False))
    share = alt.Axis(format="+.1~%", tickCount=5)
    y = alt.Y("y:Q", title="off the exact proportion", scale=upwards, axis=share)
    told = {"kernel": "kernel", "repeat": "repeat", "x": "length", "time": "measured", "exact": "exact", "off": "off"}
    rule = alt.Chart(alt.InlineData(rules)).encode(alt.Y("y:Q"))
    layers = [
        rule.transform_filter("datum.kind == 'exact'").mark_rule(color=PAGE.muted, strokeWidth=1.5),
        rule.transform_filter("datum.kind == 'limit'").mark_rule(color=PAGE.muted, strokeDash=[5, 3]),
        base.styled(alt.Chart().encode(x, y), names, told).mark_point(filled=True, opacity=0.8, size=90),
    ]
    what = "How far the time of known work is from its exact proportion."
    return base.drawn(layers, rows, what, _LEVEL_HEIGHT)


def _spins(run: Run) -> Iterator[dict[str, Any]]:
    for record in run.records:
        times = clock_check.known_s(record.trust)
        for length, off in clock_check.deviations(record.trust).items():
            exact = times[min(times)] / min(times) * length
            told = {"time": words.seconds(times[length]), "exact": words.seconds(exact), "off": f"{100 * off:+.2f} %"}
            yield {**_process(record), "x": length, "y": off, **told}


def _process(record: Record) -> dict[str, Any]:
    return {"kernel": record.kernel, "repeat": str(record.repeat + 1)}


def cost_chart(run: Run, names: Sequence[str]) -> dict[str, Any]:
    """Return the Vega-Lite specification of what a call of the harness costs, one symbol for each process."""
    rows = [
        {**_process(record), "x": cost, "way": COST_NAMES[mode], "time": words.seconds(cost)}
        for record in run.records
        for mode, cost in clock_check.call_costs_s(record.trust).items()
        if mode in COST_NAMES
    ]
    x = base.seconds_axis("time of a call that does nothing", 1.1 * max(row["x"] for row in rows))
    y = alt.Y("way:N", sort=list(COST_NAMES.values()), axis=base.name_axis(minExtent=85))
    told = {"kernel": "kernel", "repeat": "repeat", "way": "called", "time": "a call"}
    points = base.styled(alt.Chart().encode(x, y), names, told).mark_point(filled=True, opacity=0.8, size=90)
    return base.drawn([points], rows, "What a call of the harness costs, in each process.", 90)
