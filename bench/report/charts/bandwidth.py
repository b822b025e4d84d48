"""Where the gain is bandwidth, as an Altair specification: a stacked bar for each kernel and network."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.bandwidth import Group, Place
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.explain import PIECES
from mlpbench.bench.report.charts.style import PAGE
from mlpbench.bench.report.sections.explain import part_words

_ROW_HEIGHT = 24
#: A piece from this share of the axis on holds its own words, unless it has fewer pixels than they take.
_WIDE, _LETTERS = 0.04, 36
#: The causes' pieces are bright in both themes: their words are dark in both.
_WORDS = "#1b1f24"


def bandwidth_chart(found: Group, _: Sequence[str] = ()) -> dict[str, Any]:
    """Return the Vega-Lite specification of the shares of what batching saves, kernel by kernel and level by level."""
    rows = [
        row for kernel, places in groupby(found.by_kernel, lambda place: place.kernel) for row in _rows(kernel, places)
    ]
    domain = base.share_domain(rows)
    rows = [row | _seen(row, *domain) for row in rows]
    keys = list(dict.fromkeys(row["key"] for row in rows))
    y = alt.Y("key:N", scale=alt.Scale(domain=keys), axis=base.row_axis(185))
    pieces = alt.Chart().encode(y, base.share_axis("share of what batching saves", domain))
    pieces = pieces.transform_filter("datum.part != ''")
    bars = pieces.encode(**base.telling({name: name for name in ("kernel", "network", "part", "time")}))
    # Colours of kernels begin at the other end of the list.
    colours = [PAGE.series[4], PAGE.series[5], PAGE.series[7], PAGE.shade]
    columns = alt.expr("width < 320 ? 1 : 4")
    inside = pieces.transform_filter(f"datum.seen >= {_WIDE}").encode(alt.X("middle:Q"), text=alt.Text("share:N"))
    fits = alt.expr(f"datum.seen * width < {_LETTERS} ? 0 : 1")
    rest = f"datum.part == '{PIECES['unexplained']}'"
    layers = [
        base.stacked(bars, list(PIECES.values()), colours, columns=columns, height=15, strokeWidth=1, clip=True),
        inside.transform_filter(f"!({rest})").mark_text(fontSize=12, clip=True, color=_WORDS, opacity=fits),
        inside.transform_filter(rest).mark_text(fontSize=12, clip=True, color=PAGE.ink, opacity=fits),
    ]
    what = "What batching saves, by cause and by level of memory."
    return base.drawn(layers, rows, what, _ROW_HEIGHT * len(keys))


def _seen(row: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    """Return how much of the axis a piece takes, as a share, and the middle of what is seen of it."""
    start, end = base.seen(row, low, high)
    return {"seen": (end - start) / (high - low), "middle": (start + end) / 2}


def _rows(kernel: str, places: Iterable[Place]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one kernel: its name, and the pieces of each network; those below 0 stand left of 0."""
    start = {"kernel": kernel, "x": 0.0, "x2": 0.0}
    yield {**start, "key": f"{kernel}|{kernel}|head", "part": ""}
    for place in places:
        parts = place.attribution
        if parts is None:
            continue
        key = f"{kernel}/{place.run}|{place.spec} ({place.level})|"
        bar = {"kernel": kernel, "network": f"{place.spec} in {place.level}", "key": key}
        ends = {True: 0.0, False: 0.0}
        for name in PARTS:
            share = parts.share(name) or 0.0
            at = ends[share > 0]
            ends[share > 0] = at + share
            told = {"share": words.percent(share), "time": part_words(name, parts)}
            yield {**bar, "part": PIECES[name], **told, "x": min(at, at + share), "x2": max(at, at + share)}


CHARTS = {"bandwidth": bandwidth_chart}
