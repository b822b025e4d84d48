"""What kernels look like in charts: readable on both grounds, told apart, and marked where they are unchecked."""

import json
import re
from itertools import combinations

import numpy as np
import pytest
import update_readme
import vl_convert

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report import charts, render
from mlpbench.kernels import registry
from support.colours import contrast
from support.runs import peers

SKIPS = {"numba-simd-new": {"describe": {"threads": 1, "skips_work": True}}}
OURS = [*registry.usual(), "numba-simd-new"]
KNOWN = [*OURS, *registry.peers()]
#: What an eye makes of linear RGB. G. Machado, M. Oliveira and L. Fernandes, "A Physiologically-based Model for
#: Simulation of Color Vision Deficiency", IEEE TVCG 15 (2009), severity 1.
EYES = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}


def rgb(colour):
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def seen(colour, eye):
    """Return a colour as an eye sees it; distances are nearly those that it sees, as light is seen by its cube root."""
    share = np.array(rgb(colour)) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.cbrt(np.clip(np.array(EYES[eye]) @ linear, 0, 1))


def colour(name, theme):
    variable = charts.look(name)[0].removeprefix("var(--").removesuffix(")")
    return charts.colours()[variable][theme == "dark"]


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_stand_out_from_the_page_ours_are_told_apart_by_colour_and_all_by_their_marks(theme, eye):
    for name in [*KNOWN, *(f"other-{number}" for number in range(40))]:
        assert contrast(rgb(colour(name, theme)), rgb(charts.colours()["surface"][theme == "dark"])) > 3, name
    assert len({charts.look(name)[1] for name in KNOWN}) == len(KNOWN)
    assert charts.look("my-kernel")[0] not in {charts.look(name)[0] for name in KNOWN}
    looks = {name: seen(colour(name, theme), eye) for name in OURS}
    for one, other in combinations(OURS, 2):
        assert np.linalg.norm(looks[one] - looks[other]) > (0.15 if eye == "usual" else 0.04), (one, other)


def test_every_chart_of_a_page_knows_who_is_unchecked_and_its_legend_says_it(tmp_path):
    run = peers.write(tmp_path, infos=SKIPS, repeats=3)
    page = render.write(render.build([run]), "html")
    drawn = dict(re.findall(r'id="spec-([\w-]+)">(.*?)</script>', page, re.DOTALL))
    assert len(drawn) >= 4
    for chart, text in drawn.items():
        names = {row["kernel"]: row["named"] for row in json.loads(text)["datasets"]["rows"] if "kernel" in row}
        marked = {kernel for kernel, name in names.items() if name.endswith(" †")}
        assert marked == names.keys() & SKIPS.keys(), chart
    assert re.search(r"numba-simd-new †</button>", page)
    assert "numba-simd †" not in page
    # A picture has the mark in its legend, too, and its own colours.
    svg = update_readme.picture(summarize([run]), "dark")
    names = set(re.findall(r">([a-z-]+(?: †)?)</text>", svg))
    assert {"numba-simd-new †", "numba-simd"} <= names
    assert "numba-simd-new" not in names
    assert (charts.colours()["surface"][1] in svg, "var(" in svg) == (True, False)


def test_who_points_at_a_mark_reads_the_marked_name():
    marks = charts.layer("point", charts.telling({"kernel": "kernel"}))
    names = {"fast": "fast †", "plain": "plain"}
    (chart,) = charts.drawn([marks], {"": [{"kernel": "fast"}, {"kernel": "plain"}]}, names, "", 9).values()
    svg = vl_convert.vegalite_to_svg(chart)
    assert re.findall(r'aria-label="(kernel: [^"]*)"', svg) == ["kernel: fast †", "kernel: plain"]
