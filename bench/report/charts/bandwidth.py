"""The chart of where the gain is bandwidth, as an Altair specification: a stacked bar for each kernel and network."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import altair as alt

from mlpbench.bench.analysis import bandwidth
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.explain_words import PIECES, part_words, percent
from mlpbench.bench.report.charts.explain import row_axis, share_domain
from mlpbench.bench.report.charts.parts import drawn
from mlpbench.bench.report.charts.style import PAGE, Theme
from mlpbench.bench.report.sections.bandwidth import chart_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mlpbench.bench.analysis.bandwidth import Group, Place
    from mlpbench.bench.analysis.explain import Explanation


_ROW_HEIGHT = 24
#: A piece from this share of the axis on holds its own words, unless it has fewer pixels than they take.
_WIDE, _LETTERS = 0.04, 36
#: The axis ends here, whatever disturbed runs say.
_LEAST, _MOST = -1.0, 2.0
#: The causes' pieces are bright in both themes: their words are dark in both.
_WORDS = "#1b1f24"


def charts(explanations: Sequence[Explanation], theme: Theme = PAGE) -> dict[str, dict[str, Any]]:
    """Return the chart of each comparison by its name."""
    return {
        chart_name(number): parts_chart(found, theme)
        for number, found in enumerate(bandwidth.groups(explanations))
        if any(place.attribution for place in found.places)
    }


def parts_chart(found: Group, theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of the shares of what batching saves, kernel by kernel and level by level."""
    rows = [
        row for kernel, places in groupby(found.by_kernel, lambda place: place.kernel) for row in _rows(kernel, places)
    ]
    low, high = share_domain(rows, _LEAST, _MOST)
    rows = [row | _seen(row, low, high) for row in rows]
    x = alt.X(
        "x:Q",
        title="share of what batching saves",
        scale=alt.Scale(domain=[low, high], nice=False),
        axis=alt.Axis(format="~%", tickCount=5),
    )
    keys = list(dict.fromkeys(row["key"] for row in rows))
    base = alt.Chart().encode(alt.Y("key:N", scale=alt.Scale(domain=keys), axis=row_axis(185)), x)
    # Colours of kernels begin at the other end of the list.
    colours = [theme.series[4], theme.series[5], theme.series[7], theme.shade]
    words = [PIECES[name] for name in PARTS]
    columns = alt.expr("width < 320 ? 1 : 4")
    legend = alt.Legend(
        title=None, orient="top", columns=columns, labelColor=theme.ink, labelFontSize=12, columnPadding=24
    )
    colour = alt.Color("part:N", scale=alt.Scale(domain=words, range=colours), legend=legend)
    tip = [alt.Tooltip(f"{name}:N", title=name) for name in ("kernel", "network", "part", "time")]
    pieces = base.transform_filter("datum.part != ''")
    bars = pieces.encode(colour, alt.X2("x2:Q"), tooltip=tip)
    words_in = pieces.transform_filter(f"datum.seen >= {_WIDE}").encode(alt.X("middle:Q"), text="share:N")
    fits = alt.expr(f"datum.seen * width < {_LETTERS} ? 0 : 1")
    rest = f"datum.part == '{PIECES['unexplained']}'"
    layers = [
        bars.mark_bar(height=15, stroke=theme.surface, strokeWidth=1, clip=True),
        words_in.transform_filter(f"!({rest})").mark_text(fontSize=12, clip=True, color=_WORDS, opacity=fits),
        words_in.transform_filter(rest).mark_text(fontSize=12, clip=True, color=theme.ink, opacity=fits),
    ]
    return drawn(layers, rows, theme, "What batching saves, by cause and by level of memory.", _ROW_HEIGHT * len(keys))


def _seen(row: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    """Return how much of the axis a piece takes, as a share, and the middle of what is seen of it."""
    start, end = (min(max(row[end], low), high) for end in ("x", "x2"))
    return {"seen": (end - start) / (high - low), "middle": (start + end) / 2}


def _rows(kernel: str, places: Iterable[Place]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one kernel: its name, and the pieces of each network; those below 0 stand left of 0."""
    start = {"kernel": kernel, "run": "", "x": 0.0, "x2": 0.0}
    yield {**start, "key": f"{kernel}|{kernel}|head", "part": ""}
    for place in places:
        parts = place.attribution
        if parts is None or parts.saved_s <= 0:
            continue
        ends = {True: 0.0, False: 0.0}
        for name in PARTS:
            share = parts.share(name) or 0.0
            at = ends[share > 0]
            ends[share > 0] = at + share
            yield {
                "kernel": kernel,
                "run": place.run,
                "network": f"{place.spec} in {place.level}",
                "key": f"{kernel}/{place.run}|{place.spec} ({place.level})|",
                "part": PIECES[name],
                "share": percent(share),
                "time": part_words(parts.parts[name], parts),
                "x": min(at, at + share),
                "x2": max(at, at + share),
            }
