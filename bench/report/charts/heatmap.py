"""The heat map as an Altair specification: kernels by batch size, coloured by how far they are from the fastest."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.analysis.heatmap import HeatMap
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.style import PAGE
from mlpbench.bench.report.sections.heatmap import cell_text, column_text

#: From the fastest to the slowest: cividis, the other way round. J. Nuñez, C. Anderton and R. Renslow, "Optimizing
#: colormaps with consideration for color vision deficiency", PLOS ONE 13 (2018). It grows darker evenly, to every eye,
#: and both ends stand out from a light page as from a dark one.
_SCHEME = ("#fde737", "#d9c55c", "#b4a76f", "#948d78", "#7a7b78", "#5f6773", "#3c4d6e", "#123570", "#00224e")
#: From this share of the way on, white words are easier to read than black ones.
_WHITE_FROM = 0.535
#: Slower than this is as dark as it gets: one hopeless kernel must not make all others look alike.
_DARKEST = 100.0
#: The scale reaches to this at least: near draws must not look like worlds apart.
_LEAST_DARK = 4.0
#: Pixels of a row, and of one of many.
_ROW_HEIGHT, _LOW_ROW, _FEW = 26, 20, 25
#: Pixels of a letter of a kernel's name, and of a name at most.
_LETTER, _LONGEST = 7.4, 180
#: Below these widths of a cell, in pixels, its words are small, and then left out: they are in the tooltip.
_SMALL, _NARROW = 40, 24


def heatmap_chart(found: Sequence[HeatMap], _: Sequence[str] = ()) -> dict[str, Any]:
    """Return the Vega-Lite specification of the heat maps of runs, below each other on one scale.

    The words in its cells are the ratios.
    """
    every = [cell.ratio.value for one in found for cell in one.cells.values()]
    darkest = min(max(_LEAST_DARK, *every), _DARKEST)
    several = len(found) > 1
    keys = [key for one in found for key in _keys(one, several=several)]
    columns = sorted({at for one in found for at in one.columns})
    rows = [row for one in found for row in _rows(one, darkest)]
    labels = found[0].labels
    label = (
        "split(datum.value, ' ')"
        if labels
        else "datum.value == 'one' ? ['one', 'at a', 'time'] : format(datum.value, '~s')"
    )
    x = alt.X(
        "at:N",
        sort=[labels[at] if labels else str(at or "one") for at in columns],
        title="machine" if labels else "batch size (rows per call)",
        axis=alt.Axis(labelExpr=label, labelAngle=0, ticks=False, domain=False, grid=False, labelOverlap=True),
    )
    # The page's font is wider than the one that Vega measures with.
    names = [key.split("|")[1] for key in keys]
    room = min(round(_LETTER * max(map(len, names)) + 6), _LONGEST)
    y = alt.Y("key:N", scale=alt.Scale(domain=keys), axis=base.row_axis(room))
    cells = alt.Chart().encode(x, y)
    scale = alt.Scale(type="log", domain=[1, darkest], range=list(_SCHEME), clamp=True, interpolate="rgb")
    told = {
        "kernel": "kernel",
        "column": "machine" if labels else "batch size",
        "ratio": "time / the fastest",
        "time": "time per sample",
    }
    coloured = cells.encode(alt.Color("shade:Q", scale=scale), **base.telling(told | {"fastest": "fastest"}))
    width = f"width / {len(columns)}"
    ink = alt.condition("datum.white", alt.value("#ffffff"), alt.value("#000000"))
    layers = [
        coloured.mark_rect(stroke=PAGE.surface, strokeWidth=2),
        cells.encode(text=alt.Text("words:N"), color=ink).mark_text(
            fontSize=alt.expr(f"{width} < {_SMALL} ? 9 : 12"),
            opacity=alt.expr(f"{width} < {_NARROW} ? 0 : 1"),
            tooltip=None,
        ),
    ]
    what = "Time per sample relative to the fastest kernel, by kernel and batch size."
    return base.drawn(layers, rows, what, (_ROW_HEIGHT if len(keys) <= _FEW else _LOW_ROW) * len(keys))


def _keys(found: HeatMap, *, several: bool) -> list[str]:
    """Return the rows of a run, as `base.row_axis` takes them: of several, with its name before them."""
    head = [f"{found.run}|{found.run}|head"] if several else []
    return [*head, *(_key(found, kernel) for kernel in found.kernels)]


def _key(found: HeatMap, kernel: str) -> str:
    return f"{found.run}/{kernel}|{words.marked(kernel, kernel in found.unchecked)}|"


def _rows(found: HeatMap, darkest: float) -> Iterator[dict[str, Any]]:
    there = [(kernel, at) for at in found.columns for kernel in found.kernels if (kernel, at) in found.cells]
    for kernel, at in there:
        cell = found.cells[kernel, at]
        shade = max(min(cell.ratio.value, darkest), 1.0)
        white = math.log(shade) / math.log(darkest) > _WHITE_FROM
        place = {
            "kernel": kernel,
            "key": _key(found, kernel),
            "at": found.labels[at] if found.labels else str(at or "one"),
            "column": column_text(at, found.labels),
        }
        told = {"ratio": words.ratio(cell.ratio), "time": words.seconds(cell.sample_s), "fastest": cell.fastest}
        yield {**place, "shade": shade, "white": white, "words": cell_text(cell), **told}


CHARTS = {"heatmap": heatmap_chart}
