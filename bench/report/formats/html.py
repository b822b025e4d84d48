"""HTML: one file that works offline, with the charts' JavaScript inside it and nothing to fetch.

The page's Content-Security-Policy allows the scripts and the style that stand in it, by their hashes, and nothing else:
no network, no evaluation of text (Vega runs with its interpreter), and no script that a result file could bring along.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from mlpbench.bench import words
from mlpbench.bench.errors import UserError
from mlpbench.bench.report import parts
from mlpbench.bench.report.charts import style
from mlpbench.bench.report.document import Document

if TYPE_CHECKING:
    from mlpbench.bench.report.charts.base import Panel

_UNITS = "ns|µs|ms|s|to|B|KiB|MiB|GiB|GFLOP/s|GB/s|threads?|repeats?|rows"
#: So many kernels have a card at first: two rows of them.
_MOST_CARDS = 8
NEEDS = "charts need Altair and vl-convert: pip install -e '.[report]'"


def render(document: Document) -> str:
    """Return the report as one HTML page. Raises UserError where the charts' libraries are not installed."""
    try:
        import jinja2

        kernels = _kernels(document)
        drawn = _drawn(document, kernels)
        bundle = _bundle()
    except ImportError as missing:
        raise UserError(f"{NEEDS} ({missing.name or missing})") from None
    css, scripts = _style(), [bundle, _file("page.js")]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(kind=lambda block: type(block).__name__, ratio=words.ratio, unbroken=_unbroken)
    environment.filters.update(time=words.time, sentences=_sentences)
    return environment.from_string(_file("page.html.j2")).render(
        document=document,
        css=css,
        scripts=scripts,
        drawn=drawn,
        legend=kernels if len(kernels) > 1 and drawn else [],
        swatches={item.name: item for item in kernels},
        names={case.kernel: case.name for case in document.cases},
        most_cards=_MOST_CARDS,
        policy=_policy(scripts, css),
    )


@dataclass(frozen=True)
class _Drawn:
    """A figure: titles of its panels and their charts as JSON, the kernels of its key, and the class of its place."""

    panels: tuple[tuple[str, str], ...]
    key: list[style.Series]
    columns: str


def _drawn(document: Document, kernels: list[style.Series]) -> dict[str, _Drawn]:
    """Return every figure by its name. Raises ImportError without Altair."""
    charts = parts.charts()
    from mlpbench.bench.report.charts import base

    names = [item.name for item in kernels]
    unchecked = sorted({case.kernel for case in document.cases if case.unchecked})
    drawn = {}
    with base.unvalidated():
        for figure in document.figures():
            made = charts[figure.kind](figure.data, names)
            panels = made if isinstance(made, list) else [base.Panel("", made)]
            for panel in panels:
                base.mark(panel.chart, unchecked)
            texts = tuple((panel.title, _embedded(panel.chart)) for panel in panels)
            columns = figure.columns or (2 if len(panels) in (2, 4) else 3)
            drawn[figure.name] = _Drawn(texts, _key(panels, kernels), f"columns-{columns}")
    return drawn


def _sentences(text: str) -> list[str]:
    """Return the sentences of a lead, which are set apart."""
    return re.split(r"(?<=[.]) (?=[A-Z])", text)


def _unbroken(text: str) -> str:
    """Return a sentence whose numbers stay on one line with their units and intervals."""
    return re.sub(rf"(?<=[\dx]) (?=(?:{_UNITS})\b|[(%])|(?<=\bto) (?=-?\d)", "\xa0", text)


def _kernels(document: Document) -> list[style.Series]:
    return style.series(list(dict.fromkeys(case.kernel for case in document.cases)), style.PAGE)


def _key(panels: list[Panel], kernels: list[style.Series]) -> list[style.Series]:
    """Return the kernels that a figure tells apart by its symbols, where there are several."""
    charts = [panel.chart for panel in panels]
    if not any("shape" in layer.get("encoding", {}) for chart in charts for layer in chart.get("layer", [])):
        return []
    there = {row.get("kernel") for chart in charts for rows in chart.get("datasets", {}).values() for row in rows}
    found = [item for item in kernels if item.name in there]
    return found if len(found) > 1 else []


def _file(name: str) -> str:
    return resources.files("mlpbench.bench.report.formats").joinpath("page", name).read_text(encoding="utf-8")


def _style() -> str:
    """Return the page's style: its rules, with the colours of both themes. Paper is always light."""
    light, dark = style.stylesheet(style.LIGHT), style.stylesheet(style.DARK)
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n{_file('page.css')}"
    )


@cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    from mlpbench.bench.report.charts.times import vega_lite_version

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=vega_lite_version())
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _embedded(specification: dict[str, Any]) -> str:
    """Return JSON that can stand in a script element, whatever its texts say."""
    text = json.dumps(specification, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: list[str], css: str) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, *scripts))
    style_hash, *script_hashes = (f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; img-src data:; script-src {' '.join(script_hashes)}; style-src {style_hash}; "
        "base-uri 'none'; form-action 'none'"
    )
