"""Who is fastest where, on runs with known answers."""

import json

import numpy as np
import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report import render
from mlpbench.bench.stats.estimates import Ratio
from mlpbench.bench.wings.heatmap import section as heatmap
from mlpbench.bench.wings.heatmap.section import ONE, Cell, HeatMap, cell_text, heatmap_chart
from support import simulate
from support.colours import contrast, luminance

TIMES = simulate.by_case(
    numpy={"one": 12e-6, 1: 9e-6, 100: 1e-6},
    numba={"one": 3e-6, 1: 3e-6, 100: 2e-6},
    lone={100: 50e-6, 7: 1e-6},
)
EXACT = {"noise": 0, "rounds": 4}


def test_ratios_to_the_fastest_at_each_batch_size_are_paired_by_repeat(tmp_path):
    cases = summarize(frame.runs(simulate.run(tmp_path, TIMES, **EXACT)))
    (found,) = heatmap.find(cases)
    ratios = {key: cell.ratio.value for key, cell in found.cells.items()}
    numpy, numba = ([ratios.pop((kernel, at)) for at in (ONE, 1, 100)] for kernel in ("numpy", "numba"))
    assert (numpy, numba) == (pytest.approx([4, 3, 1]), pytest.approx([1, 1, 2]))
    assert ratios == {("lone", 100): pytest.approx(50)}
    assert {at: found.cells["numpy", at].fastest for at in found.columns} == {ONE: "numba", 1: "numba", 100: "numpy"}
    assert found.columns == (ONE, 1, 100), "at 7 there is one kernel, and nothing to compare"
    # Geometric means: numba 2^(1/3), numpy 12^(1/3); by arithmetic of sums, or by the order of files, it differs.
    assert found.kernels == ("numba", "numpy", "lone")
    simulate.slow_down(cases, 1, 3)
    ratio = heatmap.find(cases)[0].cells["numpy", ONE].ratio
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((4, 4, 4), rel=1e-3)
    alone = simulate.run(tmp_path / "alone", {case: s for case, s in TIMES.items() if case[0] == "numpy"}, **EXACT)
    assert "Who is fastest where" not in render.render([alone], "md")


def test_runs_have_one_table_and_chart_and_numbers_of_their_own(tmp_path):
    runs = [simulate.run(tmp_path, TIMES, seed=seed, **EXACT) for seed in (1, 2)]
    lines = [" ".join(line.split()) for line in render.render(runs, "md").splitlines()]
    assert lines.count("| run | kernel | one at a time | batch 1 | batch 100 |") == 1
    for run in runs:
        for row in ("numba | 1.0x | 1.0x | 2.0x |", "lone | | | 50x |"):
            assert f"| {run.id} | {row}" in lines
    page = render.render(runs, "html")
    for number, run in enumerate(runs):
        assert f'id="title-heatmap_{number}"> {run.id}</h4>' in page
        chart = json.loads(page.split(f'id="spec-heatmap_{number}">')[1].split("</script>")[0])
        names = dict.fromkeys(row["named"] for row in chart["datasets"]["rows"])
        assert list(names) == ["numba", "numpy", "lone"], "the fastest stands first"
    found, other = json.loads(render.render(runs, "json"))["relative"]
    assert [found["run"], other["run"], *found["kernels"]] == [*(run.id for run in runs), "numba", "numpy", "lone"]
    ratios = {(cell["kernel"], cell["batch_size"]): cell["ratio"]["value"] for cell in found["cells"]}
    assert (ratios["numpy", None], ratios["numba", 100]) == pytest.approx((4, 2)), "null is one at a time"


def test_a_cell_has_two_digits_says_where_the_fastest_is_not_told_apart_and_is_never_below_1():
    """Rarely three kernels beat each other in turn, and then the fastest is slower than one of the others."""

    def cell(kernel, value, low, high):
        return cell_text(Cell(kernel, 1, value, "a", Ratio(value, low, high, 3)))

    assert cell("a", 1.0, 1.0, 1.0) == "1.0x"
    assert (cell("b", 9.94, 9.9, 9.98), cell("b", 9.96, 9.9, 9.98)) == ("9.9x", "10x")
    assert cell("b", 1.12, 0.98, 1.3) == "~1.1x"
    assert cell("b", 0.7, 0.65, 0.75) == "~1.0x"
    assert cell("b", 1.12, 1.05, 1.2) == "1.1x"


def test_words_stand_out_from_every_shade_and_shades_grow_darker():
    ratios = np.geomspace(1, 100, 101)
    names = {f"kernel-{number}": f"kernel-{number}" for number in range(len(ratios))}
    ratio_of = {name: Ratio(value, value, value, 3) for name, value in zip(names, ratios, strict=True)}
    cells = {(name, 1): Cell(name, 1, 1e-6, "kernel-0", ratio) for name, ratio in ratio_of.items()}
    (chart,) = heatmap_chart([HeatMap("run", tuple(names), (1,), cells)], names).values()
    scale = chart["layer"][0]["encoding"]["color"]["scale"]
    scheme = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in scale["range"]]
    light = []
    for row in chart["datasets"]["rows"]:
        share = np.log(row["shade"]) / np.log(scale["domain"][1])
        shade = [np.interp(share, np.linspace(0, 1, len(scheme)), part) for part in zip(*scheme, strict=True)]
        assert contrast([255] * 3 if row["white"] else [0] * 3, shade) >= 4.5, share
        light.append(luminance(shade))
    assert light == sorted(light, reverse=True)
