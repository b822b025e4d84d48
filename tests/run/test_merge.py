"""Results of several folders in one."""

import json

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.run.merge import merge
from support import simulate

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}


@pytest.fixture
def there(tmp_path):
    """Return two results folders: one of two runs, one of another machine's."""
    box, big = tmp_path / "box", tmp_path / "big"
    simulate.write_run(box, TIMES, seed=0)
    simulate.write_run(box, TIMES, seed=1)
    (folder,) = {simulate.write_run(big, TIMES, seed=0, environment=simulate.environment(machine={"name": "bigbox"}))}
    folder.parent.rename(big / "bigbox")
    return box, big


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_runs_of_two_machines_are_in_one_folder_and_a_second_time_changes_nothing(there, tmp_path):
    results = tmp_path / "all"
    found = merge(there, results)
    assert (len(found.added), found.same, found.notes) == (3, (), ())
    assert contents(results) == contents(there[0]) | contents(there[1])
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    again = merge([*there, results], results)
    assert (again.added, len(again.same)) == ((), 3)
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
    assert [run.machine for path in found.added for run in runs.read_runs(path)] == ["testbox", "testbox", "bigbox"]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_folder_of_results_of_a_machine_or_of_a_run(there, tmp_path, depth):
    run = runs.find_runs(there[0])[0]
    source = (there[0], run.parent, run)[depth]
    assert len(merge([source], tmp_path / "all").added) == (2, 2, 1)[depth]


def test_what_an_interrupted_copy_lacks_is_added(there, tmp_path):
    results = tmp_path / "all"
    (first, *_) = merge(there, results).added
    (first / "numpy.1.json").unlink()
    (first / "run.json").unlink()
    assert merge(there, results).added == (first,)
    assert contents(results) == contents(there[0]) | contents(there[1])


def test_two_results_of_one_name_are_refused_with_both_paths_and_nothing_is_copied(there, tmp_path):
    other = tmp_path / "other"
    merge(there[:1], other)
    changed = runs.find_runs(other)[0] / "numpy.0.json"
    content = json.loads(changed.read_text())
    content["benchmarks"][0]["stats"]["data"][0] *= 2
    changed.write_text(json.dumps(content))
    results = tmp_path / "all"
    with pytest.raises(UserError, match="are two results of one name: take one of them away") as error:
        merge([there[1], there[0], other], results)
    assert str(changed) in str(error.value)
    assert str(there[0] / changed.relative_to(other)) in str(error.value)
    assert not results.exists()


def test_a_calibration_comes_along_and_never_replaces_another(there, tmp_path):
    results = tmp_path / "all"
    (there[0] / "testbox" / "calibration.json").write_text("1")
    (there[0] / "testbox" / "look.json").write_text("1")
    assert merge(there, results).notes == ()
    assert (results / "testbox" / "calibration.json").read_text() == "1"
    assert not (results / "testbox" / "look.json").exists(), "what a machine's own runs have found"
    (there[0] / "testbox" / "calibration.json").write_text("2")
    (note,) = merge(there, results).notes
    assert "another calibration" in note
    assert (results / "testbox" / "calibration.json").read_text() == "1"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: run.rename(run.parent / "20261124T130000Z-0123abcd"), "it was renamed or copied"),
        (lambda run: (run / "run.json").write_text("{"), "run.json"),
        (lambda run: [path.unlink() for path in run.parent.parent.rglob("*.json")], "no runs in this folder"),
    ],
)
def test_what_is_no_run_is_refused(there, tmp_path, spoil, said):
    spoil(runs.find_runs(there[1])[0])
    with pytest.raises(UserError, match=said):
        merge(there, tmp_path / "all")
    assert not (tmp_path / "all").exists()
    with pytest.raises(UserError, match="no such folder"):
        merge([tmp_path / "nowhere"], tmp_path / "all")
