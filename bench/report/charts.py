"""What charts are made of: colours, marks, axes, channels, layers, and the whole, in the JSON of Vega-Lite.

A chart is a function of a figure's data and of the page's kernels, each with its name in texts. It returns
specifications by their titles, which stand beside each other, or one without a title; nothing here draws.
"""

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from mlpbench.kernels.colours import COLOURS

#: Colours of a light and of a dark page by the names of its stylesheet's variables. The series, for parts of a whole
#: and for what a page stresses, are of M. Okabe and K. Ito, "Color Universal Design" (2008).
_COLOURS = {
    "ink": ("#1b1f24", "#e8eaed"),
    "muted": ("#59626d", "#a3acb7"),
    "grid": ("#e3e6ea", "#31363d"),
    "surface": ("#ffffff", "#16191d"),
    "shade": ("#cfd4da", "#4a515a"),
    "series-0": ("#0072b2", "#3b97d3"),
    "series-1": ("#d55e00", "#d55e00"),
    "series-2": ("#009e73", "#009e73"),
    "series-3": ("#e69f00", "#e69f00"),
}
#: Charts name colours as variables: a drawn chart follows light and dark without being drawn again.
INK, MUTED, GRID, SURFACE = "var(--ink)", "var(--muted)", "var(--grid)", "var(--surface)"
SERIES = tuple(f"var(--{name})" for name in _COLOURS if name.startswith("series"))
#: SVG paths in a square from -1 to 1, as Vega takes them for its symbols and the page for its legend.
_SHAPES = {
    "square": "M-.55,-.55H.55V.55H-.55Z",
    "diamond": "M0,-.8L.8,0L0,.8L-.8,0Z",
    "circle": "M.62,0A.62,.62,0,1,1,-.62,0A.62,.62,0,1,1,.62,0Z",
    "hexagon": "M-.75,0L-.37,-.65H.37L.75,0L.37,.65H-.37Z",
    "up": "M0,-.75L.7,.5H-.7Z",
    "down": "M-.7,-.5H.7L0,.75Z",
    "right": "M-.5,-.7L.75,0L-.5,.7Z",
    "left": "M.5,-.7V.7L-.75,0Z",
    "star": "M0,-.85L.21,-.28L.81,-.26L.33,.11L.5,.69L0,.35L-.5,.69L-.33,.11L-.81,-.26L-.21,-.28Z",
    "plus": "M-.22,-.7H.22V-.22H.7V.22H.22V.7H-.22V.22H-.7V-.22H-.22Z",
    "cross": "M-.67,-.36L-.36,-.67L0,-.31L.36,-.67L.67,-.36L.31,0L.67,.36L.36,.67L0,.31L-.36,.67L-.67,.36L-.31,0Z",
    "bar": "M-.75,-.28H.75V.28H-.75Z",
    "post": "M-.28,-.75H.28V.75H-.28Z",
    "pentagon": "M0,-.72L.7,-.2L.43,.6H-.43L-.7,-.2Z",
    "bow": "M-.7,-.6L0,-.15L.7,-.6V.6L0,.15L-.7,.6Z",
    "glass": "M-.6,-.7H.6L.15,0L.6,.7H-.6L-.15,0Z",
    "heart": "M0,.75L-.7,-.05V-.5H-.2L0,-.3L.2,-.5H.7V-.05Z",
    "drop": "M0,-.85L.55,.1L.3,.6H-.3L-.55,.1Z",
    "house": "M0,-.8L.65,-.15V.65H-.65V-.15Z",
    "arrow": "M-.7,-.25H.05V-.7L.75,0L.05,.7V.25H-.7Z",
    "stairs": "M-.65,.65V.2H-.2V-.2H.2V-.65H.65V.65Z",
    "gate": "M-.65,.65V-.65H.65V.65H.25V-.2H-.25V.65Z",
    "bowl": "M-.65,-.65H-.25V.2H.25V-.65H.65V.65H-.65Z",
    "kite": "M0,-.85L.5,-.2L0,.85L-.5,-.2Z",
    "stool": "M-.7,-.6H.7V-.2H.5V.65H.2V-.2H-.2V.65H-.5V-.2H-.7Z",
    "flag": "M-.55,-.75H.65L.3,-.3L.65,.15H-.15V.75H-.55Z",
}
#: Other packages' kernels have one of these and any of the marks, by a hash of their names.
_OTHERS = (("#007d86", "#2fc4cf"), ("#b23a75", "#f58bbd"), ("#77801a", "#c6d04a"), ("#0a6c9c", "#58bdea"))

Spec = dict[str, Any]
Names = Mapping[str, str]
Row = dict[str, Any]

#: Where single calls stand on the logarithmic axis of batch sizes.
SINGLE_X = 0.3
_UNITS = (("1e-6", "1e9", "ns"), ("1e-3", "1e6", "µs"), ("1", "1e3", "ms"))
_IN_UNIT = "datum.value < {} ? format(datum.value * {}, '~g') + ' {}'"
#: Expressions of Vega for the labels of an axis.
TIME_LABEL = " : ".join([*(_IN_UNIT.format(*unit) for unit in _UNITS), "format(datum.value, '~g') + ' s'"])
RATIO_LABEL = "format(datum.value, '~g') + 'x'"
COUNT_LABEL = "format(datum.value, ',')"
#: The page's own: Vega measures texts before the page draws them.
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
#: An axis of names has neither ticks nor line, and a title only where one is set.
NAME_AXIS: Spec = {"title": None, "ticks": False, "domain": False}


def look(name: str) -> tuple[str, str]:
    """Return the CSS colour of a kernel and the SVG path of its mark, which depend on its name alone."""
    if name in COLOURS:
        return f"var(--kernel-{name})", _SHAPES[COLOURS[name][2]]
    number = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    return f"var(--other-{number % len(_OTHERS)})", list(_SHAPES.values())[number // len(_OTHERS) % len(_SHAPES)]


def colours() -> dict[str, tuple[str, str]]:
    """Return the colour of each variable on a light and on a dark page."""
    kernels = {f"kernel-{name}": (light, dark) for name, (light, dark, _) in COLOURS.items()}
    return {**_COLOURS, **kernels, **{f"other-{number}": pair for number, pair in enumerate(_OTHERS)}}


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
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), (1, 1.05, 1.1, 1.2, 1.5, 2, 3, 4, 5, 7, 9, 9.5)):
        # Through text, because 5 * 10.0**-6 is 4.9999999999999996e-06 and labels would say so.
        ladder = (float(f"{step}e{decade}") for decade in decades for step in steps)
        ticks = [tick for tick in ladder if low <= tick <= high]
        if len(ticks) >= 4:
            break
    return ticks


def value_axis(rows: Sequence[Row], title: str, label: str) -> Spec:
    """Return a logarithmic axis of the rows' values, and of their intervals as far as those do not flatten the rest."""
    # The interval of two wildly different repeats spans decades: it is cut off.
    values = [row["value"] for row in rows] or [1.0, 10.0]
    ends = [row[end] for row in rows for end in ("low", "high") if row.get(end) is not None]
    held = [min(max(end, min(values) / 2), 2 * max(values)) for end in ends]
    return log_axis("value", title, [*values, *held], label, margins=(1.15, 1.15))


def colour(names: Names, part: int = 0) -> Spec:
    """Return the colours of the page's kernels as a channel, or the other ``part`` of `look`."""
    scale = {"domain": list(names.values()), "range": [look(name)[part] for name in names]}
    return field("named", "nominal", scale=scale, title=None)


def shape(names: Names) -> Spec:
    """Return the marks of the page's kernels as a channel."""
    return colour(names, part=1)


def telling(titles: Mapping[str, str]) -> Spec:
    """Return the channels that tell a mark's row to who points at it, and to a screen reader: titles by field."""
    titles = {"named" if name == "kernel" else name: title for name, title in titles.items()}
    description = " + ', ' + ".join(f"'{title}: ' + datum['{name}']" for name, title in titles.items())
    tips = [field(name, "nominal", title=title) for name, title in titles.items()]
    return {"tooltip": tips, "description": {"value": {"expr": description}}}


def against_batch_size(rows: Sequence[Row], y: Spec, names: Names) -> tuple[Spec, Spec]:
    """Return the channels of lines of rows that `dodged` places, a line for each kernel, and of symbols on them.

    The axis of batch sizes is logarithmic, with a place for single calls.
    """
    sizes = sorted({row["x"] for row in rows if row["x"] != SINGLE_X}) or [1, 10]
    ticks = [size for size in sizes if math.log10(size).is_integer()] or sizes
    singles = [SINGLE_X] if any(row["x"] == SINGLE_X for row in rows) else []
    scale = {"type": "log", "domain": [[*singles, *sizes][0] / 1.35, sizes[-1] * 1.35], "nice": False}
    label = f"datum.value < 1 ? ['one at', 'a time'] : {COUNT_LABEL}"
    shown = {"labelExpr": label, **dict.fromkeys(("labelOverlap", "labelFlush", "grid"), False)}
    x = field("px", title="batch size (rows per call)", scale=scale, axis={"values": [*singles, *ticks], **shown})
    lines = {"x": x, "y": y, "color": colour(names)}
    return lines, lines | {"shape": shape(names)}


def dodged(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with a place ``px`` on the axis of batch sizes beside ``x``: whiskers would cover each other.

    Kernels stand apart by a factor of 1.045, and all of them by 1.4 at the most.
    """
    names = list(dict.fromkeys(row["kernel"] for row in rows))
    step = min(1.045, 1.4 ** (1 / len(names))) if names else 1.0
    factors = {name: step ** (place - (len(names) - 1) / 2) for place, name in enumerate(names)}
    return [row | {"px": float(f"{row['x'] * factors[row['kernel']]:.6g}")} for row in rows]


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


def whiskers(channels: Spec, where: str = "true", along: str = "y") -> Spec:
    """Return lines over the intervals of values, ``along`` the axis that these are on."""
    ends = channels | {along: field("low"), f"{along}2": {"field": "high"}}
    where = f"datum.low != null && {where}"
    return layer("rule", ends, where, strokeWidth=1.5, clip=True, opacity=0.75, aria=False)


def rule_at_one(along: str = "y") -> Spec:
    """Return the dashed line at which a ratio is 1."""
    rule = layer("rule", {along: field("value")}, strokeDash=[4, 4], strokeWidth=1.5, color=MUTED)
    return {"data": {"values": [{"value": 1}]}, **rule}


def drawn(
    layers: Sequence[Spec], panels: Mapping[str, Sequence[Row]], names: Names, what: str, height: int
) -> dict[str, Spec]:
    """Return the layers as a chart for each title and its rows, which fills its place and follows the page's legend."""
    muted = dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor"), MUTED)
    title = {"titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 10}
    # The page has its own legend, one for all charts, that a keyboard can reach, and says whom it hides.
    frame = {
        "data": {"name": "rows"},
        "transform": [{"filter": "indexof(hidden_kernels, datum.kernel) < 0"}],
        "params": [{"name": "hidden_kernels", "value": []}],
        "layer": list(layers),
        "width": "container",
        "height": height,
        "background": "transparent",
        "description": what,
        "config": {
            "font": FONT,
            "axis": {"gridColor": GRID, "labelFontSize": 12, **muted, **title},
            "legend": {"disable": True},
            "view": {"stroke": None},
        },
    }
    named = {title: [row | {"named": names[row["kernel"]]} for row in rows] for title, rows in panels.items()}
    return {title: {**frame, "datasets": {"rows": rows}} for title, rows in named.items()}
