"""`mlpbench.compare`: runs, kernels and results, as the command has them."""

import json

import pytest

import mlpbench
from support import simulate
from support.terminal import called

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}


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
    with pytest.raises(mlpbench.UserError, match="give two sides, or one and by="):
        mlpbench.compare(two[0])
    other = simulate.environment(machine={"name": "bigbox"})
    elsewhere = simulate.write_run(tmp_path / "b", TIMES, environment=other)
    with pytest.raises(mlpbench.NothingComparable, match="machine: testbox against bigbox"):
        mlpbench.compare(two[0], elsewhere)
    assert mlpbench.compare(two[0], elsewhere, anyway=True).differences
    with pytest.raises(mlpbench.UserError, match="cannot read the threshold 'much'"):
        mlpbench.compare(*two, "much")
