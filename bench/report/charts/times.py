"""Time per sample and speedup against batch size."""

from collections.abc import Iterator, Mapping, Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.summary import CaseSummary, one_at_a_time
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Names, Row, Spec
from mlpbench.bench.report.document import ends
from mlpbench.bench.stats.estimates import Estimate, Ratio

Panels = Mapping[str, Sequence[CaseSummary]]


def time_charts(panels: Panels, names: Names) -> dict[str, Spec]:
    """Return time per sample against batch size, both logarithmic, for the cases of each panel.

    Lines are batches, with a whisker over each interval and a dot for each repeat; the hollow symbols on the left are
    single calls.
    """
    rows = {
        title: [row for case in cases for row in _rows(case, case.sample, case.by_repeat)]
        for title, cases in panels.items()
    }
    what = "Time per sample against batch size, one line per kernel."
    return _charts(rows, base.value_axis(_values(rows), "time per sample", base.TIME_LABEL), names, what)


def speedup_charts(panels: Panels, names: Names) -> dict[str, Spec]:
    """Return the speedup over one at a time, the dashed rule at 1, against batch size, both logarithmic."""
    rows = {title: [row for case in cases for row in _gains(case, cases)] for title, cases in panels.items()}
    axis = base.value_axis([*_values(rows), {"value": 1.0}], "speedup over one at a time", base.RATIO_LABEL)
    what = "Speedup over one at a time against batch size, one line per kernel."
    return _charts(rows, axis, names, what, base.rule_at_one())


def _values(rows: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Return the rows of cases, which axes hold whole."""
    return [row for panel in rows.values() for row in panel if row["kind"] == "case"]


def _rows(case: CaseSummary, value: Estimate | Ratio, repeats: Mapping[int, float]) -> Iterator[Row]:
    """Yield the row of a case, and one for each of several repeats."""
    single = case.mode == "per_sample"
    at = {"kernel": case.kernel, "mode": case.mode, "x": base.SINGLE_X if single else case.batch_size}
    gain = words.ratio(case.speedup) if case.speedup else case.no_speedup
    yield {
        **at,
        "kind": "case",
        **ends(value),
        "at": "one at a time" if single else f"{case.batch_size:,}",
        "time": words.duration(case.sample),
        "rate": f"{words.count(case.throughput)} per second",
        "gain": gain,
        "said": f"{case.name}, {words.case(case.mode, case.batch_size)}: {words.duration(case.sample)}, speedup {gain}",
    }
    if len(repeats) > 1:
        yield from ({**at, "kind": "repeat", "value": repeat} for repeat in repeats.values())


def _gains(case: CaseSummary, cases: Sequence[CaseSummary]) -> Iterator[Row]:
    one = one_at_a_time([other for other in cases if other.kernel == case.kernel])
    if case.speedup is not None and one is not None:
        slow, fast = times.pairs(one, case)
        yield from _rows(case, case.speedup, {repeat: slow[repeat] / fast[repeat] for repeat in slow})


def _charts(rows: Mapping[str, Sequence[Row]], axis: Spec, names: Names, what: str, *below: Spec) -> dict[str, Spec]:
    """Return charts of values upwards, with the layers ``below`` under the lines."""
    every = _values(rows)
    values, points = base.against_batch_size(every, axis, names)
    points |= {"description": base.field("said", "nominal")}
    titles = {"kernel": "kernel", "at": "batch size", "time": "time per sample", "rate": "samples", "gain": "speedup"}
    case, batch, single = "datum.kind == 'case'", "datum.mode == 'batched'", "datum.mode == 'per_sample'"
    layers = [
        *below,
        base.layer(
            "circle", values, "datum.kind == 'repeat'", size=16, opacity=0.5, clip=True, tooltip=None, aria=False
        ),
        base.whiskers(values, case),
        base.layer("line", values, f"{case} && {batch}", strokeWidth=2, clip=True),
        base.symbols(points, f"{case} && {batch}"),
        # An empty layer would be a picture without words to a screen reader.
        *([base.hollow(points, f"{case} && {single}")] if any(row["x"] == base.SINGLE_X for row in every) else []),
        # Invisible discs around the symbols are easy to hit with a finger, and they carry the tooltip.
        base.layer(
            "point", values | base.telling(titles), case, filled=True, shape="circle", size=450, opacity=0, aria=False
        ),
    ]
    panels = {title if len(rows) > 1 else "": base.dodged(panel) for title, panel in rows.items() if panel}
    return base.drawn(layers, panels, names, what, 230 if len(rows) > 1 else 330)


CHARTS = {"time": time_charts, "speedup": speedup_charts}
