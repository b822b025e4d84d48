"""The speedup over the fewest threads against batch size, a panel for each number of threads."""

from collections.abc import Iterator, Sequence

from mlpbench.bench import words
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Names, Row, Spec
from mlpbench.bench.report.parts import ends
from mlpbench.bench.wings.threads.finding import Scaling


def scaling_charts(groups: Sequence[Scaling], names: Names) -> dict[str, Spec]:
    """Return the speedup over the fewest threads against batch size, of each group and number of threads."""
    panels = {title: rows for group in groups for title, rows in _panels(group, several=len(groups) > 1)}
    every = [row for rows in panels.values() for row in rows]
    around = [*every, {"value": 0.9}, {"value": 1.3}]
    axis = base.value_axis(around, "times as fast", base.RATIO_LABEL)
    lines, points = base.against_batch_size(every, axis, names)
    titles = {"kernel": "kernel", "x": "batch size", "threads": "threads given", "used": "threads used"}
    points |= base.telling({**titles, "gain": "speedup"})
    layers = [
        base.rule_at_one(),
        base.whiskers(lines),
        base.layer("line", lines, strokeWidth=2, clip=True),
        base.symbols(points),
    ]
    dodged = {title: base.dodged(rows) for title, rows in panels.items()}
    return base.drawn(layers, dodged, names, "Speedup over the fewest threads against batch size.", 270)


def _panels(group: Scaling, *, several: bool) -> Iterator[tuple[str, list[Row]]]:
    """Yield title and rows for each number of threads of a group."""
    for threads in sorted({gain.threads for gain in group.drawn}):
        title = f"{threads} threads instead of {group.fewest}"
        rows = [
            {
                "kernel": gain.kernel,
                "x": gain.batch_size,
                **ends(gain.speedup),
                "threads": threads,
                "used": str(gain.used or "does not say"),
                "gain": words.ratio(gain.speedup),
            }
            for gain in group.drawn
            if gain.threads == threads
        ]
        yield f"{title}, {group.spec}, {group.dtype}" if several else title, rows


CHARTS = {"scaling": scaling_charts}
