"""What makes two sides incomparable, and what the number of cases does to a verdict."""

import pytest
import simulate

from bench.compare import compare
from bench.errors import NothingComparable
from bench.record import read_run

TIMES = {
    ("numpy", "per_sample", 100): 2e-5,
    ("numpy", "batched", 100): 2e-6,
    ("numba", "per_sample", 100): 4e-6,
    ("numba", "batched", 100): 1e-6,
}


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
        return compare(first, run(folder, {slow: 1.05e-6, **dict.fromkeys(same, 1e-6)}, seed=12, **settings))

    (alone,) = two_runs(tmp_path / "alone", 0).rows
    assert alone.verdict == "slower"
    assert alone.p_adjusted == alone.p
    many = two_runs(tmp_path / "many", 39).rows
    assert len(many) == 40
    assert all(row.p_adjusted >= row.p for row in many)
    assert many[0].p_adjusted > many[0].p


def test_an_unclear_case_says_how_many_repeats_would_tell(tmp_path):
    found = compare(run(tmp_path, seed=1, noise=0.05), run(tmp_path, seed=2, noise=0.05))
    assert found.unclear
    assert all(row.repeats_needed is None or row.repeats_needed > 3 for row in found.unclear)
    assert any(row.repeats_needed for row in found.unclear)
    assert all(row.repeats_needed is None for row in found.rows if row.verdict != "unclear")
