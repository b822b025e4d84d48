"""What the speedup is made of, as the command prints it and the report shows it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlpbench.bench.report import render
from support import evidence_files as files
from support.evidence_files import write

ROOT = Path(__file__).resolve().parents[3]


# -- the command


def command(cwd, *words):
    ran = subprocess.run(
        [sys.executable, "-m", "mlpbench", "explain", *words],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_the_command_tells(tmp_path):
    run = write(tmp_path / "results")
    status, out, err = command(tmp_path)
    assert (status, err) == (0, "")
    for words in (run.id, "calls saved 9.00 µs", "Roofs, 2 threads: 500 GFLOP/s", "numpy under its roofs", "36 %"):
        assert words in out


def test_the_commands_json_is_all_the_numbers(tmp_path):
    run = write(tmp_path / "results")
    status, out, _ = command(tmp_path, run.id, "--json")
    assert status == 0
    (found,) = json.loads(out)["runs"]
    assert found["run"] == run.id
    assert found["kernels"][0]["attribution"]["parts"]["calls"]["value"] == pytest.approx(files.CALL_ONE, rel=1e-3)
    assert found["kernels"][0]["fit"]["r_inf"]["value"] == pytest.approx(1 / files.ROW, rel=1e-4)
    assert found["roofs"]["1"]["read_s"]["L1"] == pytest.approx(500e9)


def test_runs_of_other_networks_are_compared(tmp_path):
    """The same times per sample; weights that lie elsewhere."""
    larger = {"sizes": [784, 1024, 1024, 10], "hidden": "sigmoid", "output": "softmax", "dtype": "float32"}
    slow = {case: 1000 * seconds for case, seconds in files.TIMES.items()}
    runs = [write(tmp_path / "results", seed=1), write(tmp_path / "results", slow, seed=2, spec=larger)]
    status, out, _ = command(tmp_path, *(run.id for run in runs))
    assert status == 0
    first, second = out[out.index("What batching saves") :].splitlines()[2:4]
    for row, words in (
        (first, ("784-50-100-10", "L2", "12.0 µs", "75 %")),
        (second, ("784-1024-1024-10", "L3")),
    ):
        assert not [word for word in words if word not in row]
    status, out, _ = command(tmp_path, *(run.id for run in runs), "--json")
    (levels,) = json.loads(out)["levels"]
    assert (levels["threads"], levels["kind"]) == (2, "sigmoid/softmax float32")
    assert [(place["run"], place["spec"], place["level"], place["is_bus"]) for place in levels["places"]] == [
        (runs[0].id, "784-50-100-10", "L2", False),
        (runs[1].id, "784-1024-1024-10", "L3", False),
    ]


def test_the_command_fails_on_what_cannot_be(tmp_path):
    write(tmp_path / "results", **files.impossible())
    status, out, _ = command(tmp_path)
    assert status == 1
    assert "Impossible and refused" in out


@pytest.mark.parametrize("words", [("nowhere",), (), ("--results", "nothing-here")])
def test_bad_input_is_one_line(tmp_path, words):
    status, out, err = command(tmp_path, *words)
    assert (status, out) == (2, "")
    assert err.startswith("mlpbench: ")
    assert err.count("\n") == 1


def test_help_has_an_example(tmp_path):
    status, out, _ = command(tmp_path, "--help")
    assert status == 0
    assert "Example: mlpbench explain" in out


# -- the report


def test_the_report_has_the_section_with_all_three_charts_and_how_to_read_them(tmp_path):
    run = write(tmp_path)
    text = render.render([run], "md")
    assert "## What the speedup is made of" in text
    for title in (
        "Where the time of a sample goes",
        "Time of a call, and the line through it",
        "Every case under its roof",
    ):
        assert f"### {title}" in text
    assert "| numpy | batch 10,000 | 28.4 FLOP/B | 90.5 GFLOP/s | 36 % | multiply-add |" in text
    page = render.render([run], "html")
    for name in ("waterfall-0", "hockney-0", "roofline-0"):
        assert f'id="chart-{name}"' in page
    for reading in ("Read from top to bottom", "symbols are measured calls", "no symbol can lie above its roof"):
        assert reading in page


def test_times_that_cannot_be_stand_beside_the_headline(tmp_path):
    text = render.render([write(tmp_path, **files.impossible())], "md")
    assert "> numpy: Impossible and refused: in batches of 1,000, 362 % of the multiply-add peak." in text


def test_of_several_runs_each_has_one_sentence_about_times_that_cannot_be(tmp_path):
    runs = [write(tmp_path, **files.impossible(), seed=1), write(tmp_path, seed=2)]
    notices = [line for line in render.render(runs, "md").splitlines() if line.startswith("> ")]
    told = f'> Run {runs[0].id} has times that are impossible and refused, told under "What the speedup is made of": '
    assert [line for line in notices if "impossible" in line] == [f"{told}1 of numpy."]


def test_two_runs_have_a_chart_each(tmp_path):
    runs = [write(tmp_path, seed=seed) for seed in (1, 2)]
    page = render.render(runs, "html")
    assert 'id="chart-waterfall-1"' in page
    assert f"Where the time of a sample goes, run {runs[1].id}" in page


def test_of_many_runs_each_has_to_be_opened_on_a_page_and_stands_in_markdown(tmp_path):
    runs = [write(tmp_path, seed=seed) for seed in (1, 2, 3)]
    page, text = render.render(runs, "html"), render.render(runs, "md")
    for run in runs:
        assert f'<details class="fold"><summary>Run {run.id}</summary>' in page
        assert f"\nRun {run.id}:\n\n- Roofs, 1 thread: " in text
    assert 'class="fold"' not in render.render(runs[:2], "html")


def test_a_chart_far_from_the_legend_has_its_kernels_beside_it(tmp_path):
    times = {(kernel, *case): time for (_, *case), time in files.TIMES.items() for kernel in ("numba", "numpy")}
    page = render.render([files.write(tmp_path, times, kernel_info=None)], "html")
    keys = page.split('id="title-hockney-0"')[1].split('id="chart-hockney-0"')[0]
    assert re.findall(r"</svg> (\w+)</span>", keys) == ["numba", "numpy"]
    for name in ("time", "waterfall-0"):
        assert "<span>" not in page.split(f'id="title-{name}"')[1].split(f'id="chart-{name}"')[0]


def test_nothing_is_drawn_of_what_is_missing(tmp_path):
    page = render.render([write(tmp_path, anatomy=None, with_roofs=False)], "html")
    assert 'id="chart-hockney-0"' in page
    assert 'id="chart-waterfall-0"' not in page
    assert 'id="chart-roofline-0"' not in page
