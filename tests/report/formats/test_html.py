"""The HTML page as text: its charts' numbers, its policy, what it needs. `test_browser` looks at it drawn."""

import json
import re
import sys

import altair as alt
import pytest

from mlpbench.bench.report import charts, render
from mlpbench.bench.report.formats import html
from support.terminal import refusal


def specification(page, name):
    return json.loads(page.split(f'id="spec-{name}">')[1].split("</script>")[0])


def chart_rows(page, name):
    return [row for row in specification(page, name)["datasets"]["rows"] if "kind" not in row]


def test_the_charts_hold_the_known_values_and_without_intervals_no_whiskers(reports):
    page = reports.text("exact", "html")
    for chart, x, value in (("speedup", 100, 9), ("time", 100, 2e-6), ("time", 0.3, 18e-6)):
        known = {(row["kernel"], row["x"]): row["value"] for row in chart_rows(page, chart)}
        assert known["numpy", x] == pytest.approx(value)
    page = reports.text("single", "html")
    assert "no whisker is drawn" in page
    assert {row["low"] for row in chart_rows(page, "time")} == {None}


def test_an_astronomic_interval_does_not_flatten_the_chart():
    """The whiskers are cut off, and the values keep their place."""
    rows = [{"value": 1e-6, "low": 1e-12, "high": 1.0}, {"value": 2e-6, "low": None, "high": None}]
    low, high = charts.value_axis(rows, "", "")["scale"]["domain"]
    assert 1e-6 / 4 < low < 1e-6 < 2e-6 < high < 2e-6 * 5


def test_settings_of_a_sweep_are_panels_on_the_same_axes(reports):
    page = reports.text("sweep", "html")
    assert page.count('<div class="panels">') == 3, "times, speedups and the fastest of three settings"
    panels = [specification(page, f"time_{number}") for number in range(3)]
    axes = [layer["encoding"].get("y", {}) for panel in panels for layer in panel["layer"]]
    assert len({tuple(axis["scale"]["domain"]) for axis in axes if "scale" in axis}) == 1
    for number, run in enumerate(reports.document("sweep").runs):
        assert f'id="title-time_{number}"> {run.name}</h4>' in page


def test_the_page_has_one_bundle_and_a_policy_without_network(reports):
    page = reports.text("exact", "html")
    assert page.count("<script>") == 2  # Vega and ours, for both charts
    policy = page.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src &#39;none&#39;")
    for hole in ("unsafe-inline", "unsafe-eval", "http", "*"):
        assert hole not in policy
    assert "http" not in page.split("<script>")[0].replace("http-equiv", "")


@pytest.mark.parametrize("name", ["exact", "levels", "book"])
def test_charts_hold_to_the_schema_of_vega_lite(reports, name):
    """One of each kind: the reports are made without that check, which takes longer than all the rest."""
    page = reports.text(name, "html")
    kinds = {re.split("[-_]", panel)[0]: panel for panel in re.findall(r'id="spec-([^"]+)"', page)}
    for figure in kinds.values():
        alt.LayerChart.from_dict(specification(page, figure), validate=True)


@pytest.mark.parametrize("library", ["jinja2", "vl_convert"])
def test_without_the_pages_libraries_one_line_says_what_to_install(reports, monkeypatch, library):
    html._bundle.cache_clear()
    monkeypatch.setitem(sys.modules, library, None)
    said = refusal(render.write, reports.document("exact"), "html")
    assert said.startswith("the page needs Jinja2 and vl-convert: pip install -e '.[report]'")
    assert render.write(reports.document("exact"), "md")
