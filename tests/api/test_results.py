"""Saved results in Python: the frames hold what reports say, and objects show themselves without trusting a text."""

import json
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as changed

import mlpbench
from mlpbench.bench.analysis import frame
from mlpbench.bench.cases import make_settings
from mlpbench.bench.record import runs
from mlpbench.bench.report import render
from support import simulate
from support.terminal import called, refusal

TIMES = simulate.by_case(numpy={"one": 2e-5, 100: 2e-6}, numba={"one": 1e-5, 100: 1e-6})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return mlpbench.load(simulate.write_run(tmp_path_factory.mktemp("results"), TIMES, noise=0.01, repeats=4))


def test_cases_are_those_of_the_report(results):
    told = json.loads(render.render(runs.read_runs(results.runs[0].path), "json"))["cases"]
    rows = results.cases().to_dict("records")
    assert len(rows) == len(told) == len(TIMES)
    for row, case in zip(rows, told, strict=True):
        for name in ("run", "kernel", "mode", "batch_size", "samples_per_s", "rounds", "repeats", "disturbed"):
            assert row[name] == case[name]
        for column, estimate in (("sample", case["sample_s"]), ("speedup", case["speedup"])):
            unit = "_s" if column == "sample" else ""
            found = [row[f"{column}{part}{unit}"] for part in ("", "_low", "_high")]
            expected = [estimate[end] if estimate else np.nan for end in ("value", "low", "high")]
            np.testing.assert_equal(found, expected)


def test_rounds_make_the_repeats_and_repeats_make_the_cases(results):
    rounds, repeats = results.rounds(), results.repeats()
    keys = ["kernel", "mode", "batch_size"]
    by_repeat = rounds[rounds.used].groupby([*keys, "repeat"])["call_s"].quantile(0.1)
    assert by_repeat.to_dict() == pytest.approx(repeats.set_index([*keys, "repeat"])["call_s"].to_dict())
    assert len(rounds) == repeats["rounds"].sum()
    assert (rounds.groupby([*keys, "repeat"])["round"].max() == 19).all()


@pytest.mark.parametrize(
    ("name", "columns"), [("cases", frame.CASES), ("repeats", frame.COLUMNS), ("rounds", frame.ROUNDS)]
)
def test_frames_have_their_columns_and_dtypes_even_without_a_row(results, name, columns):
    empty = mlpbench.Results(tuple(replace(run, records=(), times=()) for run in results.runs))
    assert empty._repr_markdown_()
    for found in (getattr(results, name)(), getattr(empty, name)()):
        assert list(found) == list(columns)
        told = {column: dtype for column, (dtype, _) in columns.items() if dtype != "str"}
        assert {column: str(found[column].dtype) for column in told} == told
    assert len(getattr(empty, name)()) == 0


def test_load_finds_runs_as_the_commands_do_and_whole_folders(tmp_path, monkeypatch):
    older, newer = (simulate.write_run(tmp_path / "results", TIMES, seed=seed) for seed in (0, 9))
    monkeypatch.chdir(tmp_path)
    names = [older.name, newer.name]
    for given, expected in (
        ((), names[1:]),
        (("latest",), names[1:]),
        ((older.name,), names[:1]),
        (([older, newer],), names),
        ((tmp_path / "results",), names),
        ((older.parent,), names),
        ((older / "numpy.0.json",), names[:1]),
    ):
        assert [run.id for run in mlpbench.load(*given).runs] == expected, given
    assert [run.id for run in mlpbench.load(older.name, results=tmp_path / "results").runs] == names[:1]
    (tmp_path / "empty").mkdir()
    for given, said in (
        ((older, older), f"{older.name} is named twice"),
        (("elsewhere",), "no run, file or folder 'elsewhere'"),
        (("empty",), "no run in this folder"),
    ):
        assert said in refusal(mlpbench.load, *given)


def test_two_kernels_are_compared_as_the_command_does(results):
    found = results.compare("numpy", "numba", "5%")
    assert (found.paired, found.threshold, found.slower) == (True, 0.05, ())
    assert list(found.cases()) == list(frame.COMPARED)
    for row, case in zip(found.cases().to_dict("records"), found.as_dict()["cases"], strict=True):
        ends = [case["baseline_s"]["value"], case["candidate_s"]["value"], case["speedup"]["low"], case["verdict"]]
        assert [row[name] for name in ("baseline_s", "candidate_s", "speedup_low", "verdict")] == ends
    assert results.compare("numba", "numpy").slower
    said = refusal(results.compare, "numpy", "numbas")
    assert said.startswith("no kernel 'numbas' in ")
    assert " (did you mean numba?)" in said


def test_settings_of_one_run_are_told_apart(tmp_path):
    settings = make_settings(["784-50-100-10"], [1], ["float32"], ["old", "new"])
    found = mlpbench.load(simulate.write_sweep(tmp_path, TIMES, settings, lambda _: 1.0, repeats=4))
    by_kernel = found.compare("numpy", "numba").cases()
    assert by_kernel.groupby("setting").size().to_dict() == {"env new": 2, "env old": 2}
    by_env = mlpbench.compare(found, by="env")
    assert (by_env.paired, len(by_env.cases())) == (True, len(TIMES))


HOSTILE = "<img src=x onerror=alert(1)>"


def test_an_object_shows_itself_and_escapes_what_files_say(results):
    text = results._repr_markdown_()
    assert (text.count("\n|"), "numba" in text) == (2 + len(TIMES), True)
    (run,) = results.runs
    machine = changed(run.environment.machine, name=HOSTILE)
    hostile = replace(run, environment=changed(run.environment, machine=machine), damaged=(f"a.json: {HOSTILE}",))
    shown = mlpbench.Results((hostile,))._repr_markdown_()
    assert shown.count("&lt;img") == 2
    compared = results.compare("numpy", "numba")
    rows = tuple(replace(row, baseline_kernel=HOSTILE, candidate_kernel=HOSTILE) for row in compared.rows)
    named = replace(compared, rows=rows, baseline=HOSTILE, notes=(HOSTILE,))
    assert "<img" not in shown + named._repr_markdown_()
    assert repr(results) == f"<mlpbench results: {run.id} (numpy, numba)>"


# -- two sides


@pytest.fixture
def two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    times = {case: 1.2 * call_s for case, call_s in TIMES.items()}
    return [simulate.write_run("results", each, seed=seed) for seed, each in enumerate((TIMES, times))]


def test_it_says_what_the_command_prints_as_json(two, capsys):
    status, out, _ = called(capsys, "compare", *two, "--json", "--fail-if-slower", "1%")
    found = mlpbench.compare(*two, "1%")
    assert json.loads(out) == json.loads(json.dumps(found.as_dict()))
    assert status == int(bool(found.slower))
    by_name = mlpbench.compare(two[0].name, two[1].name, "1%", results=two[0].parents[1])
    loaded = mlpbench.compare(*map(mlpbench.load, two), threshold="1%")
    assert by_name.as_dict() == loaded.as_dict() == found.as_dict()


def test_what_cannot_be_compared_is_one_line(two, tmp_path):
    assert "give two sides, or one and by=" in refusal(mlpbench.compare, two[0])
    other = simulate.environment(machine={"name": "bigbox"})
    elsewhere = simulate.write_run(tmp_path / "b", TIMES, environment=other)
    said = refusal(mlpbench.compare, two[0], elsewhere, kind=mlpbench.NothingComparable)
    assert "machine: testbox against bigbox" in said
    assert mlpbench.compare(two[0], elsewhere, anyway=True).differences
    assert "cannot read the threshold 'much'" in refusal(mlpbench.compare, *two, "much")
