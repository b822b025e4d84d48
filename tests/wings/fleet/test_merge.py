"""Results of several folders in one."""

import os
import re

import pytest

from mlpbench.bench.cases import Setting
from mlpbench.bench.record import runs
from mlpbench.bench.wings.fleet.merge import merge
from support import simulate
from support.terminal import called, contents, refusal

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
RECORDS = "*.json"
SETTINGS = [Setting("784-50-100-10", threads, "float32", ("threads",)) for threads in (1, 2)]


@pytest.fixture
def there(tmp_path):
    """Return two results folders: one of two runs, one of another machine's."""
    box, big = tmp_path / "box", tmp_path / "big"
    simulate.write_run(box, TIMES, seed=0)
    simulate.write_run(box, TIMES, seed=1)
    (folder,) = {simulate.write_run(big, TIMES, seed=0, environment=simulate.environment(machine={"name": "bigbox"}))}
    folder.parent.rename(big / "bigbox")
    return box, big


def test_runs_of_two_machines_are_in_one_folder_and_a_second_time_changes_nothing(there, tmp_path):
    results = tmp_path / "all"
    found = merge(there, results)
    assert (len(found.added), found.same, found.notes) == (3, (), ())
    assert contents(results, RECORDS) == contents(there[0], RECORDS) | contents(there[1], RECORDS)
    marks = {path.parent: path.read_bytes() for path in results.rglob(runs.MERGED)}
    assert marks == dict.fromkeys(found.added, b""), "a run that came from elsewhere can be told"
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    again = merge([*there, results], results)
    assert (again.added, len(again.same)) == ((), 3)
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
    assert [run.machine for path in found.added for run in runs.read_runs(path)] == ["testbox", "testbox", "bigbox"]


def test_what_an_interrupted_copy_lacks_is_added(there, tmp_path):
    results = tmp_path / "all"
    (first, *_) = merge(there, results).added
    (first / "numpy.1.json").unlink()
    (first / "run.json").unlink()
    assert merge(there, results).added == (first,)
    assert contents(results, RECORDS) == contents(there[0], RECORDS) | contents(there[1], RECORDS)


def test_two_results_of_one_name_are_refused_with_both_paths_and_nothing_is_copied(there, tmp_path):
    other = tmp_path / "other"
    merge(there[:1], other)
    changed = runs.find_runs(other)[0] / "numpy.0.json"
    with simulate.edited(changed) as content:
        content["benchmarks"][0]["stats"]["data"][0] *= 2
    results = tmp_path / "all"
    said = refusal(merge, [there[1], there[0], other], results)
    assert "are two results of one name: take one of them away" in said
    assert str(changed) in said
    assert str(there[0] / changed.relative_to(other)) in said
    assert not results.exists()


def test_what_lies_beside_runs_is_named_and_not_copied(there, tmp_path):
    for name in ("calibration.json", "look.json"):
        (there[0] / "testbox" / name).write_text("{")
    (note,) = merge(there, tmp_path / "all").notes
    assert note == f"{there[0]}/testbox: not copied, no run: calibration.json", "a machine's own runs find looks"
    assert [path.name for path in (tmp_path / "all" / "testbox").iterdir() if path.is_file()] == []


def test_the_command_prints_what_is_new(there, tmp_path, capsys):
    words = ("merge", there[1], "--results", tmp_path / "all")
    run = runs.find_runs(there[1])[0]
    said = called(capsys, *words)
    assert said == (0, f"{tmp_path}/all/bigbox/{run.name}\n", f"1 run added to {tmp_path}/all, 0 there already\n")
    assert called(capsys, *words) == (0, "", f"0 runs added to {tmp_path}/all, 1 there already\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path, secret: path.symlink_to(secret), "a link, and links are not copied"),
        (lambda path, _: path.symlink_to("nowhere"), "a link, and links are not copied"),
        (lambda path, _: os.mkfifo(path), "not an ordinary file"),
        (lambda path, _: path.mkdir(), "directory"),
        (lambda path, _: (path.touch(), os.truncate(path, 16 * 2**20 + 1)), "larger than 16 MiB"),
        (lambda path, _: path.write_text("not JSON"), "not JSON"),
        (lambda path, _: path.write_text('{"mlpbench": {"schema": 3, "kind": "other"}}'), "Expected|missing|Invalid"),
    ],
)
@pytest.mark.parametrize("name", ["run.json", "numpy.1.json", "roofs.json"])
def test_one_file_that_is_no_result_is_refused_by_its_name_and_nothing_is_copied(there, tmp_path, name, spoil, said):
    run = runs.find_runs(there[1])[0]
    path = run / name
    path.unlink(missing_ok=True)
    (tmp_path / "secret").write_text("{}")
    spoil(path, tmp_path / "secret")
    line = refusal(merge, there, tmp_path / "all")
    assert line.startswith(f"{path}: ")
    assert re.search(said, line)
    assert not (tmp_path / "all").exists()


def test_what_is_no_result_of_a_run_is_named_and_left_where_it_is(there, tmp_path):
    run = runs.find_runs(there[1])[0]
    (run / "more" / "deeper").mkdir(parents=True)
    (run / "more" / "deeper" / "x.json").write_text("a zip, say")
    for name in ("evil.py", "notes.txt", "z.csv", "report.md", ".numpy.0.json.x.partial"):
        (run / name).write_text("x")
    found = merge(there, tmp_path / "all")
    assert found.notes == (f"{run}: not copied, no result of this run: evil.py, more, notes.txt, z.csv",)
    there_now = {path.name for path in (tmp_path / "all" / "bigbox" / run.name).iterdir()}
    assert there_now == {"run.json", "numpy.0.json", "numpy.1.json", "numpy.2.json", runs.MERGED}


def test_a_sweep_comes_whole_and_has_one_mark_and_no_folder_of_it_is_a_link(tmp_path):
    folder = simulate.write_sweep(tmp_path / "box", TIMES, SETTINGS)
    found = merge([tmp_path / "box"], tmp_path / "all")
    assert contents(tmp_path / "all", RECORDS) == contents(tmp_path / "box", RECORDS)
    assert [*(tmp_path / "all").rglob(runs.MERGED)] == [tmp_path / "all" / "testbox" / folder.name / runs.MERGED]
    assert (len(found.added), found.notes) == (1, ())
    for number, path in enumerate((folder / SETTINGS[0].label, folder, folder.parent)):
        elsewhere = tmp_path / f"elsewhere-{number}"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
        said = refusal(merge, [tmp_path / "box"], tmp_path / f"all-{number}")
        assert f"{path}: a link, and links are not copied" in said
        assert not (tmp_path / f"all-{number}").exists()
        path.unlink()
        elsewhere.rename(path)


def test_what_changes_behind_the_reading_is_not_copied_unread(there, tmp_path, monkeypatch):
    file = runs.find_runs(there[1])[0] / "numpy.1.json"
    read_runs = runs.read_runs

    def read_and_change(run):
        found = read_runs(run)
        (run / "numpy.1.json").write_text("secret")
        return found

    monkeypatch.setattr(runs, "read_runs", read_and_change)
    assert f"{file}: not JSON" in refusal(merge, there[1:], tmp_path / "all")
    assert not list((tmp_path / "all").rglob("numpy.1.json"))


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
    assert said in refusal(merge, there, tmp_path / "all")
    assert not (tmp_path / "all").exists()
