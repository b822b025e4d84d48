"""The run in the order of time, and the figures about trust: simulated processes with known answers."""

import json

import pytest

from mlpbench.bench.record import runs as record
from mlpbench.bench.report import render
from mlpbench.bench.trust.timeline import timeline
from support import simulate, trusting
from support.trusting import quiet

KERNELS = ("numpy", "numba")
CASES = [("per_sample", 100), ("batched", 100)]
TIMES = {(kernel, *case): 1e-6 for kernel in KERNELS for case in CASES}
START = 1.79e9
#: Numba ran first, then numpy, then the other way round.
ORDER = [["numba", 0], ["numpy", 0], ["numpy", 1], ["numba", 1]]


def windows(process, *, dated, **second):
    """Return the windows of the process with that place in the order: it begins 10 s after the one before."""
    dates = [START + 10 * process + 3 * number for number in range(2)] if dated else [None, None]
    return [
        trusting.window(*CASES[0], began_utc_s=dates[0]),
        trusting.window(*CASES[1], began_utc_s=dates[1], **second),
    ]


def write(folder, *, dated=True, seconds=None, **settings):
    """Write a run of two kernels and two repeats; ``seconds`` changes the second case of a process, by its place."""
    folder = simulate.write_run(folder, TIMES, repeats=2, noise=0, plan_changes={"order": ORDER}, **settings)
    for place, (kernel, repeat) in enumerate(ORDER):
        with simulate.edited(folder / f"{kernel}.{repeat}.json") as content:
            found = windows(place, dated=dated, **(seconds or {}).get(place, {}))
            content["mlpbench"]["trust"] = trusting.block(*found)
    return record.read_run(folder)


def test_cases_stand_at_their_dates(tmp_path):
    run = write(tmp_path)
    found = timeline(run)
    assert found.dated
    assert [(m.kernel, m.repeat) for m in found.moments[::2]] == [tuple(process) for process in ORDER]
    assert [m.begins for m in found.moments] == pytest.approx([0, 3, 10, 13, 20, 23, 30, 33])
    assert [m.ends - m.begins for m in found.moments] == pytest.approx([0.5] * 8)
    with simulate.edited(run.path / "numba.1.json") as content:
        content["mlpbench"]["trust"]["windows"][0]["began_utc_s"] = None
    assert not timeline(record.read_run(run.path)).dated, "one case without a date is enough to count instead"


def test_older_files_stand_in_the_order_of_the_plan(tmp_path):
    found = timeline(write(tmp_path, dated=False))
    assert not found.dated
    assert [(m.kernel, m.repeat) for m in found.moments[::2]] == [tuple(process) for process in ORDER]
    assert [m.begins for m in found.moments] == list(range(8))
    assert [m.mode for m in found.moments[:2]] == ["per_sample", "batched"], "within a process, as they were measured"


def test_the_calibration_is_a_multiple_of_its_best_in_the_run(tmp_path):
    """One process at 1.2 times, which by itself would look even; and a case whose threads waited."""
    found = timeline(write(tmp_path, seconds={1: {"slower": 1.2}, 2: {"run_delay_s": 0.25}}))
    assert [m.level for m in found.moments] == pytest.approx([1, 1, 1, 1.2, 1, 1, 1, 1])
    causes = [[cause.cause for cause in m.disturbances] for m in found.moments]
    assert causes == [[], [], [], ["clock"], [], ["load"], [], []]


def test_files_without_calibration_have_no_timeline(tmp_path):
    run = record.read_run(simulate.write_run(tmp_path, TIMES, repeats=1))
    assert timeline(run) is None
    assert "calibration and disturbed" not in render.render([run], "md")


# -- the report


def chart_rows(page, name, kind=None):
    chart = json.loads(page.split(f'id="spec-{name}">')[1].split("</script>")[0])
    rows = chart["datasets"][chart["data"]["name"]]
    return [row for row in rows if kind is None or row.get("kind") == kind]


def test_the_timelines_table(tmp_path):
    text = render.render([write(tmp_path, seconds={1: {"slower": 1.2}, 2: {"run_delay_s": 0.25}})], "md")
    assert "### The calibration and disturbed cases over the run" in text
    assert "| numba | 1 | 0.0 s | 2 | 1.00x to 1.00x | 0 | none |" in text
    assert "| numpy | 1 | 10.0 s | 2 | 1.00x to 1.20x | 1 | clock 1 |" in text
    assert "| numpy | 2 | 20.0 s | 2 | 1.00x to 1.00x | 1 | load 1 |" in text
    assert "| numba | 2 | case 7 | 2 |" in render.render([write(tmp_path / "old", dated=False)], "md")


def test_the_timelines_chart_has_a_symbol_for_each_disturbed_case_in_the_lane_of_its_cause(tmp_path):
    both = {"slower": 1.2, "run_delay_s": 0.25}
    page = render.render([write(tmp_path, seconds={1: both, 2: {"run_delay_s": 0.25}})], "html")
    assert "Read from left to right, as the run went" in page
    assert len(chart_rows(page, "timeline-0", "case")) == 8
    assert len(chart_rows(page, "timeline-0", "line")) == 16
    marks = chart_rows(page, "timeline-0", "disturbed")
    found = sorted((mark["kernel"], mark["repeat"], mark["cause"]) for mark in marks)
    assert found == [("numpy", "1", "clock"), ("numpy", "1", "load"), ("numpy", "2", "load")]
    lanes = {mark["cause"]: mark["y"] for mark in marks}
    assert len(set(lanes.values())) == 2
    assert max(lanes.values()) < 0.98, "below the calibration"
    assert any(mark["what happened"].startswith("its threads waited 0.25 s") for mark in marks)


def test_a_calibration_off_the_chart_stands_at_its_end_and_says_how_far(tmp_path):
    page = render.render([write(tmp_path, seconds={1: {"slower": 9.0}})], "html")
    far = max(chart_rows(page, "timeline-0", "case"), key=lambda row: row["y"])
    assert (far["y"], far["calibration"]) == (3.0, "9.00x its best")


def test_the_harness_itself_is_shown(tmp_path):
    run = write(tmp_path)
    with simulate.edited(run.path / "numpy.1.json") as content:
        content["mlpbench"]["trust"] = quiet(self_test=trusting.self_test({2: 0.01, 4: -0.015}))
    run = record.read_run(run.path)
    text = render.render([run], "md").replace("\\", "")
    assert "| 1 | 600 µs | +0.00 % | +0.00 % to +0.00 % |" in text
    assert "| 4 | 2.40 ms | +0.00 % | -1.50 % to +0.00 % |" in text
    assert "| one at a time | 23.0 ns | 23.0 ns | 23.0 ns | 4 |" in text
    assert "| as a batch | 79.0 ns | 79.0 ns | 79.0 ns | 4 |" in text
    page = render.render([run], "html")
    spins = {(row["repeat"], row["x"]): row["y"] for row in chart_rows(page, "clock-0") if row["kernel"] == "numpy"}
    assert (spins["2", 2], spins["2", 4], spins["1", 4]) == pytest.approx((0.01, -0.015, 0))
    costs = [(row["way"], row["x"]) for row in chart_rows(page, "harness-0")]
    assert costs.count(("as a batch", pytest.approx(79e-9))) == 4
    for words in ("exactly 2 and 4 times as long", "so much of the time of every call in this report"):
        assert words in page


def test_two_runs_have_a_timeline_each(tmp_path):
    runs = [write(tmp_path, seed=seed) for seed in (1, 2)]
    page = render.render(runs, "html")
    for name in ("timeline", "clock", "harness"):
        assert f'id="chart-{name}-1"' in page
    assert f"over the run ({runs[1].name})" in page


def test_a_self_test_of_one_length_or_none_shows_what_there_is(tmp_path):
    run = simulate.write_run(tmp_path, TIMES, repeats=1, trust=quiet(self_test=[]))
    text = render.render([record.read_run(run)], "html")
    assert 'id="chart-timeline-0"' in text
    assert 'id="chart-clock-0"' not in text
    assert 'id="chart-harness-0"' not in text
