"""`--resume`: what is missing of a plan is run, once, where everything is as it was; else the differences are told."""

import json
import os

import pytest

from mlpbench.bench.record import runs
from mlpbench.bench.run import folder as folder_
from support import simulate
from support.processes import SIX, folder_of, stoppable
from support.terminal import called, complaint, contents


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return what types `mlpbench run`, where Ctrl-C comes after ``stop_after`` processes."""
    return stoppable(tmp_path, monkeypatch, capsys)


def head(folder):
    return json.loads((folder / "run.json").read_text())["mlpbench"]


def finished(folder):
    return {name: sha for name, sha in contents(folder).items() if name.endswith(".json") and "run.json" not in name}


def kill(folder):
    """Leave the run as kill -9 leaves it: nobody has written how it ended, and a file was being written."""
    for path in folder.rglob("run.json"):
        with simulate.edited(path) as content:
            content["mlpbench"].pop("ending")
    (folder / ".numpy.2.json.x.partial").write_text("{")


@pytest.mark.parametrize(
    ("how", "axes"), [("Ctrl-C", ()), ("kill -9", ()), ("kill -9", ("--threads", "2"))], ids=["Ctrl-C", "kill", "sweep"]
)
def test_exactly_what_is_missing_is_run(run, tmp_path, capsys, how, axes):
    status, _, err = run(*SIX, *axes, stop_after=4)
    assert status == 130
    assert "`mlpbench run --resume` goes on" in err.splitlines()[-1]
    folder, before = folder_of(tmp_path), finished(folder_of(tmp_path))
    assert len(before) == 4
    if how == "kill -9":
        kill(folder)
    status, out, _ = run("--resume", "--dry-run")
    assert (status, len(out.splitlines())) == (0, 8 if axes else 2)

    status, _, err = run("--resume")
    assert status == 0
    assert f"{folder.name} goes on after 4 processes" in err
    after = finished(folder)
    assert {name: after[name] for name in before} == before, "finished files stay as they are"
    assert len(after) == (12 if axes else 6)
    assert len(run.started) == len(set(run.started)) == len(after) - 4, "none is made twice"
    assert not list(folder.rglob(".*"))

    found = runs.read_runs(folder)
    assert [one.missing for one in found] == [()] * len(found)
    assert sum(one.resumed[0][1] for one in found) == 4
    assert head(folder)["ending"]["spent_s"] == 2.0 * len(after)
    status, out, _ = called(capsys, "report", folder)
    assert "after 4 processes." in out or "after 2 processes." in out
    assert complaint(*run("--resume", folder)) == f"{folder}: this run is complete: there is nothing to resume"
    assert "there is nothing to resume" in complaint(*run("--resume"))


def test_the_budget_that_was_spent_counts(run, tmp_path):
    words = ("numpy", "numpy-out", "--profile", "quick", "--budget", "20s", "--seed", "1")
    run(*words, stop_after=7)
    status, _, err = run("--resume")
    assert status == 0
    assert "goes on after 7 processes, 6 s of its budget are left" in err
    assert len(run.started) <= 3
    assert head(folder_of(tmp_path))["ending"]["spent_s"] <= 20


def test_a_run_may_stop_more_than_once_and_options_do_not_contradict_the_plan(run, tmp_path):
    run(*SIX, stop_after=1)
    run("--resume", stop_after=2)
    name = folder_of(tmp_path).name
    for words, what in (
        (("--threads", "2"), "--threads"),
        (("--repeats", "5"), "--repeats"),
        (("numba",), "kernels"),
        (("--budget", "9s"), "--budget"),
    ):
        told = complaint(*run(*words, "--resume", name))
        assert told == f"{what} and --resume contradict each other: a run that is resumed keeps to its plan"
    assert run("--resume", name[:12])[0] == 0
    assert [after for _, after in head(folder_of(tmp_path))["resumed"]] == [1, 3]
    assert len(finished(folder_of(tmp_path))) == 6


def test_the_card_of_the_plan_is_used_again(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    run(*SIX, "--device", "GPU-1", stop_after=1)
    name = folder_of(tmp_path).name
    told = complaint(*run("--resume", name, "--device", "GPU-2"))
    assert told == f"--device contradicts the plan of {name}: a run that is resumed keeps to its plan"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert run("--resume")[0] == 0
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-1"


def of_plan(change):
    def damage(folder):
        with simulate.edited(folder / "run.json") as content:
            change(content["mlpbench"])

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (simulate.elsewhere, ("machine cpu_model was another, is ", "git commit was ffffffff", "numpy was 1.0, is ")),
        (of_plan(lambda head: head["computed"].update(weights_sha256="0" * 64)), ("weights was 00000000…, is ",)),
        (of_plan(lambda head: head["computed"].update(data_sha256="0" * 64)), ("data was 00000000…, is ",)),
        (of_plan(lambda head: head["environment"]["variables"].update(OMP_X="1")), ("OMP_X was 1, is none",)),
        (of_plan(lambda head: head["plan"]["order"].append(["numba", 0])), ("order: numba is no kernel of this plan",)),
    ],
)
def test_where_something_is_not_as_it_was_or_damaged_the_run_does_not_go_on(run, tmp_path, damage, words):
    run(*SIX, stop_after=2)
    folder = folder_of(tmp_path)
    damage(folder)
    before = contents(folder)
    told = complaint(*run("--resume"))
    assert all(word in told for word in words), told
    assert told.endswith("; start a new run") or " no " in words[0]
    assert contents(folder) == before


def test_who_may_not_go_on(run, tmp_path):
    assert "has stopped before its end" in complaint(*run("--resume"))
    run(*SIX, stop_after=2)
    folder = folder_of(tmp_path)
    with folder_.held(folder):
        assert complaint(*run("--resume")) == f"{folder}: another process goes on with this run: wait for its end"
    with simulate.edited(folder / "numpy.0.json") as content:
        content["mlpbench"].pop("ran")
    assert "numpy.0.json: it does not say how long it took" in complaint(*run("--resume"))
    assert "no run, file or folder" in complaint(*run("--resume", "nothing"))
    assert "no run in this folder" in complaint(*run("--resume", tmp_path))


def test_one_setting_of_a_sweep_alone_is_not_resumed(run, tmp_path):
    run(*SIX, "--threads", "2", stop_after=3)
    told = complaint(*run("--resume", folder_of(tmp_path) / "threads-2"))
    assert "one setting of a sweep: resume the sweep" in told
    with simulate.edited(folder_of(tmp_path) / "run.json") as content:
        content["mlpbench"]["order"].append(["threads-9", "numpy", 0])
    assert "mlpbench.order: no plan has numpy in threads-9" in complaint(*run("--resume", folder_of(tmp_path)))
