"""Charts carry the mark of kernels whose times are unchecked, as tables do."""

import json
import re

import pytest
import update_readme
import vl_convert

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report import render
from mlpbench.bench.report.charts import base, style
from support.runs import peers

SKIPS = {"numba-simd-new": {"describe": {"threads": 1, "skips_work": True}}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run in which one of several kernels skips work."""
    return peers.write(tmp_path_factory.mktemp("unchecked"), infos=SKIPS, repeats=3)


def test_every_chart_of_a_page_knows_who_is_unchecked_and_its_legend_says_it(run):
    page = render.write(render.build([run]), "html")
    charts = dict(re.findall(r'id="spec-([\w-]+)">(.*?)</script>', page, re.DOTALL))
    assert len(charts) >= 4
    for chart, text in charts.items():
        names = {row["kernel"]: row["named"] for row in json.loads(text)["datasets"]["rows"] if "kernel" in row}
        marked = {kernel for kernel, name in names.items() if name.endswith(" †")}
        assert marked == names.keys() & SKIPS.keys(), chart
    assert re.search(r"numba-simd-new †</button>", page)
    assert "numba-simd †" not in page


def test_a_picture_has_the_mark_in_its_legend_and_its_own_colours(run):
    svg = update_readme.picture(summarize([run]), "time", "dark")
    names = set(re.findall(r">([a-z-]+(?: †)?)</text>", svg))
    assert {"numba-simd-new †", "numba-simd"} <= names
    assert "numba-simd-new" not in names
    assert (style.colours("dark")["surface"] in svg, "var(" in svg) == (True, False)


def test_who_points_at_a_mark_reads_the_marked_name():
    marks = base.layer("point", base.telling({"kernel": "kernel"}))
    names = {"fast": "fast †", "plain": "plain"}
    (chart,) = base.drawn([marks], {"": [{"kernel": "fast"}, {"kernel": "plain"}]}, names, "", 9).values()
    svg = vl_convert.vegalite_to_svg(chart)
    assert re.findall(r'aria-label="(kernel: [^"]*)"', svg) == ["kernel: fast †", "kernel: plain"]
