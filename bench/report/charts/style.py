"""Colours and marks of the charts: a kernel has the same in every report, told apart by mark as well as by colour."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from mlpbench.kernels.colours import COLOURS

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, Theme] = ("light", "dark")
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
}
#: Other packages' kernels have one of these and any of the marks, by a hash of their names.
_OTHERS = (("#007d86", "#2fc4cf"), ("#b23a75", "#f58bbd"), ("#77801a", "#c6d04a"), ("#0a6c9c", "#58bdea"))


@dataclass(frozen=True)
class Series:
    """How one kernel is drawn: a CSS colour, and the SVG path of its mark."""

    name: str
    colour: str
    shape: str


def series(names: Iterable[str]) -> list[Series]:
    """Return how each kernel is drawn, which depends on its name alone."""
    return [_look(name) for name in names]


def _look(name: str) -> Series:
    if name in COLOURS:
        return Series(name, f"var(--kernel-{name})", _SHAPES[COLOURS[name][2]])
    number = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    mark = list(_SHAPES)[number // len(_OTHERS) % len(_SHAPES)]
    return Series(name, f"var(--other-{number % len(_OTHERS)})", _SHAPES[mark])


def colours(theme: Theme) -> dict[str, str]:
    """Return the colour of each variable in a theme."""
    kernels = {f"kernel-{name}": look[:2] for name, look in COLOURS.items()}
    others = {f"other-{number}": pair for number, pair in enumerate(_OTHERS)}
    return {name: pair[theme == "dark"] for name, pair in {**_COLOURS, **kernels, **others}.items()}


def stylesheet(theme: Theme) -> str:
    """Return the colours of a theme as CSS declarations."""
    return " ".join(f"--{name}: {colour};" for name, colour in colours(theme).items())
