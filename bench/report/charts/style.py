"""Colours and marks of the charts: a kernel has the same in every report, told apart by mark as well as by colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from mlpbench.kernels.looks import LOOKS

#: M. Okabe and K. Ito, "Color Universal Design" (2008), for causes and parts. Strongest on white first.
_OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
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
#: Other packages' kernels have teal, rose or olive, by a hash of their names, and any of the marks.
_OTHERS = (("#007d86", "#2fc4cf"), ("#b23a75", "#f58bbd"), ("#77801a", "#c6d04a"), ("#0a6c9c", "#58bdea"))


@dataclass(frozen=True)
class Theme:
    """What a chart is drawn with: any CSS colours. ``kernels``: which of `Look.colours` is its, None for the page's."""

    ink: str
    muted: str
    grid: str
    surface: str
    shade: str
    series: tuple[str, ...]
    kernels: int | None = None


LIGHT = Theme("#1b1f24", "#59626d", "#e3e6ea", "#ffffff", "#cfd4da", (*_OKABE_ITO, "#1b1f24", "#a89200"), 0)
DARK = Theme(
    "#e8eaed", "#a3acb7", "#31363d", "#16191d", "#4a515a", ("#3b97d3", *_OKABE_ITO[1:], "#e8eaed", "#f0e442"), 1
)
#: Colours that the page's stylesheet decides, so that a drawn chart follows light and dark without being drawn again.
_SERIES = tuple(f"var(--series-{i})" for i in range(len(LIGHT.series)))
PAGE = Theme("var(--ink)", "var(--muted)", "var(--grid)", "var(--surface)", "var(--shade)", _SERIES)


@dataclass(frozen=True)
class Series:
    """How one kernel is drawn."""

    name: str
    colour: str
    shape: str


def series(names: Sequence[str], theme: Theme) -> list[Series]:
    """Return the style of each kernel, which depends on its name alone."""
    looks = ((name, *_look(name)) for name in names)
    return [
        Series(name, f"var(--{key})" if theme.kernels is None else colours[theme.kernels], shape)
        for name, key, colours, shape in looks
    ]


def _look(name: str) -> tuple[str, tuple[str, str], str]:
    """Return the name of a kernel's colour in the stylesheet, the colour in both themes, and the path of its mark."""
    if (look := LOOKS.get(name)) is not None:
        light, dark, mark = look
        return f"kernel-{name}", (light, dark), _SHAPES[mark]
    number = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    other, mark = number % len(_OTHERS), list(_SHAPES)[number // len(_OTHERS) % len(_SHAPES)]
    return f"other-{other}", _OTHERS[other], _SHAPES[mark]


def stylesheet(theme: Theme) -> str:
    """Return a theme of real colours as CSS declarations of the variables that `PAGE` uses."""
    which = theme.kernels or 0
    named = {name: getattr(theme, name) for name in ("ink", "muted", "grid", "surface", "shade")}
    named |= {f"series-{i}": colour for i, colour in enumerate(theme.series)}
    named |= {f"kernel-{name}": look[which] for name, look in LOOKS.items()}
    named |= {f"other-{i}": colours[which] for i, colours in enumerate(_OTHERS)}
    return " ".join(f"--{name}: {colour};" for name, colour in named.items())
