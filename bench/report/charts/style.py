"""Colours, point shapes and dashes of the charts: told apart by shape as well as by colour, in light and in dark."""

from collections.abc import Sequence
from dataclasses import dataclass

#: M. Okabe and K. Ito, "Color Universal Design" (2008), strongest on white first. Black gives way to the ink of the
#: page, and yellow, which white swallows, is darkened there.
_OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
#: SVG paths in a square from -1 to 1, as Vega takes them for its symbols and the page for its legend.
_SHAPES = (
    "M-.55,-.55H.55V.55H-.55Z",
    "M0,-.75L.7,.5H-.7Z",
    "M.62,0A.62,.62,0,1,1,-.62,0A.62,.62,0,1,1,.62,0Z",
    "M0,-.8L.8,0L0,.8L-.8,0Z",
    "M-.7,-.5H.7L0,.75Z",
    "M-.22,-.7H.22V-.22H.7V.22H.22V.7H-.22V.22H-.7V-.22H-.22Z",
    "M-.75,0L-.37,-.65H.37L.75,0L.37,.65H-.37Z",
)
_DASHES = ((1, 0), (6, 3), (2, 2), (9, 3, 2, 3), (12, 4))


@dataclass(frozen=True)
class Theme:
    """What a chart is drawn with: any CSS colours."""

    ink: str
    muted: str
    grid: str
    surface: str
    shade: str
    series: tuple[str, ...]


LIGHT = Theme("#1b1f24", "#59626d", "#e3e6ea", "#ffffff", "#cfd4da", (*_OKABE_ITO, "#1b1f24", "#a89200"))
DARK = Theme("#e8eaed", "#a3acb7", "#31363d", "#16191d", "#4a515a", ("#3b97d3", *_OKABE_ITO[1:], "#e8eaed", "#f0e442"))
#: Colours that the page's stylesheet decides, so that a drawn chart follows light and dark without being drawn again.
_SERIES = tuple(f"var(--series-{i})" for i in range(len(LIGHT.series)))
PAGE = Theme("var(--ink)", "var(--muted)", "var(--grid)", "var(--surface)", "var(--shade)", _SERIES)


@dataclass(frozen=True)
class Series:
    """How one kernel or one run is drawn."""

    name: str
    colour: str
    shape: str
    dash: tuple[int, ...]


def series(names: Sequence[str], theme: Theme) -> list[Series]:
    """Return a style for each name. Eight have a colour of their own; the shapes, seven, keep a second round apart."""
    return [
        Series(name, theme.series[i % len(theme.series)], _SHAPES[i % len(_SHAPES)], _DASHES[i % len(_DASHES)])
        for i, name in enumerate(names)
    ]


def stylesheet(theme: Theme) -> str:
    """Return a theme as CSS declarations of the variables that `PAGE` uses."""
    named = {name: getattr(theme, name) for name in ("ink", "muted", "grid", "surface", "shade")}
    named |= {f"series-{i}": colour for i, colour in enumerate(theme.series)}
    return " ".join(f"--{name}: {colour};" for name, colour in named.items())
