"""The HTML page as text: its charts' numbers, its policy, what it needs. `test_report_browser` looks at it drawn."""

import json
import sys

import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs as record
from mlpbench.bench.report import render
from mlpbench.bench.report.formats import html
from support import simulate

TIMES = {
    ("numpy", "per_sample", 100): 18e-6,
    ("numpy", "batched", 1): 18e-6,
    ("numpy", "batched", 100): 2e-6,
    ("numba", "per_sample", 100): 6e-6,
    ("numba", "batched", 100): 1e-6,
}


def write(folder, times=TIMES, **settings):
    return record.read_run(simulate.write_run(folder, times, **settings))


def page_of(*runs):
    return render.render(runs, "html")


def specification(page, name):
    return json.loads(page.split(f'id="spec-{name}">')[1].split("</script>")[0])


def chart_rows(page, name):
    chart = specification(page, name)
    return chart["datasets"][chart["data"]["name"]]


def test_the_charts_hold_the_known_values(tmp_path):
    page = page_of(write(tmp_path, noise=0))
    gains = {(row["kernel"], row["x"]): row["value"] for row in chart_rows(page, "speedup")}
    assert gains[("numpy", 100)] == pytest.approx(9)
    times = {(row["kernel"], row["mode"], row["x"]): row["value"] for row in chart_rows(page, "time")}
    assert times[("numpy", "batched", 100)] == pytest.approx(2e-6)
    assert times[("numpy", "per_sample", 0.3)] == pytest.approx(18e-6)


def test_without_an_interval_there_is_no_band(tmp_path):
    page = page_of(write(tmp_path, repeats=1))
    assert "no band is drawn" in page
    assert {row["low"] for row in chart_rows(page, "time")} == {None}


def test_an_astronomic_interval_does_not_flatten_the_chart(tmp_path):
    """Two repeats, one of them 50 times slower: the band is cut off, the values keep their place."""
    path = simulate.write_run(tmp_path, TIMES, noise=0, repeats=2)
    file = path / "numpy.0.json"
    changed = json.loads(file.read_text())
    for benchmark in changed["benchmarks"]:
        benchmark["stats"]["data"] = [50 * second for second in benchmark["stats"]["data"]]
    file.write_text(json.dumps(changed))
    page = page_of(record.read_run(path))
    values = [row["value"] for row in chart_rows(page, "time")]
    axes = [layer["encoding"]["y"] for layer in specification(page, "time")["layer"]]
    low, high = next(y["scale"]["domain"] for y in axes if "scale" in y)
    assert min(values) / 4 < low < min(values)
    assert max(values) < high < max(values) * 4
    assert max(row["high"] for row in chart_rows(page, "time")) > 1000 * high


def test_a_kernel_looks_the_same_in_both_charts_whatever_is_missing(tmp_path):
    """Without its single calls a kernel has no speedup; the others must not move up to its colour."""
    page = page_of(
        write(tmp_path, {case: time for case, time in TIMES.items() if case != ("numba", "per_sample", 100)})
    )
    scales = [
        [
            layer["encoding"]["color"]["scale"]
            for layer in specification(page, name)["layer"]
            if "color" in layer["encoding"]
        ]
        for name in ("time", "speedup")
    ]
    assert scales[0][0] == scales[1][0]
    assert len(scales[0][0]["domain"]) == 2


def test_charts_of_many_lines_begin_with_the_first_run(tmp_path):
    few = {case: time for case, time in TIMES.items() if case[1] == "batched"}
    many = {(f"k{n}", "batched", size): 1e-6 for n in range(7) for size in (1, 100)}
    for times, hides in ((few, False), (many, True)):
        runs = [write(tmp_path / str(hides), times, seed=seed) for seed in (1, 2, 3)]
        page = page_of(*runs)
        off = [run.id for run in runs[1:]] if hides else []
        params = {param["name"]: param["value"] for param in specification(page, "time")["params"]}
        assert params["hidden_runs"] == off
        assert page.count('aria-pressed="false" data-name') == len(off)
        assert ("only the first run is drawn" in page) is hides


def test_the_page_has_one_bundle_and_a_policy_without_network(tmp_path):
    page = page_of(write(tmp_path))
    assert page.count("<script>") == 2  # Vega and ours, for both charts
    policy = page.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src &#39;none&#39;")
    for hole in ("unsafe-inline", "unsafe-eval", "http", "*"):
        assert hole not in policy
    head = page.split("<script>")[0]
    assert "http" not in head.replace("http-equiv", "")


@pytest.mark.parametrize("library", ["altair", "vl_convert"])
def test_without_the_charts_libraries_one_line_says_what_to_install(tmp_path, monkeypatch, library):
    html._bundle.cache_clear()
    monkeypatch.delitem(sys.modules, "mlpbench.bench.report.charts.times", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    run = write(tmp_path)
    needs = r"^charts need Altair and vl-convert: pip install 'mlpbench\[report\]'"
    with pytest.raises(UserError, match=needs) as error:
        render.render([run], "html")
    assert "\n" not in str(error.value)
    assert render.render([run], "md")


def test_a_picture_for_a_page_without_javascript(tmp_path):
    from mlpbench.bench.analysis.summary import summarize
    from mlpbench.bench.report.charts import style
    from mlpbench.bench.report.charts import times as plots

    cases = summarize(frame.runs(write(tmp_path)))
    for name in ("time", "speedup"):
        picture = plots.picture(cases, name, style.DARK)
        assert picture.startswith("<svg")
        assert "var(" not in picture
        assert style.DARK.surface in picture
        for kernel in ("numpy", "numba"):
            assert f">{kernel}</text>" in picture  # in the legend
