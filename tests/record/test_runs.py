"""Runs as people name them, settings of a sweep among them. Names of ordinary runs: tests/record/test_record.py."""

import pytest

from mlpbench.bench.cases import make_settings
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import find_runs, latest, read_runs, resolve
from support import simulate

TIMES = {("numpy", "batched", 100): 2e-6}
SETTINGS = make_settings(["784-50-100-10"], [1, 2], ["float32"])


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder with a run and, newer, a sweep; the working folder is empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    simulate.write_run(tmp_path / "results", TIMES, seed=1)
    simulate.write_sweep(tmp_path / "results", TIMES, SETTINGS, seed=2)
    return tmp_path / "results"


def refusal(argument, results):
    with pytest.raises(UserError) as error:
        resolve(argument, results)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_sweep_is_listed_once_by_its_folder(results):
    runs = find_runs(results)
    assert len(runs) == 2
    assert runs[0] == latest(results)
    assert (runs[0] / "threads-1").is_dir()


def test_a_setting_is_named_behind_its_sweep(results):
    newest, old = find_runs(results)
    child = newest / "threads-2"
    names = [str(child), f"latest/{child.name}", f"{newest.name}/{child.name}", f"testbox/{newest.name}/{child.name}"]
    for name in [*names, f"{newest.name[:15]}/threads-2", f"{newest.name}.threads-2"]:
        assert resolve(name, results) == child, name
    assert resolve(old.name, results) == old
    assert resolve(newest.name, results) == newest


def test_a_setting_that_is_not_there(results):
    newest, old = find_runs(results)
    told = f"no setting 'threads-3' in {newest.name}; it has threads-1, threads-2"
    assert refusal("latest/threads-3", results) == told
    assert refusal(f"{newest.name}.threads-3", results) == told
    assert refusal(f"{old.name}/threads-1", results).endswith("it has none")
    assert refusal(f"{results}/nowhere", results).startswith("no run, file or folder "), (
        "a folder that is no run has none"
    )


@pytest.mark.parametrize("argument", ["latest/..", "latest/.", "latest/", "/threads-1", "latest//threads-1", "no/such"])
def test_strange_paths_are_refused_or_are_paths(results, argument):
    assert refusal(argument, results)


@pytest.mark.parametrize(
    ("target", "said"), [("run.json", "Too many levels of symbolic links"), ("nowhere", "a link to nothing")]
)
def test_a_plan_that_is_a_link_to_itself_or_to_nothing_is_told(tmp_path, target, said):
    run = simulate.write_run(tmp_path, TIMES)
    (run / "run.json").unlink()
    (run / "run.json").symlink_to(target)
    with pytest.raises(UserError, match=rf"run\.json: .*{said}"):
        read_runs(run)
