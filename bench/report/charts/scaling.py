"""The speedup over threads as an Altair specification: against batch size, one line for each kernel."""

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from mlpbench.bench import words
from mlpbench.bench.analysis.scaling import Scaling
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.style import PAGE, Theme


def scaling_chart(found: Scaling, names: Sequence[str], theme: Theme = PAGE) -> dict[str, Any]:
    """Return the Vega-Lite specification of the speedup over the fewest threads against batch size."""
    rows = list(_rows(found))
    values = [row["value"] for row in rows]
    # An interval of two wildly different repeats would flatten everything else.
    seen = [end for row in rows for end in (row["low"], row["high"]) if end and min(values) / 3 < end < 3 * max(values)]
    x = base.log_axis("x", "batch size (rows per call)", [row["x"] for row in rows], base.COUNT_LABEL)
    title = f"time with {words.things(found.fewest, 'thread')} / with more"
    y = base.log_axis("value", title, [*values, *seen, 0.9, 1.3], base.RATIO_LABEL)
    lines = alt.Chart().encode(x, y, base.colour(names, theme), detail=["threads:N"])
    told = {"kernel": "kernel", "x": "batch size", "threads": "threads given", "used": "threads used"}
    points = lines.encode(base.shape(names, theme), tooltip=base.tips(told | {"gain": "speedup"}))
    layers = [base.rule_at_one(theme), *base.band_lines(lines, lines, points, theme)]
    return base.drawn(layers, rows, theme, "Speedup over the fewest threads against batch size.", 330)


def _rows(found: Scaling) -> Iterator[dict[str, Any]]:
    for gain in found.drawn:
        used = "does not say" if gain.used is None else str(gain.used)
        told = {"threads": gain.threads, "used": used, "gain": words.ratio(gain.speedup)}
        yield {"kernel": gain.kernel, "run": "", "x": gain.batch_size, **base.value_ends(gain.speedup), **told}
