"""Kernels beside the best peers, as Altair specifications: the ratio against batch size, a panel for each setting."""

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.analysis.limits import Limits
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Panel
from mlpbench.bench.report.charts.style import PAGE, Theme
from mlpbench.bench.report.sections.limits import apart

_HEIGHT = 270


def peer_charts(found: Sequence[Limits], names: Sequence[str], theme: Theme = PAGE) -> list[Panel]:
    """Return the best peer's time / the kernel's against batch size. The dashed line at 1 is the best peer."""
    titles = apart([one.setting for one in found])
    panels = {title: list(_rows(one)) for title, one in zip(titles, found, strict=True) if one.rows}
    every = [row for rows in panels.values() for row in rows]
    one = [{"value": 0.9}, {"value": 1.1}]
    y = base.value_axis([*every, *one], "times as fast as the best peer", base.RATIO_LABEL)
    lines = alt.Chart().encode(base.batch_axis(every, singles=False), y, base.colour(names, theme))
    told = {"kernel": "kernel", "x": "batch size", "peer": "best peer", "gain": "peer / kernel", "times": "times"}
    points = lines.encode(base.shape(names, theme), **base.telling(told))
    layers = [base.rule_at_one(theme), *base.interval_lines(lines, points, theme)]
    what = "Ratio against the best peer, against batch size."
    return [Panel(title, base.drawn(layers, base.dodged(rows), theme, what, _HEIGHT)) for title, rows in panels.items()]


def _rows(found: Limits) -> Iterator[dict[str, Any]]:
    for row in found.rows:
        for place in row.places:
            at = {"kernel": row.kernel, "x": place.batch_size, "peer": place.peer}
            times = f"{words.seconds(place.peer_s)} and {words.seconds(place.sample_s)}"
            yield {**at, **base.value_ends(place.ratio), "gain": words.ratio(place.ratio), "times": times}
