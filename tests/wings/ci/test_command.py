"""`mlpbench export` as people type it."""

import json

import pytest

from support import simulate
from support.terminal import called, complaint

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate.write_run(tmp_path / "results", TIMES)
    return tmp_path / "results"


def test_to_stdout_and_to_a_file(capsys, results, tmp_path):
    for who in ("bencher", "github-action-benchmark"):
        status, out, err = called(capsys, "export", "--to", who)
        assert (status, err, len(json.loads(out))) == (0, "", len(TIMES))
        assert called(capsys, "export", "--to", who, "-o", "a.json") == (0, "", "wrote a.json\n")
        assert (tmp_path / "a.json").read_text() == out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--to is missing; there are bencher, github-action-benchmark"),
        (("--to", "bench"), "unknown --to 'bench' (did you mean bencher?); there are "),
        (("--to", "bencher", "-o", "no/where.json"), "cannot write no/where.json: No such file or directory"),
        (("--to", "bencher", "-o", "file/below"), "cannot write "),
    ],
)
def test_bad_input_is_one_line(capsys, results, tmp_path, words, said):
    (tmp_path / "file").write_text("")
    assert complaint(*called(capsys, "export", *words)).startswith(said)


def test_uncommitted_changes_are_said(capsys, tmp_path):
    dirty = simulate.environment(git={"dirty": True})
    run = simulate.write_run(tmp_path / "results", TIMES, environment=dirty)
    assert called(capsys, "export", run, "--to", "bencher")[2] == (
        f"warning: {run.name} was measured with uncommitted changes\n"
    )
