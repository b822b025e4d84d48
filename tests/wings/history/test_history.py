"""What became of the cases of a machine from run to run."""

import re

import pytest

from mlpbench.bench.report import render
from mlpbench.bench.wings.history import history
from support import simulate, trusting
from support.runs import months

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
QUIET = {"noise": 0.002, "repeats": 8, "trust": trusting.block()}


def against_previous(run):
    """Return the line about the run before, the rows of its chart by kernel, and the verdicts of its table."""
    document = render.build([run])
    (line,) = [line for line in document.headline.remarks if " previous run " in line] or [None]
    drawn = {figure.name: figure for figure in document.figures()}.get("previous")
    if drawn is None:
        return line, {}, []
    (chart,) = drawn.draw({"numpy": "numpy"}).values()
    return line, {row["kernel"]: row for row in chart["datasets"]["rows"]}, [row[-1] for row in drawn.table.rows]


def test_a_run_is_told_beside_the_one_before_it(tmp_path):
    """Of the newest complete one of the machine that computed the same; at a run's end and on its page, in a line."""
    first = simulate.write_run(tmp_path, TIMES, seed=0, **QUIET)
    nothing = (None, {}, [])
    assert against_previous(simulate.read(first)) == nothing
    other = {"sizes": [784, 10], "hidden": "sigmoid", "output": "softmax", "dtype": "float32"}
    simulate.write_run(tmp_path, TIMES, seed=1, **QUIET, spec=other)
    slower = {case: 2 * value for case, value in TIMES.items()}
    again = simulate.write_run(tmp_path, slower, seed=2, **QUIET)
    assert against_previous(simulate.read(again)) == nothing, "that before it computes something else"
    (tmp_path / "testbox" / "20261124T120001Z-0123abcd" / "numpy.3.json").unlink()
    said, rows, verdicts = against_previous(simulate.read(again))
    assert re.fullmatch(
        rf"Against the previous run of this machine, {first.name}: numpy's best time is (2|1\.99|2\.01)x what it was.",
        said,
    )
    assert rows["numpy"]["low"] < 0.5 < rows["numpy"]["high"]
    assert rows["numpy"]["value"] == pytest.approx(0.5, rel=0.01)
    assert (rows["numpy"]["case"], verdicts) == ("batch 100", ["slower"])
    (again / "numpy.0.json").unlink()
    assert against_previous(simulate.read(again)) == nothing, "it is not whole itself"


def test_a_run_of_one_repeat_is_no_measure_and_disturbed_times_are_undecided(tmp_path):
    simulate.write_run(tmp_path, TIMES, seed=0, **QUIET)
    again = simulate.write_run(tmp_path, TIMES, seed=1, **QUIET)
    simulate.write_run(tmp_path, TIMES, seed=2, repeats=1)
    assert re.search(r": every kernel's best time is within 1 %\.$", against_previous(simulate.read(again))[0])
    hit = trusting.disturb(again, {("numpy", repeat, "batched", 100) for repeat in range(8)})
    line, rows, verdicts = against_previous(hit)
    assert line.endswith(": whether that of numpy changed is unclear.")
    assert (rows["numpy"]["low"], verdicts[0].split()[0]) == (None, "undecided")


def test_a_change_is_found_with_what_else_changed(reports, tmp_path):
    """In twelve runs, of which numpy is slower from the ninth on."""
    (newest,) = reports.runs("months")
    found = history.find(newest.path.parent)
    assert len(found.runs) == 12
    assert history.find(newest.path.parent, latest=5).runs == found.runs[-5:]
    assert {one.kernel for one in history.find(newest.path.parent, ["numba"]).series} == {"numba"}
    assert {(one.kernel, one.mode): len(one.changes) for one in found.series} == {
        ("numpy", "per_sample"): 1,
        ("numpy", "batched"): 1,
        ("numba", "per_sample"): 0,
        ("numba", "batched"): 0,
    }
    change = found.changed[0].changes[0]
    assert (change.before, change.after) == (found.runs[7], found.runs[8])
    assert change.ratio.value == pytest.approx(1.08, rel=0.01)
    assert 1.05 < change.ratio.low < change.ratio.value < change.ratio.high < 1.1
    assert change.besides == ("libraries: numpy: 2.4.6 against 2.5.0",)
    assert [one.kernel for one in found.series if one.slowdown(0.05)] == ["numpy", "numpy"]
    assert not [one for one in found.series if one.slowdown(0.09)]
    old = history.find(months.write(tmp_path, 20, change=8)[0].parent)
    assert old.changed
    assert not [one for one in old.series if one.slowdown(0.05)], "that is no news"


def test_runs_of_other_networks_weights_and_threads_are_other_series(tmp_path):
    folder = months.write(tmp_path, 4)[0].parent
    other = {"sizes": [784, 10], "hidden": "sigmoid", "output": "softmax", "dtype": "float32"}
    simulate.write_run(tmp_path, months.TIMES, seed=50, spec=other)
    simulate.write_run(tmp_path, months.TIMES, seed=51, weights={"source": "x", "sha256": "b" * 64})
    simulate.write_run(tmp_path, months.TIMES, seed=52, plan_changes={"threads": 7})
    lengths = [len(one.runs) for one in history.find(folder).series if one.kernel == "numpy"]
    assert sorted(lengths) == [1] * 6 + [4] * 2


def test_a_damaged_run_costs_that_run(tmp_path):
    written = months.write(tmp_path, 7)
    (written[3] / "run.json").write_text("{")
    found = history.find(written[0].parent)
    assert {len(one.runs) for one in found.series} == {6}
    assert len(found.problems) == 1
    assert str(written[3]) in found.problems[0]


def test_the_page_of_a_run_has_it(reports):
    document = reports.document("months")
    (section,) = (one for one in document.sections if one.slug == "history")
    assert section.blocks[0] == "2 of 4 cases changed for good in 12 runs."
    assert "history" in {figure.name for figure in document.figures()}
