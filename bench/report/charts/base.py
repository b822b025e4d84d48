"""What charts are made of: axes, channels, layers, and the whole that fills its place, in the JSON of Vega-Lite.

A chart is a function of a figure's data and of the kernels of the page, each with the name that texts call it. It
returns specifications by their titles, which stand beside each other, or one without a title.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlpbench.bench.report.charts.style import GRID, MUTED, SURFACE, series

Spec = dict[str, Any]
Names = Mapping[str, str]
Row = dict[str, Any]

#: Where single calls stand on the logarithmic axis of batch sizes.
SINGLE_X = 0.3
_UNITS = (("1e-6", "1e9", "ns"), ("1e-3", "1e6", "µs"), ("1", "1e3", "ms"))
_IN_UNITS = (
    f"datum.value < {below} ? format(datum.value * {scale}, '~g') + ' {unit}'" for below, scale, unit in _UNITS
)
#: Expressions of Vega for the labels of an axis.
TIME_LABEL = f"{' : '.join(_IN_UNITS)} : format(datum.value, '~g') + ' s'"
RATIO_LABEL = "format(datum.value, '~g') + 'x'"
COUNT_LABEL = "format(datum.value, ',')"


# -- channels


def field(name: str, kind: str = "quantitative", **settings: Any) -> Spec:
    """Return the channel of a field."""
    return {"field": name, "type": kind, **settings}


def log_axis(
    name: str, title: str, values: Sequence[float], label: str, margins: tuple[float, float] = (1.3, 1.5)
) -> Spec:
    """Return a logarithmic axis, of "x" across and of any other field upwards, that holds all values."""
    low, high = min(values) / margins[0], max(values) * margins[1]
    across = name == "x"
    axis = {"values": _ticks(low, high), "labelExpr": label, "labelOverlap": True, "grid": not across}
    scale = {"type": "log", "domain": [low, high], "nice": False}
    return field(name, title=title, scale=scale, axis=axis | {"labelFlush": across})


def _ticks(low: float, high: float) -> list[float]:
    """Return ticks between two ends: powers of ten, or where those are fewer than four 1, 2, 5, 10 ..., or more."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        # Through text, because 5 * 10.0**-6 is 4.9999999999999996e-06 and labels would say so.
        ladder = (float(f"{step}e{decade}") for decade in decades for step in steps)
        ticks = [tick for tick in ladder if low <= tick <= high]
        if len(ticks) >= 4:
            break
    return ticks


def name_axis(**settings: Any) -> Spec:
    """Return an axis of names: without ticks and line, and without a title if none is set."""
    return {"title": None, "ticks": False, "domain": False, **settings}


def batch_axis(rows: Sequence[Row]) -> Spec:
    """Return the logarithmic axis of batch sizes for rows that `dodged` places, with a place for single calls."""
    sizes = sorted({row["x"] for row in rows if row["x"] != SINGLE_X}) or [1, 10]
    ticks = [size for size in sizes if math.log10(size).is_integer()] or sizes
    singles = [SINGLE_X] if any(row["x"] == SINGLE_X for row in rows) else []
    scale = {"type": "log", "domain": [[*singles, *sizes][0] / 1.35, sizes[-1] * 1.35], "nice": False}
    axis = {
        "values": [*singles, *ticks],
        "labelExpr": f"datum.value < 1 ? ['one at', 'a time'] : {COUNT_LABEL}",
        "labelOverlap": False,
        "grid": False,
        "labelFlush": False,
    }
    return field("px", title="batch size (rows per call)", scale=scale, axis=axis)


def value_axis(rows: Sequence[Row], title: str, label: str) -> Spec:
    """Return a logarithmic axis of the rows' values, and of their intervals as far as those do not flatten the rest."""
    # The interval of two wildly different repeats spans decades: it is cut off.
    values = [row["value"] for row in rows] or [1.0, 10.0]
    ends = [row[end] for row in rows for end in ("low", "high") if row.get(end) is not None]
    held = [min(max(end, min(values) / 2), 2 * max(values)) for end in ends]
    return log_axis("value", title, [*values, *held], label, margins=(1.15, 1.15))


def colour(names: Names) -> Spec:
    """Return the colours of the page's kernels as a channel."""
    return _by_kernel(names, [look.colour for look in series(names)])


def shape(names: Names) -> Spec:
    """Return the marks of the page's kernels as a channel."""
    return _by_kernel(names, [look.shape for look in series(names)])


def _by_kernel(names: Names, looks: Sequence[str]) -> Spec:
    return field("named", "nominal", scale={"domain": list(names.values()), "range": looks}, title=None)


def telling(titles: Mapping[str, str]) -> Spec:
    """Return the channels that tell a mark's row to who points at it, and to a screen reader: titles by field."""
    titles = {"named" if name == "kernel" else name: title for name, title in titles.items()}
    description = " + ', ' + ".join(f"'{title}: ' + datum['{name}']" for name, title in titles.items())
    tips = [field(name, "nominal", title=title) for name, title in titles.items()]
    return {"tooltip": tips, "description": {"value": {"expr": description}}}


def against_batch_size(rows: Sequence[Row], y: Spec, names: Names) -> tuple[Spec, Spec]:
    """Return the channels of lines of rows that `dodged` places, a line for each kernel, and of symbols on them."""
    lines = {"x": batch_axis(rows), "y": y, "color": colour(names)}
    return lines, lines | {"shape": shape(names)}


# -- rows


def dodged(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with a place ``px`` on the axis of batch sizes beside ``x``: whiskers would cover each other.

    Kernels stand apart by a factor of 1.045, and all of them by 1.4 at the most.
    """
    names = list(dict.fromkeys(row["kernel"] for row in rows))
    step = min(1.045, 1.4 ** (1 / len(names))) if names else 1.0
    factors = {name: step ** (place - (len(names) - 1) / 2) for place, name in enumerate(names)}
    return [row | {"px": float(f"{row['x'] * factors[row['kernel']]:.6g}")} for row in rows]


# -- layers


def layer(mark: str, channels: Spec, where: str | None = None, **properties: Any) -> Spec:
    """Return marks of the rows ``where`` an expression of Vega is true; of all rows without one."""
    filters = {"transform": [{"filter": where}]} if where else {}
    return {**filters, "mark": {"type": mark, **properties}, "encoding": channels}


def symbols(channels: Spec, where: str | None = None, size: int = 110) -> Spec:
    """Return filled symbols with a line of the page's colour around them."""
    return layer("point", channels, where, filled=True, opacity=1, size=size, stroke=SURFACE, strokeWidth=1)


def hollow(channels: Spec, where: str) -> Spec:
    """Return hollow symbols, for single calls."""
    return layer("point", channels, where, filled=False, opacity=1, size=120, strokeWidth=2, fill=SURFACE)


def whiskers(channels: Spec, where: str = "true") -> Spec:
    """Return lines over the intervals of values."""
    ends = channels | {"y": field("low"), "y2": {"field": "high"}}
    where = f"datum.low != null && {where}"
    return layer("rule", ends, where, strokeWidth=1.5, clip=True, opacity=0.75, tooltip=None, aria=False)


def rule_at_one() -> Spec:
    """Return the dashed line at which a ratio is 1."""
    rule = layer("rule", {"y": field("value")}, strokeDash=[4, 4], strokeWidth=1.5, color=MUTED)
    return {"data": {"values": [{"value": 1}]}, **rule}


# -- the whole


def drawn(
    layers: Sequence[Spec], panels: Mapping[str, Sequence[Row]], names: Names, what: str, height: int
) -> dict[str, Spec]:
    """Return the layers as a chart for each title and its rows, which fills its place and follows the page's legend."""
    muted = dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor"), MUTED)
    title = {"titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 10}
    # The page has a legend of its own, one for all charts, that a keyboard can reach, and says whom it hides.
    frame = {
        "data": {"name": "rows"},
        "transform": [{"filter": "!datum.kernel || indexof(hidden_kernels, datum.kernel) < 0"}],
        "params": [{"name": "hidden_kernels", "value": []}],
        "layer": list(layers),
        "width": "container",
        "height": height,
        "background": "transparent",
        "description": what,
        "config": {
            "axis": {"gridColor": GRID, "labelFontSize": 12, **muted, **title},
            "legend": {"disable": True},
            "view": {"stroke": None},
        },
    }
    return {title: {**frame, "datasets": {"rows": _named(rows, names)}} for title, rows in panels.items()}


def _named(rows: Sequence[Row], names: Names) -> list[Row]:
    return [{**row, "named": names.get(row["kernel"], row["kernel"])} if "kernel" in row else row for row in rows]
