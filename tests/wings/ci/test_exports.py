"""Exports: seconds per sample, the median with its interval, under names that mean the same in every run."""

import json

import jsonschema
import pytest

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import make_settings
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.wings.ci import exports
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
    return simulate.read(simulate.write_run(tmp_path, TIMES, noise=0.02, repeats=4))


@pytest.fixture
def once(tmp_path):
    return simulate.read(simulate.write_run(tmp_path / "once", TIMES, repeats=1, noise=0, seed=5))


def exported(*chosen, to="bencher"):
    return json.loads(exports.render(chosen, to))


def cases(run):
    return {(case.kernel, case.mode): case for case in summarize([run])}


def test_bencher_gets_the_median_and_the_interval_as_bounds(run, once):
    found = exported(run)
    jsonschema.validate(found, BMF)
    sample = cases(run)["numpy", "batched"].sample
    metric = found[f"numpy/batched/100 ({NETWORK})"]["seconds-per-sample"]
    assert metric == {"value": sample.value, "lower_value": sample.low, "upper_value": sample.high}
    assert len(found) == len(TIMES)
    assert max(map(len, found)) < 1024, "Bencher's limit of a name"
    jsonschema.validate(found := exported(once), BMF)
    assert found[f"numpy/batched/100 ({NETWORK})"]["seconds-per-sample"] == {"value": 2e-6}, "one repeat: no bounds"


def test_github_action_benchmark_gets_an_array_of_results(run, once):
    found = exported(run, to="github-action-benchmark")
    sample = cases(run)["numba", "batched"].sample
    (one,) = [result for result in found if result["name"].startswith("numba/batched/100 ")]
    assert (one["unit"], one["value"]) == ("s/sample", sample.value)
    assert one["range"] == f"{sample.low:.6g} to {sample.high:.6g}"
    assert "4 repeats" in one["extra"]
    assert {"range"} == found[0].keys() - exported(once, to="github-action-benchmark")[0].keys()


def test_those_that_keep_one_value_take_one_run(run, once):
    for who in exports.CONSUMERS:
        with pytest.raises(UserError, match=f"{who} takes one run at a time"):
            exported(run, once, to=who)


def test_two_environments_of_one_run_have_names_of_their_own(tmp_path):
    settings = make_settings(["784-50-100-10"], [2], ["float32"], ["old", "new"])
    path = simulate.write_sweep(tmp_path, TIMES, settings, lambda _: 1.0)
    found = exported(*runs.read_runs(path))
    assert len(found) == 2 * len(TIMES)
    assert f"numpy/batched/100 ({NETWORK}, env old)" in found
    assert len(exported(*runs.read_runs(path), to="github-action-benchmark")) == 2 * len(TIMES)


def test_records_of_one_process_are_not_a_run(run):
    records = [runs.read_run(run.path / f"numpy.{repeat}.json") for repeat in (0, 1)]
    with pytest.raises(UserError, match="bencher takes one run at a time"):
        exported(*records)
