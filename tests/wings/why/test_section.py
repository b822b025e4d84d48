"""The section on what the speedup is made of, as formats show it, and which causes it names."""

import re

import pytest

from mlpbench.bench.wings.why.explain import causes
from mlpbench.bench.wings.why.section import gain_sentences, share_words, waterfall_charts
from support.explanations import CALLS, SMALL, explanation, kernel, parts
from support.reports import KERNELS


def test_the_report_has_the_section_with_its_charts_and_how_to_read_them(reports):
    text, page = reports.text("evidence"), reports.text("evidence", "html")
    titles = ("Where the time of a sample goes", "How near each case is to its limit")
    for title in ("What the speedup is made of", *titles, "Time of a call, and the line through it"):
        assert f"## {title}" in text
    assert "- numpy gains mostly from fewer calls (75 %, 75 to 75)." in text
    assert "| numpy | batch 10,000 | 28.4 FLOP/B | 90.5 GFLOP/s | 36 % | multiply-add |" in text
    charts = [f'id="chart-{name}-0"' for name in ("waterfall", "share", "hockney")]
    for words in (*charts, "From top to bottom", "Symbols are measured calls"):
        assert words in page
    fold = "<summary>What a call costs, and the machine&#39;s limits</summary>"
    assert page.index(fold) < page.index('id="chart-hockney-0"')


def test_of_many_runs_each_has_to_be_opened_on_a_page_and_stands_in_markdown(reports):
    page, text = reports.text("many", "html"), reports.text("many")
    for run in reports.runs("many"):
        assert f'<details class="fold"><summary>Run {run.id}</summary>' in page
        assert f"\nRun {run.id}:\n\n- " in text
    page, (_, second) = reports.text("levels", "html"), reports.runs("levels")
    assert 'id="chart-waterfall-1_0"' in page
    assert f"Where the time of a sample goes, run {second.id}" in page


def test_a_chart_far_from_the_legend_has_its_kernels_beside_it(reports):
    page = reports.text("explained", "html")
    keys = page.split('id="title-hockney-0"')[1].split('id="chart-hockney-0"')[0]
    assert re.findall(r"</svg> (\w+)</span>", keys) == list(KERNELS)
    for number, panel in enumerate(KERNELS):
        assert f"</svg> {panel}</h4>" in page.split(f'id="title-waterfall-0_{number}"')[1].split("<div")[0]


def test_what_makes_the_gain_is_a_sentence_for_each_kernel_and_one_for_all_that_are_unclear():
    mixed, two = parts(0.5, 0.01, 0.49, 0.0, half=0.1), parts(0.45, 0.4, 0.1, 0.05)
    found = explanation(SMALL, {"numpy": CALLS, "numba": mixed, "numba-parallel": two}).kernels
    unknown = tuple(kernel(name, "L2", None, "it skips work") for name in ("cupy", "numba-simd"))
    both = "fewer calls (50 %, 40 to 60) and better use of the arithmetic units (49 %, 39 to 59)"
    assert list(gain_sentences((*found, *unknown))) == [
        "numpy gains mostly from fewer calls (80 %, 79 to 81).",
        f"numba gains about equally from {both}.",
        "numba-parallel gains most from fewer calls (45 %, 44 to 46), then from weights read once for a batch (40 %).",
        "cupy and numba-simd: not explained in this run: it skips work.",
    ]


def test_a_part_whose_interval_is_half_of_the_gain_is_unclear():
    def written(half):
        attribution = parts(0.5, None, 0.02, 0.4, half=half)
        return [share_words(name, attribution) for name in attribution.parts]

    assert written(0.02) == ["50 %, 48 to 52", "not measured", "2 %, 0 to 4", "40 %, 38 to 42"]
    assert written(0.3) == ["unclear", "not measured", "unclear", "unclear"]


@pytest.mark.parametrize(
    ("shares", "half", "expected"),
    [
        ((0.80, 0.10, 0.02, 0.08), 0.01, "calls"),
        ((0.00, 0.95, 0.01, 0.04), 0.01, "weights"),
        ((0.10, 0.10, 0.75, 0.05), 0.01, "arithmetic"),
        ((0.52, 0.46, 0.01, 0.01), 0.01, "calls"),
        ((0.52, 0.46, 0.01, 0.01), 0.06, "calls weights"),  # intervals that overlap
        ((0.495, 0.50, 0.00, 0.005), 0.01, "weights calls"),
        ((0.335, 0.33, 0.325, 0.01), 0.01, "calls weights arithmetic"),
        ((0.00, 0.51, 0.00, 0.49), 0.01, "weights"),  # what is unexplained is no cause, and may be the largest part
        ((0.8, 0.1, None, 0.1), 0.01, "calls"),  # of a device, the arithmetic is in the unexplained part
    ],
)
def test_the_largest_parts_are_named(shares, half, expected):
    assert causes(parts(*shares, half=half)) == (tuple(expected.split()), None)


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        ((0.10, 0.30, 0.10, 0.50), "most of it is unexplained"),
        ((0.2, 0.1, None, 0.7), "most of it is unexplained"),
        ((0.45, None, 0.2, 0.35), "not every cause was measured"),
    ],
)
def test_what_cannot_be_said_has_a_reason(shares, why):
    assert causes(parts(*shares)) == ((), why)


@pytest.mark.parametrize(
    ("shares", "ends"),
    [
        ((0.5, 0.2, 0.2, 0.1), (0.0, 1.02)),
        ((2.0, -1.5, 0.2, 0.3), (-0.859, 1.02)),
        ((-30.0, 60.0, 0.0, -29.0), (-1.05, 2.04)),
    ],
)
def test_an_axis_holds_0_and_1_and_ends_where_disturbed_runs_do_not(shares, ends):
    (chart,) = waterfall_charts(explanation(SMALL, {"numpy": parts(*shares)}), {"numpy": "numpy"}).values()
    assert chart["layer"][0]["encoding"]["x"]["scale"]["domain"] == pytest.approx(ends, abs=1e-3)
