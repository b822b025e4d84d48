"""The report's part on where the gain is bandwidth: sentences, a table, a chart."""

import re
from dataclasses import replace

import pytest

from mlpbench.bench.analysis import bandwidth
from mlpbench.bench.report import render
from mlpbench.bench.report.charts.bandwidth import bandwidth_chart
from mlpbench.bench.report.sections.bandwidth import gain_table
from support import evidence_files as files
from support.explanations import CALLS, LARGE, SMALL, WEIGHTS, explanation, kernel, network, parts


@pytest.fixture
def two_levels(tmp_path):
    wide = network([784, 1024, 1024, 10])
    slow = {case: 30 * seconds for case, seconds in files.TIMES.items()}
    return [files.write(tmp_path, seed=1, repeats=3), files.write(tmp_path, slow, seed=2, repeats=3, spec=wide)]


def test_the_report_has_sentences_table_and_chart(two_levels):
    text = render.render(two_levels, "md")
    assert "Is it the bandwidth?" in text
    assert '\n- "Bus bandwidth" is right for none of these.' in text
    assert re.search(r"\n\| numpy \| 784-50-100-10 \| L2 \| calls \| 1\d\.\dx \(", text)
    assert "### What the gain is made of, where the weights lie" in text
    (figure,) = (one for one in render.build(two_levels).figures() if one.name == "bandwidth-0")
    assert figure.reading.startswith("Each bar is what batching saves")


def test_one_level_has_no_part_of_its_own(two_levels):
    assert "Is it the bandwidth?" not in render.render(two_levels[:1], "md")


def test_the_pieces_of_a_bar_add_up_and_touch():
    (group,) = bandwidth.groups(
        [explanation(SMALL, {"numpy": CALLS}), explanation(LARGE, {"numpy": parts(0.1, 0.7, 0.1, 0.1)})]
    )
    (rows,) = bandwidth_chart(group)["datasets"].values()
    heads = [row for row in rows if row["key"].endswith("|head")]
    assert [row["key"] for row in heads] == ["numpy|numpy|head"]
    bar = [row for row in rows if LARGE in row["key"]]
    assert [(row["part"], round(row["x"], 6), round(row["x2"], 6)) for row in bar] == [
        ("calls saved", 0.0, 0.1),
        ("weights reused", 0.1, 0.8),
        ("arithmetic units", 0.8, 0.9),
        ("unexplained", 0.9, 1.0),
    ]


def test_a_kernel_without_parts_has_a_row_and_no_bar():
    nothing = replace(explanation(SMALL, {}), kernels=(kernel("numpy", "L2", None, "it skips"),))
    (group,) = bandwidth.groups([nothing, explanation(LARGE, {"numpy": WEIGHTS})])
    assert gain_table(group).rows[0][3:6] == ("not explained: it skips", "not known", "not known")
    (rows,) = bandwidth_chart(group)["datasets"].values()
    assert not [row for row in rows if SMALL in row["key"]]
