"""Who is fastest where: every kernel at every batch size, as its time / the time of the fastest kernel there."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import geometric_mean
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis.summary import CaseSummary, batched, best_cases, of_kernels, one_at_a_time, ranked
from mlpbench.bench.groups import grouped
from mlpbench.bench.report import charts
from mlpbench.bench.report.charts import SURFACE, Names, Row, Spec
from mlpbench.bench.report.document import Block, Figure, Findings, Part, interval, table
from mlpbench.bench.stats.estimates import Ratio

#: The column of single calls, before all batch sizes.
ONE = 0


@dataclass(frozen=True)
class Cell:
    """One kernel at one batch size: its time per sample in seconds, and that / the fastest kernel's there."""

    kernel: str
    batch_size: int
    sample_s: float
    fastest: str
    ratio: Ratio


@dataclass(frozen=True)
class HeatMap:
    """One run. ``kernels`` by their speed overall, the fastest first; ``columns`` are `ONE` and batch sizes."""

    run: str
    kernels: tuple[str, ...]
    columns: tuple[int, ...]
    cells: Mapping[tuple[str, int], Cell]
    unchecked: frozenset[str] = frozenset()


def find(cases: Sequence[CaseSummary]) -> tuple[HeatMap, ...]:
    """Return a heat map for every run with two or more kernels that were timed in the same way at a point."""
    by_run = grouped((case.run, case) for case in cases)
    return tuple(heatmap for item in by_run.items() if (heatmap := _of_run(*item)) is not None)


def _of_run(run: str, cases: Sequence[CaseSummary]) -> HeatMap | None:
    singles = ((ONE, one) for own in of_kernels(cases).values() if (one := one_at_a_time(own)) is not None)
    points = grouped([*singles, *((case.batch_size, case) for case in batched(cases))])
    # A point with one kernel compares nothing.
    columns = tuple(sorted(at for at, there in points.items() if len(there) > 1))
    if not columns:
        return None
    cells = {(cell.kernel, at): cell for at in columns for cell in _column(at, points[at])}
    unchecked = frozenset(case.kernel for case in cases if case.unchecked)
    return HeatMap(run, _by_speed(cells, unchecked), columns, cells, unchecked)


def _by_speed(cells: Mapping[tuple[str, int], Cell], unchecked: Collection[str]) -> tuple[str, ...]:
    """Return the kernels in the order of the geometric means of their ratios, unchecked ones last."""
    ratios = grouped((kernel, cell.ratio.value) for (kernel, _), cell in cells.items())
    return tuple(sorted(ratios, key=lambda kernel: (kernel in unchecked, geometric_mean(ratios[kernel]))))


def _column(at: int, there: Sequence[CaseSummary]) -> list[Cell]:
    ratios = {case.kernel: ratio for case, ratio in ranked(there)}
    fastest = next(iter(ratios))
    return [Cell(case.kernel, at, case.sample.value, fastest, ratios[case.kernel]) for case in there]


_READING = (
    "A cell is the kernel's time per sample / the fastest kernel's there: 1.0x is the fastest, the darker the slower. "
    "A ~ means not told apart from the fastest: the interval reaches 1x. The fastest comes first."
)


def _machines(findings: Findings) -> tuple[Block, ...]:
    """Return a table of kernels by machine, each in its best batch; nothing unless several computed the same."""
    timed = [(run, list(best_cases(of_kernels(cases)).values())) for run, cases in findings.by_run if cases]
    machines = {run.host for run, _ in timed}
    computed = {(run.records[0].spec, run.records[0].data.sha256, run.records[0].weights.sha256) for run, _ in timed}
    if len(machines) < 2 or len(computed) != 1:
        return ()
    names, columns = [run.machine_among(machines) for run, _ in timed], range(len(timed))
    labels = [name if names.count(name) == 1 else run.name for name, (run, _) in zip(names, timed, strict=True)]
    cells = {(cell.kernel, at): cell for at, (_, best) in enumerate(timed) for cell in _column(at, best)}
    texts = {at: f"{words.seconds(cell.sample_s)} ({cell_text(cell)})" for at, cell in cells.items()}
    unchecked = frozenset(case.kernel for _, best in timed for case in best if case.unchecked)
    rows = [
        (words.marked(kernel, kernel in unchecked), *(texts.get((kernel, at), "not measured") for at in columns))
        for kernel in _by_speed(cells, unchecked)
    ]
    caption = "Time per sample in the best batch, and how much slower than the fastest kernel of the machine."
    return (table(caption, ("kernel",), labels, rows=rows),)


def _batches(findings: Findings) -> tuple[Block, ...]:
    """Return one figure for all runs; none without any."""
    maps = findings.of(_maps)
    if not maps:
        return ()
    columns = sorted({at for one in maps for at in one.columns})
    rows = []
    for one in maps:
        for kernel in one.kernels:
            texts = (cell_text(one.cells.get((kernel, at))) for at in columns)
            rows.append((one.run, words.marked(kernel, kernel in one.unchecked), *texts))
    caption = "Time per sample / the fastest kernel's at the same batch size, paired by repeat."
    numbers = table(caption, ("kernel",), map(column_text, columns), rows=rows, several=len(maps) > 1)
    return (Figure("heatmap", "Time relative to the fastest kernel", _READING, numbers, partial(heatmap_chart, maps)),)


def cell_text(cell: Cell | None) -> str:
    """Return the ratio in two digits: ``1.0x``, ``2.3x``, ``14x``, and ``~1.1x`` where the fastest is as fast."""
    if cell is None:
        return ""
    value = max(cell.ratio.value, 1.0)  # three kernels may beat each other in turn, and each is at best the fastest
    as_fast = cell.kernel != cell.fastest and cell.ratio.low <= 1
    return f"{'~' if as_fast else ''}{value:.1f}x" if value < 9.95 else f"{value:.0f}x"


def column_text(batch_size: int) -> str:
    """Return a column's name."""
    return words.case("per_sample" if batch_size == ONE else "batched", batch_size)


def _maps(findings: Findings) -> tuple[HeatMap, ...]:
    return find(findings.cases)


def _as_data(one: HeatMap) -> dict[str, Any]:
    names = ("kernel", "batch_size", "fastest", "ratio")
    cells = [(cell.kernel, cell.batch_size or None, cell.fastest, interval(cell.ratio)) for cell in one.cells.values()]
    of_cells = [dict(zip(names, cell, strict=True)) for cell in cells]
    return {"run": one.run, "kernels": list(one.kernels), "cells": of_cells}


#: From the fastest to the slowest: cividis, the other way round. J. Nuñez, C. Anderton and R. Renslow, "Optimizing
#: colormaps with consideration for color vision deficiency", PLOS ONE 13 (2018). It grows darker evenly, to every eye,
#: and both ends stand out from a light page as from a dark one.
_SCHEME = ("#fde737", "#d9c55c", "#b4a76f", "#948d78", "#7a7b78", "#5f6773", "#3c4d6e", "#123570", "#00224e")


def heatmap_chart(maps: Sequence[HeatMap], names: Names) -> dict[str, Spec]:
    """Return the heat map of each run, all on one scale. The words in a cell are its ratio."""
    # Near draws must not look like worlds apart, and one hopeless kernel must not make all others look alike.
    darkest = min(max(4.0, *(cell.ratio.value for one in maps for cell in one.cells.values())), 100.0)
    panels = {one.run if len(maps) > 1 else "": list(_rows(one, darkest)) for one in maps}
    columns = [str(at or "one") for at in sorted({at for one in maps for at in one.columns})]
    label = "datum.value == 'one' ? ['one', 'at a', 'time'] : format(datum.value, '~s')"
    flat = {"labelAngle": 0, "labelOverlap": True, "grid": False}
    axis = {**charts.NAME_AXIS, **flat, "title": "batch size (rows per call)", "labelExpr": label}
    cells = {
        "x": charts.field("at", "nominal", sort=columns, axis=axis),
        "y": charts.field("named", "nominal", sort=None, axis=charts.NAME_AXIS),
    }
    scale = {"type": "log", "domain": [1, darkest], "range": list(_SCHEME), "clamp": True, "interpolate": "rgb"}
    titles = {"kernel": "kernel", "column": "batch size", "ratio": "time / the fastest"}
    shades = {"color": charts.field("shade", scale=scale)}
    shades |= charts.telling({**titles, "time": "time per sample", "fastest": "fastest"})
    ink = {"condition": {"test": "datum.white", "value": "#ffffff"}, "value": "#000000"}
    # Words of narrow cells are small, and of the narrowest left out: they are in the tooltip.
    width = f"width / {len(columns)}"
    size, opacity = {"expr": f"{width} < 40 ? 9 : 12"}, {"expr": f"{width} < 24 ? 0 : 1"}
    text = cells | {"text": charts.field("words", "nominal"), "color": ink}
    layers = [
        charts.layer("rect", cells | shades, stroke=SURFACE, strokeWidth=2),
        charts.layer("text", text, fontSize=size, opacity=opacity, tooltip=None),
    ]
    what = "Time per sample relative to the fastest kernel, by kernel and batch size."
    return charts.drawn(layers, panels, names, what, 26 * max(len(one.kernels) for one in maps))


def _rows(heatmap: HeatMap, darkest: float) -> Iterator[Row]:
    """Yield the cells, those of the fastest kernel first: rows of a chart stand in the order of its data."""
    for (kernel, at), cell in sorted(heatmap.cells.items(), key=lambda item: heatmap.kernels.index(item[0][0])):
        shade = max(min(cell.ratio.value, darkest), 1.0)
        yield {
            "kernel": kernel,
            "at": str(at or "one"),
            "column": column_text(at),
            "shade": shade,
            "white": math.log(shade) / math.log(darkest) > 0.535,  # from there on white words are easier to read
            "words": cell_text(cell),
            "ratio": words.ratio(cell.ratio),
            "time": words.seconds(cell.sample_s),
            "fastest": cell.fastest,
        }


SECTIONS = (
    Part(50, "machines", "Which machine is good for what", _machines),
    Part(
        60,
        "heatmap",
        "Who is fastest where",
        _batches,
        data={"relative": lambda findings: list(map(_as_data, findings.of(_maps)))},
    ),
)
