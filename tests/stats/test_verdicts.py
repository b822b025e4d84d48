"""Cases judged together, on simulated processes with known truth."""

import math

import numpy as np
import pytest

from mlpbench.bench.stats.significance import THRESHOLD, judge


def times(rng, n, sd=0.02, factor=1.0, burst=0.0):
    slow = np.where(rng.random(n) < burst, 1.7, 1.0)
    return dict(enumerate(1e-6 * factor * slow * np.exp(rng.normal(0, sd, n))))


def rates(n, slowdown, *, paired, sd, burst=0.0, cases=6, comparisons=100, seed=0):
    """Share of each verdict where the candidate of every case takes ``slowdown`` longer."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(comparisons):
        made = [(times(rng, n, sd, burst=burst), times(rng, n, sd, 1 + slowdown, burst)) for _ in range(cases)]
        found += [item.verdict for item in judge(made, paired, THRESHOLD)]
    return {word: found.count(word) / len(found) for word in ("faster", "slower", "same", "unclear")}


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("n", "sd", "burst"), [(3, 0.02, 0), (5, 0.05, 0), (8, 0.02, 0.1), (13, 0.04, 0.1)])
def test_at_most_one_per_cent_of_equal_cases_get_a_verdict(paired, n, sd, burst):
    found = rates(n, 0.0, paired=paired, sd=sd, burst=burst, comparisons=200)
    assert found["faster"] + found["slower"] <= 0.01


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("n", "sd", "burst"), [(8, 0.01, 0), (13, 0.02, 0), (20, 0.01, 0.1)])
def test_five_per_cent_are_found(paired, n, sd, burst):
    found = rates(n, 0.05, paired=paired, sd=sd, burst=burst)
    assert found["slower"] >= 0.9
    assert found["faster"] == 0


def test_quiet_repeats_are_the_same():
    assert rates(8, 0.0, paired=True, sd=0.005)["same"] > 0.95


def test_one_true_difference_among_many_cases():
    rng = np.random.default_rng(3)
    cases = [(times(rng, 10, 0.01), times(rng, 10, 0.01, 1.1 if i == 4 else 1.0)) for i in range(20)]
    verdicts = [item.verdict for item in judge(cases, False, THRESHOLD)]
    assert verdicts[4] == "slower"
    assert verdicts.count("slower") == 1
    assert "faster" not in verdicts


def test_a_case_with_one_repeat_does_not_weigh_on_the_others():
    rng = np.random.default_rng(4)
    good = times(rng, 5, 0.01), times(rng, 5, 0.01, 1.2)
    (alone,), (beside, single) = judge([good], False, 0.02), judge([good, ({0: 1.0}, {0: 3.0})], False, 0.02)
    assert (beside.p_adjusted, beside.verdict) == (alone.p_adjusted, alone.verdict)
    assert (single.verdict, single.repeats_needed) == ("unclear", None)
    assert math.isnan(single.p)


def test_an_effect_below_the_threshold_is_no_verdict_however_certain():
    rng = np.random.default_rng(5)
    (found,) = judge([(times(rng, 20, 0.001), times(rng, 20, 0.001, 1.02))], True, THRESHOLD)
    assert found.p < 1e-6
    assert found.verdict == "same"


def test_nothing_to_judge():
    assert judge([], True, THRESHOLD) == []
