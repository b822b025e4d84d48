"""What makes two sides incomparable, and what the number of cases does to a verdict."""

import pytest

from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.analysis.sides import Side
from mlpbench.bench.errors import NothingComparable
from mlpbench.bench.record.runs import read_run
from mlpbench.bench.stats.drift import Drifts
from mlpbench.bench.stats.estimates import NO_DRIFT, Drift
from support import simulate, trusting

TIMES = {
    ("numpy", "per_sample", 100): 2e-5,
    ("numpy", "batched", 100): 2e-6,
    ("numba", "per_sample", 100): 4e-6,
    ("numba", "batched", 100): 1e-6,
}
#: On a machine where whole runs do not wander.
STEADY = Drifts(NO_DRIFT, NO_DRIFT)


def run(folder, times=TIMES, **settings):
    return read_run(simulate.write_run(folder, times, **settings))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"environment": simulate.environment(machine={"name": "bigbox"})}, "machine: testbox against bigbox"),
        ({"spec": {**simulate.SPEC, "sizes": [784, 10]}}, "spec: 784-50-100-10 .* against 784-10 "),
        (
            {"data": {"name": "mnist", "rows": 1000, "sha256": "d" * 64, "source": "x"}},
            "data: name: digits against mnist",
        ),
        ({"weights": {"source": "trained", "sha256": "b" * 64}}, "weights: sha256: e+ against b+"),
    ],
)
def test_another_machine_network_data_or_weights_are_refused_unless_asked_for(tmp_path, changes, told):
    a, b = run(tmp_path, seed=1), run(tmp_path, seed=2, **changes)
    with pytest.raises(NothingComparable, match=f"^not comparable, {told}.*--anyway") as error:
        compare(a, b)
    assert "\n" not in str(error.value)
    assert len(compare(a, b, anyway=True).rows) == 4


def test_other_threads_and_blas_are_named_and_compared(tmp_path):
    other = simulate.environment(threads=8, blas=[{"internal_api": "mkl", "version": "1"}])
    found = compare(run(tmp_path, seed=1), run(tmp_path, seed=2, environment=other))
    assert "threads: 2 against 8" in found.differences
    assert len(found.rows) == 4


# -- the correction for the number of cases, and what an unclear case needs


def test_the_number_of_cases_counts(tmp_path):
    """The same times of the same case: a verdict where it is alone, none as one of forty."""

    def two_runs(folder, others):
        slow, same = ("numpy", "batched", 7), [("numpy", "batched", 100 + i) for i in range(others)]
        settings = {"repeats": 5, "noise": 0.01, "rounds": 3}
        first = run(folder, {slow: 1e-6, **dict.fromkeys(same, 1e-6)}, seed=11, **settings)
        second = run(folder, {slow: 1.05e-6, **dict.fromkeys(same, 1e-6)}, seed=12, **settings)
        return compare(first, second, drifts=STEADY)

    (alone,) = two_runs(tmp_path / "alone", 0).rows
    assert alone.verdict == "slower"
    assert alone.p_adjusted == alone.p
    many = two_runs(tmp_path / "many", 39).rows
    assert len(many) == 40
    assert all(row.p_adjusted >= row.p for row in many)
    assert many[0].p_adjusted > many[0].p


def test_an_unclear_case_says_how_many_repeats_would_tell(tmp_path):
    found = compare(run(tmp_path, seed=1, noise=0.05), run(tmp_path, seed=2, noise=0.05), drifts=STEADY)
    assert found.unclear
    assert all(row.repeats_needed is None or row.repeats_needed > 3 for row in found.unclear)
    assert any(row.repeats_needed for row in found.unclear)
    assert all(row.repeats_needed is None for row in found.rows if row.verdict != "unclear")


# -- what two runs differ by anyway


def threads(alone):
    """The block of a process whose case one thread worked on, or two."""
    windows = [trusting.window(mode, process_s=0.5 if alone else 0.9) for mode in ("per_sample", "batched")]
    return trusting.block(*windows)


def slower_run(folder, factor, **settings):
    quiet = {"noise": 0.002, "repeats": 8, **settings}
    other = {case: value * factor for case, value in TIMES.items()}
    return run(folder, seed=1, **quiet), run(folder, other, seed=2, **quiet)


@pytest.mark.parametrize(
    ("settings", "factor", "verdict"),
    [
        ({"trust": threads(alone=True)}, 1.05, "slower"),
        ({"trust": threads(alone=False)}, 1.05, "unclear"),
        ({"trust": threads(alone=False)}, 1.2, "slower"),
        ({}, 1.05, "unclear"),
    ],
    ids=["one thread", "two threads", "two threads, much slower", "no counters"],
)
def test_runs_of_several_threads_are_taken_to_wander_further(tmp_path, settings, factor, verdict):
    found = compare(*slower_run(tmp_path, factor, **settings))
    assert {row.verdict for row in found.rows} == {verdict}
    alone = settings == {"trust": threads(alone=True)}
    assert {row.drift.sd for row in found.rows} == {0.004 if alone else 0.03}
    assert f"wander by {'0.4 %' if alone else '3 %'} (assumed" in found.notes[-1]


def test_one_side_of_several_threads_is_enough(tmp_path):
    one = run(tmp_path, seed=1, trust=threads(alone=True))
    other = run(tmp_path, seed=2, trust=threads(alone=False))
    assert {row.drift.sd for row in compare(one, other).rows} == {0.03}


def test_a_measured_drift_counts_and_is_told(tmp_path):
    sides = slower_run(tmp_path, 1.05, trust=threads(alone=False))
    steady = compare(*sides, drifts=Drifts(None, Drift(0.006, 8)))
    assert {row.verdict for row in steady.rows} == {"slower"}
    assert "wander by 0.6 % (measured by `mlpbench calibrate`)" in steady.notes[-1]
    restless = compare(*sides, drifts=Drifts(None, Drift(0.02, 8)))
    assert {(row.verdict, row.repeats_needed) for row in restless.rows} == {("unclear", None)}, "repeats do not tell"
    assert all(row.speedup.low < 1 < row.speedup.high for row in restless.rows)


def test_kernels_of_one_run_share_what_wanders(tmp_path):
    both = run(tmp_path, seed=1, noise=0.002, repeats=8)
    found = compare(Side(both, "numpy"), Side(both, "numba"), drifts=Drifts(Drift(0.5, 5), Drift(0.5, 5)))
    assert {row.verdict for row in found.rows} == {"faster"}
    assert not any("wander" in note for note in found.notes)
