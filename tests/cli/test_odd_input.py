"""Odd names, odd files, odd terminals: one line at most, never a traceback, and nothing that a reader would obey."""

import json
import os
import subprocess

import pytest

from mlpbench.bench.record import runs
from support import simulate
from support.terminal import argv, called, complaint, variables

TIMES = {("numpy", mode, size): 1e-6 for mode, size in (("per_sample", 100), ("batched", 100))}
TIMES |= {("numba", mode, size): 2e-6 for mode, size in (("per_sample", 100), ("batched", 100))}


@pytest.fixture
def run(tmp_path):
    return simulate.write_run(tmp_path / "results", TIMES)


def piped(*words, cwd, out=subprocess.PIPE, **changes):
    return subprocess.run(
        argv(*words), cwd=cwd, env=variables(**changes), stdout=out, stderr=-1, text=True, check=False
    )


def test_a_terminal_that_knows_ascii_alone(run):
    ended = piped("report", run, cwd=run, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.isascii()
    assert " ?s" in ended.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
@pytest.mark.parametrize("words", [["report", "--format", "json"], ["explain"]])
def test_an_output_that_is_full(run, words):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = piped(*words, "--results", run.parents[1], cwd=run, out=full)
    assert (ended.returncode, ended.stderr) == (2, "mlpbench: cannot write: No space left on device\n")


def test_odd_names_of_homes_and_machines_and_a_budget_that_is_null(capsys, monkeypatch, tmp_path, run):
    monkeypatch.chdir(tmp_path)
    assert complaint(*called(capsys, "report", "~nobody9")).startswith("no run, file or folder '~nobody9'")
    assert "~nobody9: no such file or folder" in complaint(*called(capsys, "run", "numpy", "--env", "a=~nobody9"))
    long = simulate.environment(machine={"name": "m" * 300, "cpu_model": "\uff1d1+1"})
    weights = {"source": "\uff1d1+1", "sha256": "e" * 64}
    there = simulate.write_run(tmp_path / "long", TIMES, environment=long, weights=weights)
    assert called(capsys, "compare", "numpy", "numba", "--results", tmp_path / "long")[::2] == (1, "")
    _, out, _ = called(capsys, "report", there, "--format", "csv")
    assert "\uff1d" not in out.replace("'\uff1d", ""), "a formula of full width is none"
    with simulate.edited(run / "run.json") as content:
        content["mlpbench"]["plan"] |= {"target": 0.02, "budget_s": None}
        content["mlpbench"]["ending"] = {"spent_s": 1, "left_out": [["numpy", 0]]}
    assert called(capsys, "report", run)[0] == 0


@pytest.mark.parametrize("name", ["\u202eevil\u2066", "\x1b[31mred", "\udcff"])
def test_names_of_files_move_no_text(capsys, run, tmp_path, name):
    target = tmp_path / f"report{name}.md"
    status, _, err = called(capsys, "report", run, "-o", target)
    assert status == 0
    assert target.exists()
    assert err.replace("\n", "").isprintable()
    for format_ in ("md", "html", "csv", "json"):
        renamed = run.rename(run.with_name(f"20270101T000000Z-{name}"))
        assert called(capsys, "report", renamed, "--format", format_)[0] == 0
        renamed.rename(run)


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        (
            "numpy.0.json",
            lambda head: head["kernel_info"].pop("max_error"),
            "numpy.0.json has times, and does not say that its",
        ),
        ("numpy.0.json", lambda head: head.pop("kernel_info"), "numpy.0.json has times, and does not say what its"),
        (
            "run.json",
            lambda head: head.update(ending={"spent_s": 1, "ended": "1999-01-01T00:00:00+00:00"}),
            "it ended at 1999-01-01T00:00:00+00:00, before it started at 2026-",
        ),
    ],
)
def test_what_contradicts_itself_is_named(capsys, run, path, change, words):
    assert runs.read_run(run).contradictions == ()
    with simulate.edited(run / path) as content:
        change(content["mlpbench"])
    (first, *_) = runs.read_run(run).contradictions
    assert first.startswith(words)
    status, out, _ = called(capsys, "report", run)
    assert status == 0
    assert "The run contradicts itself: " in out


def test_roofs_that_nothing_reaches_are_left_out(run):
    measured = [{"name": "matrix product", "threads": 1, "unit": "flop", "work": 10**15, "data": [1e-12]}]
    head = {"schema": 1, "kind": "roofs", "roofs": {"dtype": "float32", "measured": measured}}
    (run / "roofs.json").write_text(json.dumps({"mlpbench": head}))
    (line,) = runs.read_run(run).damaged
    assert "1e+27 a second: nothing does so much; this is a damaged file" in line
