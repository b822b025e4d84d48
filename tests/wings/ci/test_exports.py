"""`mlpbench export`: the median per sample with its interval, under names that mean the same in every run."""

import json

import pytest

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import make_settings
from mlpbench.bench.record import runs
from mlpbench.bench.wings.ci import exports
from support import simulate
from support.terminal import called

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}
NETWORK = "784-50-100-10 sigmoid/softmax float32, 2 threads"


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
    sample = cases(run)["numpy", "batched"].sample
    metric = found[f"numpy/batched/100 ({NETWORK})"]["seconds-per-sample"]
    assert metric == {"value": sample.value, "lower_value": sample.low, "upper_value": sample.high}
    assert len(found) == len(TIMES)
    assert max(map(len, found)) < 1024, "Bencher's limit of a name"
    assert exported(once)[f"numpy/batched/100 ({NETWORK})"]["seconds-per-sample"] == {"value": 2e-6}, (
        "one repeat: no bounds"
    )


def test_github_action_benchmark_gets_an_array_of_results(run, once):
    found = exported(run, to="github-action-benchmark")
    sample = cases(run)["numba", "batched"].sample
    (one,) = [result for result in found if result["name"].startswith("numba/batched/100 ")]
    assert (one["unit"], one["value"]) == ("s/sample", sample.value)
    assert one["range"] == f"{sample.low:.6g} to {sample.high:.6g}"
    assert "4 repeats" in one["extra"]
    assert {"range"} == found[0].keys() - exported(once, to="github-action-benchmark")[0].keys()


def test_two_environments_of_one_run_have_names_of_their_own(tmp_path):
    settings = make_settings(["784-50-100-10"], [2], ["float32"], ["old", "new"])
    path = simulate.write_sweep(tmp_path, TIMES, settings, lambda _: 1.0)
    found = exported(*runs.read_runs(path))
    assert len(found) == 2 * len(TIMES)
    assert f"numpy/batched/100 ({NETWORK}, env old)" in found
    assert len(exported(*runs.read_runs(path), to="github-action-benchmark")) == 2 * len(TIMES)


@pytest.mark.parametrize("who", exports.CONSUMERS)
def test_what_it_writes_is_all_of_stdout(capsys, run, who):
    status, out, err = called(capsys, "export", run.path, "--to", who)
    assert (status, err, len(json.loads(out))) == (0, "", len(TIMES))


def test_uncommitted_changes_are_said(capsys, tmp_path):
    path = simulate.write_run(tmp_path, TIMES, environment=simulate.environment(git={"dirty": True}))
    said = called(capsys, "export", path, "--to", "bencher")[2]
    assert said == f"warning: {path.name} was measured with uncommitted changes\n"
