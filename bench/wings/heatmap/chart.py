"""The heat map: kernels by batch size, coloured by how far they are from the fastest."""

import math
from collections.abc import Iterator, Sequence

from mlpbench.bench import words
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Names, Row, Spec
from mlpbench.bench.report.charts.style import SURFACE
from mlpbench.bench.wings.heatmap.finding import HeatMap
from mlpbench.bench.wings.heatmap.section import cell_text, column_text

#: From the fastest to the slowest: cividis, the other way round. J. Nuñez, C. Anderton and R. Renslow, "Optimizing
#: colormaps with consideration for color vision deficiency", PLOS ONE 13 (2018). It grows darker evenly, to every eye,
#: and both ends stand out from a light page as from a dark one.
_SCHEME = ("#fde737", "#d9c55c", "#b4a76f", "#948d78", "#7a7b78", "#5f6773", "#3c4d6e", "#123570", "#00224e")


def heatmap_chart(maps: Sequence[HeatMap], names: Names) -> dict[str, Spec]:
    """Return the heat maps of runs, below each other on one scale. The words in a cell are its ratio."""
    every = [cell.ratio.value for one in maps for cell in one.cells.values()]
    # Near draws must not look like worlds apart, and one hopeless kernel must not make all others look alike.
    darkest = min(max(4.0, *every), 100.0)
    rows = [row for one in maps for row in _rows(one, darkest)]
    keys = [key for one in maps for key in _keys(one, several=len(maps) > 1)]
    labels = maps[0].labels
    columns = [_column(at, labels) for at in sorted({at for one in maps for at in one.columns})]
    place = "machine" if labels else "batch size (rows per call)"
    label = "datum.value == 'one' ? ['one', 'at a', 'time'] : format(datum.value, '~s')"
    if labels:
        label = "split(datum.value, ' ')"
    axis = base.name_axis(title=place, labelExpr=label, labelAngle=0, labelOverlap=True, grid=False)
    cells = {
        "x": base.field("at", "nominal", sort=columns, axis=axis),
        "y": base.field("key", "nominal", scale={"domain": keys}, axis=_names(keys)),
    }
    scale = {"type": "log", "domain": [1, darkest], "range": list(_SCHEME), "clamp": True, "interpolate": "rgb"}
    titles = {"kernel": "kernel", "column": place.partition(" (")[0], "ratio": "time / the fastest"}
    shades = {"color": base.field("shade", scale=scale)}
    shades |= base.telling({**titles, "time": "time per sample", "fastest": "fastest"})
    ink = {"condition": {"test": "datum.white", "value": "#ffffff"}, "value": "#000000"}
    # Words of narrow cells are small, and of the narrowest left out: they are in the tooltip.
    width = f"width / {len(columns)}"
    size, opacity = {"expr": f"{width} < 40 ? 9 : 12"}, {"expr": f"{width} < 24 ? 0 : 1"}
    text = cells | {"text": base.field("words", "nominal"), "color": ink}
    layers = [
        base.layer("rect", cells | shades, stroke=SURFACE, strokeWidth=2),
        base.layer("text", text, fontSize=size, opacity=opacity, tooltip=None),
    ]
    what = "Time per sample relative to the fastest kernel, by kernel and batch size."
    return base.drawn(layers, {"": rows}, names, what, (26 if len(keys) <= 25 else 20) * len(keys))


def _keys(heatmap: HeatMap, *, several: bool) -> list[str]:
    """Return the rows of a run as ``unique|label|head``, the last for its name, which stands above of ``several``."""
    head = [f"{heatmap.run}|{heatmap.run}|head"] if several else []
    return [*head, *(_key(heatmap, kernel) for kernel in heatmap.kernels)]


def _key(heatmap: HeatMap, kernel: str) -> str:
    return f"{heatmap.run}/{kernel}|{words.marked(kernel, kernel in heatmap.unchecked)}|"


def _names(keys: Sequence[str]) -> Spec:
    """Return the axis of rows. The page's font is wider than the one that Vega measures with: it gets room."""
    bold = {"condition": {"test": "split(datum.label, '|')[2] === 'head'", "value": "bold"}, "value": "normal"}
    room = min(round(7.4 * max(len(key.split("|")[1]) for key in keys) + 6), 180)
    label = "split(datum.label, '|')[1]"
    return base.name_axis(minExtent=room, labelLimit=room + 15, labelExpr=label, labelFontWeight=bold)


def _column(at: int, labels: Sequence[str]) -> str:
    return labels[at] if labels else str(at or "one")


def _rows(heatmap: HeatMap, darkest: float) -> Iterator[Row]:
    for (kernel, at), cell in heatmap.cells.items():
        shade = max(min(cell.ratio.value, darkest), 1.0)
        yield {
            "kernel": kernel,
            "key": _key(heatmap, kernel),
            "at": _column(at, heatmap.labels),
            "column": column_text(at, heatmap.labels),
            "shade": shade,
            "white": math.log(shade) / math.log(darkest) > 0.535,  # from there on white words are easier to read
            "words": cell_text(cell),
            "ratio": words.ratio(cell.ratio),
            "time": words.seconds(cell.sample_s),
            "fastest": cell.fastest,
        }


CHARTS = {"heatmap": heatmap_chart}
