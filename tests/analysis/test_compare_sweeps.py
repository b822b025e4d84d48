"""Two sweeps are compared setting by setting, two kernels of one sweep and two of its settings likewise."""

import json

import pytest

from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.analysis.sides import by_axis, parse_sides
from mlpbench.bench.cases import make_settings
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.stats import verdicts
from support import simulate
from support.runs.sides import STEADY, TIMES

NET = "784-50-100-10"
TWO = make_settings([NET], [1, 2], ["float32"])
QUIET = {"noise": 0.002, "repeats": 8}


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def slow_with_two_threads(setting):
    return 1.5 if setting.threads == 2 and setting.env != "old" else 1.0


def sweep(results, settings=TWO, times=TIMES, factor=lambda setting: 1.0, seed=1, **more):
    return simulate.write_sweep(results, times, settings, factor, seed=seed, **{**QUIET, **more})


def sides(results, *texts):
    return [parse_sides(str(text), results) for text in texts]


def unmatched(found):
    return [str(item) for item in found.unmatched]


def test_two_sweeps_are_compared_setting_by_setting(results):
    a, b = sweep(results), sweep(results, factor=slow_with_two_threads, seed=2)
    found = compare(*sides(results, a, b), level=STEADY)
    assert (found.baseline, found.candidate, found.paired) == (a.name, b.name, False)
    told = {(row.setting, row.verdict) for row in found.rows}
    assert told == {("1 thread", "not slower"), ("2 threads", "slower")}
    assert (found.unmatched, found.differences) == ((), ())
    assert {row.label for row in found.slower} == {"numpy, 2 threads", "numba, 2 threads"}
    cases = json.loads(json.dumps(found.as_dict(), allow_nan=False))["cases"]
    assert [case["candidate_setting"]["threads"] for case in cases] == [1] * 4 + [2] * 4
    assert {case["baseline_setting"]["dtype"] for case in cases} == {"float32"}
    with pytest.raises(UserError, match="nothing to compare: both sides are "):
        compare(*sides(results, b, "latest"))
    # The correction is for the rows of all settings.
    alone = compare(*sides(results, a / "threads-1", b / "threads-1"), level=STEADY)
    assert not alone.paired, "settings of two sweeps"
    for whole, number in ((found, 8), (alone, 4)):
        assert len(whole.rows) == number
        assert [row.p_adjusted for row in whole.rows] == verdicts.adjusted([row.p for row in whole.rows])


def test_two_kernels_or_settings_of_a_sweep_are_paired(results):
    a = sweep(results, factor=lambda setting: 1 / setting.threads)
    kernels = compare(*sides(results, "numpy", "numba"))
    assert (kernels.paired, kernels.baseline) == (True, f"{a.name}:numpy")
    assert [row.setting for row in kernels.rows] == ["1 thread"] * 2 + ["2 threads"] * 2
    both = sides(results, "latest/threads-1", "latest/threads-2")
    with pytest.raises(NothingComparable, match="threads: 1 against 2"):
        compare(*both)
    found = compare(*both, by="threads")
    assert (found.paired, found.baseline, found.candidate) == (True, "threads 1", "threads 2")
    assert {(row.verdict, row.setting) for row in found.rows} == {("faster", None)}, "the title says which they are"
    named = compare(*both, anyway=True)
    assert (named.baseline, named.candidate) == (f"{a.name}.threads-1", f"{a.name}.threads-2")
    assert "threads: 1 against 2" in named.differences
    assert parse_sides(f"{named.baseline}:numba", results)[0].kernel == "numba", "as the command line takes it"


def test_settings_of_other_networks_are_refused_as_runs_are(results):
    a = sweep(results, make_settings([NET], [1], ["float32", "float64"]))
    with pytest.raises(NothingComparable, match="not comparable, spec: "):
        compare(*sides(results, a / "float32", a / "float64"))
    assert len(compare(*sides(results, a / "float32", a / "float64"), anyway=True).rows) == 4


def test_what_only_one_sweep_has_is_named(results):
    skipped = {"threads-2": [{"kernel": "numba", "reason": "no second thread"}]}
    a, b = sweep(results, skipped=skipped), sweep(results, make_settings([NET], [2, 4], ["float32"]), seed=2)
    found = compare(*sides(results, f"{a}:numpy", b))
    assert {row.setting for row in found.rows} == {"2 threads"}
    assert unmatched(found) == [
        f"numpy, 1 thread: not in {b.name}: no such setting",
        f"4 threads: not in {a.name}:numpy: no such setting",
    ]
    found = compare(*sides(results, a, sweep(results, seed=3)))
    assert len(found.rows) == 6
    reason = f"not in {a.name}.threads-2: skipped: no second thread"
    assert set(unmatched(found)) == {f"numba {case}, 2 threads: {reason}" for case in ("per_sample 100", "batched 100")}


def test_a_sweep_against_a_run_takes_the_setting_that_is_alike(results):
    a = sweep(results, factor=lambda setting: 1 / setting.threads)
    run = simulate.write_run(results, TIMES, seed=5, **QUIET)  # with 2 threads
    found = compare(*sides(results, run, a))
    assert {(row.setting, row.verdict) for row in found.rows} == {("2 threads", "faster")}
    assert (found.baseline, found.candidate, found.unmatched) == (run.name, a.name, ())
    assert compare(*sides(results, a, f"{run}:numpy")).rows
    other = sweep(results, make_settings([NET], [3, 4], ["float32"]), seed=7)
    with pytest.raises(NothingComparable, match="no setting is on both sides: ") as error:
        compare(*sides(results, other, run))
    assert f"{other.name} (3 threads; 4 threads) against {run.name} ({NET}, 2 threads, float32)" in str(error.value)


def by(results, path, wanted):
    axis, left, right = by_axis(parse_sides(str(path), results), wanted)
    return compare(left, right, level=STEADY, by=axis)


def test_the_environments_of_a_sweep_are_compared_paired_and_in_each_other_setting(results):
    envs = make_settings([NET], [1, 2], ["float32"], ["old", "new"])
    path = sweep(results, envs, factor=slow_with_two_threads)
    found = by(results, path, "env")
    assert (found.baseline, found.candidate, found.paired, len(found.rows)) == ("old", "new", True, 8)
    assert {(row.setting, row.verdict) for row in found.rows} == {("1 thread", "not slower"), ("2 threads", "slower")}
    turned = by(results, path, "env=new,old")
    assert {row.verdict for row in turned.rows if row.setting == "2 threads"} == {"faster"}
    # Another axis of the same sweep: in each environment.
    assert {row.setting for row in by(results, path, "threads").rows} == {"env old", "env new"}


def test_an_axis_without_two_sides_is_told(results):
    path = sweep(results, make_settings([NET], [1], ["float32"], ["old", "new", "third"]), repeats=2)
    one = compare(*sides(results, path / "env-old", path / "env-new"), level=STEADY)
    assert (one.paired, {row.setting for row in one.rows}) == (True, {None}), "a setting is a side like any other"
    for wanted, expected in (
        ("envs", "'envs' is no axis (did you mean env?); there are spec, threads, dtype, env"),
        ("env", "it takes two values, as env=OLD,NEW; this run has old, new, third"),
        ("env=old", "it takes two values, as env=OLD,NEW"),
        ("env=old,old", "it takes two values, as env=OLD,NEW"),
        ("env=old,nwe", "no env 'nwe' in this run (did you mean new?): old, new, third"),
        ("threads", "it takes two values, as threads=OLD,NEW; this run has 1"),
    ):
        with pytest.raises(UserError) as error:
            by(results, path, wanted)
        assert expected in str(error.value)
