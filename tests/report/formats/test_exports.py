"""Exports: seconds per sample, the median with its interval, under names that mean the same in every run."""

import csv
import io
import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from msgspec.structs import replace as changed

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import make_settings
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.report.formats import action_benchmark, asv, bencher, otava
from mlpbench.bench.stats.estimates import MEDIAN_FACTORS, student
from support import simulate

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}
NETWORK = "784-50-100-10 sigmoid/softmax float32, 2 threads"
#: https://bencher.dev/bmf.json, but for what only names it.
BMF = {
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
                    "required": ["value"],
                }
            },
        }
    },
}


@pytest.fixture
def run(tmp_path):
    return runs.read_run(simulate.write_run(tmp_path, TIMES, noise=0.02, repeats=4))


@pytest.fixture
def once(tmp_path):
    return runs.read_run(simulate.write_run(tmp_path / "once", TIMES, repeats=1, noise=0, seed=5))


def cases(run):
    return {(case.kernel, case.mode): case for case in summarize([run])}


def test_bencher_gets_the_median_and_the_interval_as_bounds(run, once):
    found = json.loads(bencher.render([run]))
    jsonschema.validate(found, BMF)
    sample = cases(run)["numpy", "batched"].sample
    metric = found[f"numpy/batched/100 ({NETWORK})"]["seconds-per-sample"]
    assert metric == {"value": sample.value, "lower_value": sample.low, "upper_value": sample.high}
    assert len(found) == len(TIMES)
    assert max(map(len, found)) < 1024, "Bencher's limit of a name"
    jsonschema.validate(found := json.loads(bencher.render([once])), BMF)
    assert found[f"numpy/batched/100 ({NETWORK})"]["seconds-per-sample"] == {"value": 2e-6}, "one repeat: no bounds"


def test_github_action_benchmark_gets_an_array_of_results(run, once):
    found = json.loads(action_benchmark.render([run]))
    sample = cases(run)["numba", "batched"].sample
    (one,) = [result for result in found if result["name"].startswith("numba/batched/100 ")]
    assert (one["unit"], one["value"]) == ("s/sample", sample.value)
    assert one["range"] == f"{sample.low:.6g} to {sample.high:.6g}"
    assert "4 repeats" in one["extra"]
    assert {"range"} == found[0].keys() - json.loads(action_benchmark.render([once]))[0].keys()


def test_those_that_keep_one_value_take_one_run(run, once):
    for writer, who in ((bencher, "bencher"), (action_benchmark, "github-action-benchmark")):
        with pytest.raises(UserError, match=f"{who} takes one run at a time"):
            writer.render([run, once])


def test_otava_gets_a_row_for_each_run_and_a_column_for_each_case(run, tmp_path):
    more = {**TIMES, ("numpy-out", "batched", 100): 3e-6}
    later = runs.read_run(simulate.write_run(tmp_path, more, repeats=1, seed=60))
    rows = list(csv.DictReader(io.StringIO(otava.render([later, run]))))
    assert [row["run"] for row in rows] == [run.id, later.id], "the oldest first"
    sample = cases(run)["numpy", "batched"].sample
    name = f"numpy/batched/100 ({NETWORK})"
    assert [float(rows[0][name + end]) for end in ("", " low", " high")] == [sample.value, sample.low, sample.high]
    assert (rows[1][f"{name} low"], rows[0][f"numpy-out/batched/100 ({NETWORK})"]) == ("nan", "nan")
    assert rows[0]["commit"] == simulate.COMMIT
    test = json.loads(otava.configuration([run], "x.csv"))["tests"]["mlpbench"]
    assert test["metrics"][name] == {"column": name, "direction": -1, "scale": 1}
    assert {test["time_column"], *test["attributes"], *(metric["column"] for metric in test["metrics"].values())} <= {
        *rows[0]
    }


def test_runs_of_two_machines_are_no_history(run, tmp_path):
    other = simulate.environment(machine={"name": "bigbox"})
    elsewhere = runs.read_run(simulate.write_run(tmp_path / "b", TIMES, seed=1, environment=other))
    with pytest.raises(UserError, match="the runs of one machine, and these are of bigbox, testbox"):
        otava.render([run, elsewhere])


def test_asv_gets_a_results_folder(run):
    files = {name: json.loads(text) for name, text in asv.render([run]).items()}
    assert set(files) == {"benchmarks.json", "testbox/machine.json", "testbox/0123abcd-mlpbench.json"}
    found = files["testbox/0123abcd-mlpbench.json"]
    values = dict(zip(found["result_columns"], found["results"]["mlpbench.batched"], strict=True))
    case = cases(run)["numba", "batched"]
    at = values["params"][0].index("'numba'")
    logs = np.log(list(case.by_repeat.values()))
    half = student(0.995, len(logs) - 1) * np.std(logs, ddof=1) * MEDIAN_FACTORS[len(logs)] / np.sqrt(len(logs))
    wide = case.sample.value * np.exp([0, -half, half])
    assert [values[name][at] for name in ("result", "stats_ci_99_a", "stats_ci_99_b")] == pytest.approx(list(wide))
    assert files["benchmarks.json"]["mlpbench.batched"]["params"] == values["params"]
    assert values["params"][1:] == [["100"], [f"'{NETWORK}'"]]


def test_what_a_folder_of_asv_lists_stays_and_grows(run, once):
    listed = {"theirs.time_x": {"name": "theirs.time_x"}, **json.loads(asv.render([once])["benchmarks.json"])}
    listed["mlpbench.batched"]["params"][0] = ["'older'"]
    found = json.loads(asv.render([run], listed)["benchmarks.json"])
    assert found["theirs.time_x"] == {"name": "theirs.time_x"}
    assert found["mlpbench.batched"]["params"][0] == ["'older'", "'numpy'", "'numba'"]


def test_asv_keeps_one_result_of_a_commit(run, once):
    with pytest.raises(UserError, match="commit on a machine, and 0123abcd was measured twice"):
        asv.render([run, once])


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", ".hidden"])
def test_no_name_in_a_file_becomes_a_path(run, name):
    machine = changed(run.environment.machine, name=name)
    with pytest.raises(UserError, match="cannot be the name of a machine's folder"):
        asv.render([replace(run, environment=changed(run.environment, machine=machine))])


@pytest.mark.parametrize("commit", [None, "", "nocommit", "../0123abcd"])
def test_without_a_commit_there_is_nothing_to_key_by(run, commit):
    git = changed(run.environment.git, commit=commit)
    for writer in (asv, otava):
        with pytest.raises(UserError, match="say which commit it is of with --commit"):
            writer.render([replace(run, environment=changed(run.environment, git=git))])


def test_two_environments_of_one_run_have_names_of_their_own(tmp_path):
    settings = make_settings(["784-50-100-10"], [2], ["float32"], ["old", "new"])
    path = simulate.write_sweep(tmp_path, TIMES, settings, lambda _: 1.0)
    found = json.loads(bencher.render(runs.read_runs(path)))
    assert len(found) == 2 * len(TIMES)
    assert f"numpy/batched/100 ({NETWORK}, env old)" in found
    assert len(json.loads(action_benchmark.render(runs.read_runs(path)))) == 2 * len(TIMES)
    listed = json.loads(asv.render(runs.read_runs(path))["benchmarks.json"])
    assert listed["mlpbench.batched"]["params"][2] == [f"'{NETWORK}, env {env}'" for env in ("old", "new")]
    assert otava.render(runs.read_runs(path)).count("\n") == 2, "one run is one row"


def test_records_of_one_process_are_not_a_run(run):
    records = [runs.read_run(run.path / f"numpy.{repeat}.json") for repeat in (0, 1)]
    with pytest.raises(UserError, match="bencher takes one run at a time"):
        bencher.render(records)
