"""The speedup over threads as Altair specifications: against batch size, a panel for each number of threads."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis.scaling import Scaling
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Panel


def scaling_charts(found: Sequence[Scaling], names: Sequence[str]) -> list[Panel]:
    """Return the speedup over the fewest threads against batch size, of each group and number of threads."""
    panels = {title: rows for one in found for title, rows in _panels(one, several=len(found) > 1)}
    told = {
        "kernel": "kernel",
        "x": "batch size",
        "threads": "threads given",
        "used": "threads used",
        "gain": "speedup",
    }
    what = "Speedup over the fewest threads against batch size."
    return base.ratio_panels(panels, "times as fast", (0.9, 1.3), told, names, what)


def _panels(found: Scaling, *, several: bool) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield title and rows for each number of threads of a group."""
    for threads in sorted({gain.threads for gain in found.drawn}):
        title = f"{threads} threads instead of {found.fewest}"
        yield f"{title}, {found.spec}, {found.dtype}" if several else title, list(_rows(found, threads))


def _rows(found: Scaling, threads: int) -> Iterator[dict[str, Any]]:
    for gain in (gain for gain in found.drawn if gain.threads == threads):
        told = {"threads": threads, "used": str(gain.used or "does not say"), "gain": words.ratio(gain.speedup)}
        yield {"kernel": gain.kernel, "x": gain.batch_size, **base.value_ends(gain.speedup), **told}


CHARTS = {"scaling": scaling_charts}
