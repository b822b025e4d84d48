"""Charts carry the mark of kernels whose times are unchecked, as tables do."""

import json
import re

import pytest
import vl_convert

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report import render
from mlpbench.bench.report.charts import base, style, times
from support.runs import limits

SKIPS = {"numba-simd-new": {"describe": {"threads": 1, "skips_work": True}}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run in which one of several kernels skips work."""
    return limits.write(tmp_path_factory.mktemp("unchecked"), infos=SKIPS, repeats=3)


def test_every_chart_of_a_page_knows_who_is_unchecked_and_its_legend_says_it(run):
    page = render.write(render.build([run]), "html")
    found = dict(re.findall(r'id="spec-([\w-]+)">(.*?)</script>', page, re.DOTALL))
    assert len(found) > 5
    for name, text in found.items():
        marks = [one["value"] for one in json.loads(text)["params"] if one["name"] == base.UNCHECKED]
        assert marks == [["numba-simd-new"]], name
    assert re.search(r"numba-simd-new †</button>", page)
    assert "numba-simd †" not in page


def test_a_picture_has_the_mark_in_its_legend(run):
    svg = times.picture(summarize([run]), "time", style.LIGHT)
    names = set(re.findall(r">([a-z-]+(?: †)?)</text>", svg))
    assert {"numba-simd-new †", "numba-simd"} <= names
    assert "numba-simd-new" not in names


def test_who_points_at_a_mark_reads_the_marked_name():
    marks = base.alt.Chart().mark_point().encode(**base.telling({"kernel": "kernel"}))
    chart = base.drawn([marks], [], "", 9, style.LIGHT)
    base.mark(chart, ["fast"])
    chart["datasets"][base.ROWS] = [{"kernel": "fast"}, {"kernel": "plain"}]
    svg = vl_convert.vegalite_to_svg(chart, vl_version=times.vega_lite_version())
    assert re.findall(r'aria-label="(kernel: [^"]*)"', svg) == ["kernel: fast †", "kernel: plain"]
