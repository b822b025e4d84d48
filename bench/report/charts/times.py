"""Time per sample and speedup against batch size, as Altair specifications; and as pictures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.summary import CaseSummary, one_at_a_time
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import SINGLE_X, Panel
from mlpbench.bench.report.charts.style import PAGE, Theme
from mlpbench.bench.report.sections.times import Grid
from mlpbench.bench.stats.estimates import Estimate, Ratio

_HEIGHT, _LOW = 330, 230


def time_charts(grid: Grid, names: Sequence[str], theme: Theme = PAGE) -> list[Panel]:
    """Return time per sample against batch size, both logarithmic, a panel for each run.

    Lines are batches, with a whisker over each interval and a dot for each repeat; the hollow symbols on the left are
    single calls. ``names`` are all kernels of the page.
    """
    rows = {
        run: [row for case in grid.of(run) for row in _rows(case, case.sample, case.by_repeat)] for run in grid.runs
    }
    what = "Time per sample against batch size, one line per kernel."
    return _panels(rows, lambda every: base.value_axis(every, "time per sample", base.TIME_LABEL), names, theme, what)


def speedup_charts(grid: Grid, names: Sequence[str], theme: Theme = PAGE) -> list[Panel]:
    """Return the speedup over one at a time against batch size, both logarithmic, a panel for each run.

    One at a time is the dashed rule at 1.
    """
    rows = {run: [row for case in grid.of(run) for row in _gains(case, grid.of(run))] for run in grid.runs}
    one = {"value": 1.0}
    what = "Speedup over one at a time against batch size, one line per kernel."

    def axis(every: Sequence[Mapping[str, Any]]) -> alt.Y:
        return base.value_axis([*every, one], "speedup over one at a time", base.RATIO_LABEL)

    return _panels(rows, axis, names, theme, what)


def picture(cases: Sequence[CaseSummary], name: str, theme: Theme, width: int = 720, height: int = 380) -> str:
    """Return the chart `name`, "time" or "speedup", as SVG with a legend, for a page without JavaScript.

    ``theme``: one of real colours, `LIGHT` or `DARK`; ``width`` and ``height`` of the plot in pixels.
    """
    import vl_convert

    names = list(dict.fromkeys(case.kernel for case in cases))
    (panel,) = {"time": time_charts, "speedup": speedup_charts}[name](Grid(tuple(cases)), names, theme)
    base.mark(panel.chart, sorted({case.kernel for case in cases if case.unchecked}), in_legend=True)
    specification = panel.chart | {"width": width, "height": height, "background": theme.surface, "padding": 16}
    symbols = {"symbolOpacity": 1, "symbolSize": 130}
    legend = {"orient": "top", "labelColor": theme.ink, "labelFontSize": 13, **symbols}
    specification["config"] = specification["config"] | {"legend": legend}
    return str(vl_convert.vegalite_to_svg(specification, vl_version=vega_lite_version()))


def vega_lite_version() -> str:
    """Return the version of Vega-Lite that the specifications are written for, as vl-convert names it."""
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def _rows(case: CaseSummary, found: Estimate | Ratio, repeats: Mapping[int, float]) -> Iterator[dict[str, Any]]:
    """Yield the row of a case, and one for each of several repeats."""
    at = {"kernel": case.kernel, "mode": case.mode, "x": SINGLE_X if case.mode == "per_sample" else case.batch_size}
    yield {
        **at,
        "kind": "case",
        **base.value_ends(found),
        "at": "one at a time" if case.mode == "per_sample" else f"{case.batch_size:,}",
        "time": words.duration(case.sample),
        "rate": f"{words.count(case.throughput)} per second",
        "gain": (gain := words.ratio(case.speedup) if case.speedup else case.no_speedup),
        "said": f"{case.name}, {words.case(case.mode, case.batch_size)}: {words.duration(case.sample)}, speedup {gain}",
    }
    if len(repeats) > 1:
        yield from ({**at, "kind": "repeat", "value": value} for value in repeats.values())


def _gains(case: CaseSummary, siblings: Sequence[CaseSummary]) -> Iterator[dict[str, Any]]:
    one = one_at_a_time([other for other in siblings if other.kernel == case.kernel])
    if case.speedup is not None and one is not None:
        slow, fast = times.pairs(one, case)
        yield from _rows(case, case.speedup, {repeat: slow[repeat] / fast[repeat] for repeat in slow})


def _panels(
    rows: Mapping[str, list[dict[str, Any]]],
    axis: Callable[[Sequence[Mapping[str, Any]]], alt.Y],
    names: Sequence[str],
    theme: Theme,
    what: str,
) -> list[Panel]:
    every = [row for of_run in rows.values() for row in of_run if row["kind"] == "case"]
    singles = any(row["mode"] == "per_sample" for row in every)
    x, y, several = base.batch_axis(every, singles=singles), axis(every), len(rows) > 1
    drawn = {run if several else "": base.dodged(of_run) for run, of_run in rows.items() if of_run}
    layers = _layers(x, y, names, theme, singles=singles)
    return base.beside(layers, drawn, what, _LOW if several else _HEIGHT, theme)


def _layers(x: alt.X, y: alt.Y, names: Sequence[str], theme: Theme, *, singles: bool) -> list[Any]:
    shape = base.shape(names, theme)
    kernels: alt.Chart = alt.Chart().encode(x, y, base.colour(names, theme))
    cases = kernels.transform_filter("datum.kind == 'case'")
    # What a screen reader says of a symbol.
    shape_said: dict[str, Any] = {"shape": shape, "description": alt.Description("said:N")}
    batches, single = (cases.transform_filter(f"datum.mode == '{mode}'") for mode in ("batched", "per_sample"))
    ends = (alt.Y("low:Q"), alt.Y2("high:Q"))
    alone = single.transform_filter("datum.low != null").encode(*ends)
    told = {"kernel": "kernel", "at": "batch size", "time": "time per sample", "rate": "samples", "gain": "speedup"}
    # Invisible discs around the symbols are easy to hit with a finger, and they carry the tooltip.
    discs = cases.mark_point(filled=True, shape="circle", size=450, opacity=0, aria=False)
    return [
        *([] if singles else [base.rule_at_one(theme)]),
        kernels.transform_filter("datum.kind == 'repeat'").mark_circle(
            size=16, opacity=0.5, clip=True, tooltip=None, aria=False
        ),
        *base.interval_lines(batches, batches.encode(**shape_said), theme),
        *([alone.mark_rule(strokeWidth=1.5, clip=True, aria=False)] if singles else []),
        *(
            [
                single.encode(**shape_said).mark_point(
                    filled=False, opacity=1, size=120, strokeWidth=2, fill=theme.surface
                )
            ]
            * singles
        ),
        discs.encode(**base.telling(told)),
    ]


CHARTS = {"time": time_charts, "speedup": speedup_charts}
