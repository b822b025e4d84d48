"""HTML: one file that works offline, with the charts' JavaScript inside it and nothing to fetch.

The page's Content-Security-Policy allows the scripts and the style that stand in it, by their hashes, and nothing else:
no network, no evaluation of text (Vega runs with its interpreter), and no script that a result file could bring along.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.errors import UserError
from mlpbench.bench.report import charts
from mlpbench.bench.report.document import Document, Figure
from mlpbench.bench.report.formats import markdown

_UNITS = "ns|µs|ms|s|to|B|KiB|MiB|GiB|GFLOP/s|GB/s|threads?|repeats?|rows"


def render(document: Document) -> str:
    """Return the report as one HTML page. Raises UserError where Jinja2 or vl-convert is not installed."""
    try:
        import jinja2

        scripts = [_bundle(), _file("page.js")]
    except ImportError as missing:
        needs = "the page needs Jinja2 and vl-convert: pip install -e '.[report]'"
        raise UserError(f"{needs} ({missing.name or missing})") from None
    names = {case.kernel: case.name for case in document.cases}
    css = _style()
    drawn = {figure.name: _drawn(figure, names) for figure in document.figures()}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        kind=lambda block: type(block).__name__, unbroken=_unbroken, time=words.time, ratio=words.ratio
    )
    return environment.from_string(_file("page.html.j2")).render(
        document=document,
        lead=re.split(r"(?<=[.]) (?=[A-Z])", document.headline.lead),  # sentences, which are set apart
        css=css,
        scripts=scripts,
        drawn=drawn,
        legend=list(names) if len(names) > 1 and drawn else [],
        looks={name: charts.look(name) for name in names},
        names=names,
        tab=_tab(document),
        glossary=json.loads(_file("glossary.json")),
        policy=_policy(scripts, css),
    )


def _drawn(figure: Figure, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the panels of a figure by title, as JSON, and the kernels that its symbols tell apart, if several."""
    panels = figure.draw(names)
    has_symbols = any("shape" in layer["encoding"] for panel in panels.values() for layer in panel["layer"])
    there = {row.get("kernel") for panel in panels.values() for row in panel["datasets"]["rows"]}
    key = [name for name in names if name in there] if has_symbols else []
    drawn, text = {title: _embedded(panel) for title, panel in panels.items()}, markdown.page("", [figure])
    return {"panels": drawn, "key": key if len(key) > 1 else [], "markdown": text}


def _tab(document: Document) -> str:
    """Return what a tab has room for: ``numpy 23x, 2026-12-02, AMD EPYC 9B45``."""
    chips, kernels = dict(document.chips), document.headline.kernels
    gains = {kernel.name: kernel.speedup.value for kernel in kernels if kernel.speedup}
    most = max(gains, key=gains.__getitem__, default=kernels[0].name if kernels else "no times")
    what = f"{len(document.runs)} runs" if document.several else most
    what += f" {gains[most]:.2g}x" if what in gains else ""
    return ", ".join(filter(None, (what, chips.get("date"), chips.get("processor"))))


def _unbroken(text: str) -> str:
    """Return a sentence whose numbers stay on one line with their units and intervals."""
    return re.sub(rf"(?<=[\dx]) (?=(?:{_UNITS})\b|[(%])|(?<=\bto) (?=-?\d)", "\xa0", text)


def _file(name: str) -> str:
    return resources.files("mlpbench.bench.report.formats").joinpath("page", name).read_text(encoding="utf-8")


def _style() -> str:
    """Return the page's style: its colours, which follow the theme, and its rules."""
    colours = (f"--{name}: light-dark({light}, {dark});" for name, (light, dark) in charts.colours().items())
    return f":root {{ --font: {charts.FONT}; {' '.join(colours)} }}\n{_file('page.css')}"


@cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
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
