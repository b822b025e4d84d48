"""Kernels beside the best peers, as Altair specifications: the ratio against batch size, a panel for each setting."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis.limits import Limits
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Panel
from mlpbench.bench.report.sections.limits import apart


def peer_charts(found: Sequence[Limits], names: Sequence[str]) -> list[Panel]:
    """Return the best peer's time / the kernel's against batch size. The dashed line at 1 is the best peer."""
    titles = apart([one.setting for one in found])
    panels = {title: list(_rows(one)) for title, one in zip(titles, found, strict=True) if one.rows}
    told = {"kernel": "kernel", "x": "batch size", "peer": "best peer", "gain": "peer / kernel", "times": "times"}
    what = "Ratio against the best peer, against batch size."
    return base.ratio_panels(panels, "times as fast as the best peer", (0.9, 1.1), told, names, what)


def _rows(found: Limits) -> Iterator[dict[str, Any]]:
    for row in found.rows:
        for place in row.places:
            at = {"kernel": row.kernel, "x": place.batch_size, "peer": place.peer}
            times = f"{words.seconds(place.peer_s)} and {words.seconds(place.sample_s)}"
            yield {**at, **base.value_ends(place.ratio), "gain": words.ratio(place.ratio), "times": times}


CHARTS = {"peers": peer_charts}
