"""The HTML page as text: its charts' numbers, its policy, what it needs. `test_browser` looks at it drawn."""

import json
import re
import sys
from types import SimpleNamespace

import altair as alt
import pytest
import update_readme

from mlpbench.bench.analysis.summary import CaseSummary, summarize
from mlpbench.bench.cases import make_settings
from mlpbench.bench.errors import UserError
from mlpbench.bench.report import render
from mlpbench.bench.report.charts import style, times
from mlpbench.bench.report.formats import html
from mlpbench.bench.report.sections.times import panels
from mlpbench.bench.stats.estimates import Estimate
from support import simulate
from support.reports import EXACT

NAMES = {"numpy": "numpy", "numba": "numba"}


def specification(page, name):
    return json.loads(page.split(f'id="spec-{name}">')[1].split("</script>")[0])


def chart_rows(page, name):
    return specification(page, name)["datasets"]["rows"]


def test_the_charts_hold_the_known_values(reports):
    page = reports.text("exact", "html")
    gains = {(row["kernel"], row["x"]): row["value"] for row in chart_rows(page, "speedup") if row["kind"] == "case"}
    assert gains["numpy", 100] == pytest.approx(9)
    cases = [row for row in chart_rows(page, "time") if row["kind"] == "case"]
    known = {(row["kernel"], row["mode"], row["x"]): row["value"] for row in cases}
    assert known["numpy", "batched", 100] == pytest.approx(2e-6)
    assert known["numpy", "per_sample", 0.3] == pytest.approx(18e-6)


def test_without_an_interval_there_is_no_whisker(reports):
    page = reports.text("single", "html")
    assert "no whisker is drawn" in page
    assert {row["low"] for row in chart_rows(page, "time")} == {None}


def test_an_astronomic_interval_does_not_flatten_the_chart(tmp_path):
    """Two repeats, one of them 50 times slower: the band is cut off, the values keep their place."""
    path = simulate.write_run(tmp_path, EXACT, noise=0, repeats=2)
    with simulate.edited(path / "numpy.0.json") as changed:
        for benchmark in changed["benchmarks"]:
            benchmark["stats"]["data"] = [50 * second for second in benchmark["stats"]["data"]]
    cases = summarize([simulate.read(path)])
    (chart,) = times.time_charts({"": cases}, NAMES).values()
    rows = [row for row in chart["datasets"]["rows"] if row["kind"] == "case"]
    values = [row["value"] for row in rows]
    axes = [layer["encoding"]["y"] for layer in chart["layer"]]
    low, high = next(y["scale"]["domain"] for y in axes if "scale" in y)
    assert min(values) / 4 < low < min(values)
    assert max(values) < high < max(values) * 4
    assert max(row["high"] for row in rows) > 1000 * high


def test_a_kernel_looks_the_same_in_both_charts_whatever_is_missing(tmp_path):
    """Without its single calls a kernel has no speedup; the others must not move up to its colour."""
    told = {case: time for case, time in EXACT.items() if case != ("numpy", "per_sample", 100)}
    cases = summarize([simulate.read(simulate.write_run(tmp_path, told))])
    scales = []
    for charts in (times.time_charts, times.speedup_charts):
        (chart,) = charts({"": cases}, NAMES).values()
        encodings = [layer["encoding"] for layer in chart["layer"]]
        scales.append(next(encoding["color"]["scale"] for encoding in encodings if "color" in encoding))
    assert scales[0] == scales[1]
    assert scales[0]["domain"] == ["numpy", "numba"]


def test_settings_of_a_sweep_are_panels_on_the_same_axes(reports):
    page = reports.text("sweep", "html")
    assert page.count('<div class="panels columns-3">') == 1, "times of three settings"
    panels = [specification(page, f"time_{number}") for number in range(3)]
    domains = [
        layer["encoding"]["y"]["scale"]["domain"]
        for panel in panels
        for layer in panel["layer"]
        if "y" in layer["encoding"] and "scale" in layer["encoding"]["y"]
    ]
    assert len(domains) > 3
    assert all(domain == domains[0] for domain in domains)
    for number, run in enumerate(reports.document("sweep").runs):
        assert f'id="title-time_{number}"> {run.name}</h4>' in page


def test_threads_are_columns_and_all_else_rows():
    def case(run):
        return CaseSummary(run, "box", "numpy", "batched", 1, {}, (), Estimate(1, 1, 1, 1))

    settings = make_settings(["784-50-100-10"], [1, 2], ["float32", "float64"])
    runs = [SimpleNamespace(name=one.words, setting=one) for one in settings]
    drawn, columns = panels(runs, [case(run.name) for run in runs])
    assert columns == 2
    assert [*drawn] == ["1 thread, float32", "2 threads, float32", "1 thread, float64", "2 threads, float64"]
    assert panels(runs[:3], [case(run.name) for run in runs[:3]])[1] is None, "no full grid"
    assert [*panels(runs, [case("another machine/1 thread")])[0]] == ["another machine/1 thread"]


def test_the_page_has_one_bundle_and_a_policy_without_network(reports):
    page = reports.text("exact", "html")
    assert page.count("<script>") == 2  # Vega and ours, for both charts
    policy = page.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src &#39;none&#39;")
    for hole in ("unsafe-inline", "unsafe-eval", "http", "*"):
        assert hole not in policy
    head = page.split("<script>")[0]
    assert "http" not in head.replace("http-equiv", "")


@pytest.mark.parametrize("name", ["exact", "levels", "book"])
def test_charts_hold_to_the_schema_of_vega_lite(reports, name):
    """One of each kind: the reports are made without that check, which takes longer than all the rest."""
    page = reports.text(name, "html")
    panels = re.findall(r'id="spec-([^"]+)"', page)
    kinds = {re.split("[-_]", panel)[0]: panel for panel in panels}
    for figure in kinds.values():
        alt.LayerChart.from_dict(specification(page, figure), validate=True)


@pytest.mark.parametrize("library", ["jinja2", "vl_convert"])
def test_without_the_pages_libraries_one_line_says_what_to_install(reports, monkeypatch, library):
    html._bundle.cache_clear()
    monkeypatch.setitem(sys.modules, library, None)
    needs = r"^the page needs Jinja2 and vl-convert: pip install -e '\.\[report\]'"
    with pytest.raises(UserError, match=needs) as error:
        render.write(reports.document("exact"), "html")
    assert "\n" not in str(error.value)
    assert render.write(reports.document("exact"), "md")


def test_a_picture_for_a_page_without_javascript(reports):
    cases = reports.document("exact").cases
    for name in ("time", "speedup"):
        picture = update_readme.picture(cases, name, "dark")
        assert picture.startswith("<svg")
        assert "var(" not in picture
        assert style.colours("dark")["surface"] in picture
        for kernel in ("numpy", "numba"):
            assert f">{kernel}</text>" in picture  # in the legend
