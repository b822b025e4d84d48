"""The test beside the intervals: against SciPy, against simulated truth, and where there is next to nothing."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.bench.stats.estimates import NO_DRIFT, Drift
from mlpbench.bench.stats.significance import MOST_REPEATS, THRESHOLD, adjusted, detectable, judge, repeats_needed
from mlpbench.bench.stats.significance import test as significance

TIMES = st.floats(1e-9, 1e3)
SIDE = st.lists(TIMES, min_size=2, max_size=12)


def numbered(values):
    return dict(enumerate(values))


def sample(rng, n, sd=0.02, factor=1.0, burst=0.0):
    slow = np.where(rng.random(n) < burst, 1.7, 1.0)
    return numbered(1e-6 * factor * slow * np.exp(rng.normal(0, sd, n)))


# -- against SciPy


@pytest.mark.parametrize("sizes", [(2, 3), (3, 3), (5, 7), (8, 8), (10, 30), (20, 9)])
def test_unpaired_sides_as_scipy_tests_them(sizes):
    rng = np.random.default_rng(1)
    a, b = (sample(rng, n) for n in sizes)
    logs = [np.log(list(side.values())) for side in (a, b)]
    assert (min(sizes) >= 8) is (max(sizes) >= 8), "a size on either side of the limit has no counterpart in SciPy"
    expected = scipy.stats.ttest_ind(*logs, equal_var=False, trim=0.2 if min(sizes) >= 8 else 0).pvalue
    assert significance(a, b, paired=False).p == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_few_pairs_as_scipy_tests_them(n):
    rng = np.random.default_rng(n)
    a, b = sample(rng, n), sample(rng, n)
    expected = scipy.stats.ttest_rel(*(np.log(list(side.values())) for side in (a, b))).pvalue
    assert significance(a, b, paired=True).p == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_the_correction_is_scipys(p_values):
    expected = scipy.stats.false_discovery_control(p_values) if p_values else []
    assert adjusted(p_values) == pytest.approx(list(expected))


def test_the_correction_leaves_out_what_was_not_tested():
    assert adjusted([0.01, math.nan, 0.02]) == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)


# -- known truth


@pytest.mark.parametrize(("n", "paired"), [(3, True), (5, False), (8, True), (10, False)])
@pytest.mark.parametrize("burst", [0.0, 0.1])
def test_no_difference_is_seldom_significant(n, paired, burst):
    rng = np.random.default_rng(n)
    p = [significance(sample(rng, n, burst=burst), sample(rng, n, burst=burst), paired).p for _ in range(1000)]
    # 1 % nominally; a binomial of 1000 exceeds 2.2 % of them once in 5000 tests.
    assert np.mean(np.array(p) <= 0.01) <= 0.022


def test_two_disturbed_repeats_in_ten_hide_nothing():
    rng = np.random.default_rng(0)
    a, b = sample(rng, 10, sd=0.01), sample(rng, 10, sd=0.01, factor=1.1)
    for disturbed in (3, 7):
        a[disturbed] *= 1.7
    assert significance(a, b, paired=True).p < 0.001
    assert significance(a, b, paired=False).p < 0.001


# -- invariance


@given(SIDE, SIDE, st.floats(1e-3, 1e3), st.booleans())
def test_units_do_not_matter(a, b, factor, paired):
    one = significance(numbered(a), numbered(b), paired)
    other = significance(*(numbered([factor * x for x in side]) for side in (a, b)), paired)
    assert other.scatter == pytest.approx(one.scatter, abs=1e-9)
    if one.scatter > 1e-6:
        assert other.p == pytest.approx(one.p, rel=1e-3, abs=1e-9)


@given(SIDE, SIDE)
def test_sides_may_be_exchanged_and_no_drift_changes_nothing(a, b):
    one, other = significance(numbered(a), numbered(b), False), significance(numbered(b), numbered(a), False)
    assert other.p == pytest.approx(one.p, rel=1e-9, abs=1e-300)
    assert significance(numbered(a), numbered(b), False, NO_DRIFT) == one


def test_only_common_repeats_are_paired():
    found = significance({0: 1.0, 1: 2.0, 5: 9.0}, {0: 1.0, 1: 2.0, 7: 1.0}, paired=True)
    assert (found.n, found.p) == (2, 1.0)
    with pytest.raises(ValueError, match="no repeat has both sides"):
        significance({0: 1.0}, {1: 1.0}, paired=True)


# -- next to nothing


@pytest.mark.parametrize("paired", [True, False])
def test_one_repeat_tells_nothing_and_repeats_that_agree_exactly_tell_all(paired):
    found = significance({0: 1.0}, {0: 2.0}, paired)
    assert math.isnan(found.p)
    assert repeats_needed(found, 2.0, 0.025, 0.01) is None
    ones, twos = dict.fromkeys(range(3), 1.0), dict.fromkeys(range(3), 2.0)
    assert significance(ones, ones, paired).p == 1
    assert significance(ones, twos, paired).p == 0


# -- how many repeats


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("sd", "effect"), [(0.02, 1.05), (0.05, 1.1), (0.02, 0.9)])
def test_the_repeats_that_it_asks_for_are_enough(paired, sd, effect):
    rng = np.random.default_rng(5)
    many = sample(rng, 400, sd=sd), sample(rng, 400, sd=sd)
    assert significance(*many, paired).scatter == pytest.approx(sd * math.sqrt(2), rel=0.25)
    few = significance(*(sample(rng, 3, sd=sd) for _ in "ab"), paired)
    needed = repeats_needed(type(few)(few.p, sd * math.sqrt(2), 3, paired), effect, 0.025, 0.01)
    sides = [(sample(rng, needed, sd=sd), sample(rng, needed, sd=sd, factor=effect)) for _ in range(300)]
    hits = [significance(*both, paired).p <= 0.01 for both in sides]
    assert np.mean(hits) > 0.9, (needed, np.mean(hits))
    assert needed < 80, "enough, and not absurdly many"


def test_more_scatter_or_less_effect_needs_more():
    def needed(scatter, effect):
        few = significance({0: 1.0, 1: 1.1}, {0: 1.0, 1: 1.2}, False)
        return repeats_needed(type(few)(0.5, scatter, 2, False), effect, 0.025, 0.01)

    assert needed(0.01, 1.05) < needed(0.03, 1.05) < needed(0.06, 1.05)
    assert needed(0.03, 1.10) < needed(0.03, 1.05) < needed(0.03, 1.03)
    assert needed(0.03, 1.0) == needed(0.03, 1.02), "within the threshold: what it takes to say same"
    assert needed(3.0, 1.05) is None
    assert needed(0.5, 1.2) <= MOST_REPEATS


def test_the_smallest_slowdown_shrinks_with_repeats_down_to_the_threshold():
    sizes = [detectable(0.03, n, False, 0.025, 0.01) for n in (2, 3, 5, 8, 10, 20, 100, 10_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == pytest.approx(0.025, abs=0.001)
    assert math.isnan(detectable(0.03, 1, False, 0.025, 0.01))
    assert detectable(0.0, 3, True, 0.025, 0.01) == pytest.approx(0.025)


# -- what any number of repeats leaves open


def test_a_known_drift_alone_is_a_normal_test():
    a, b = numbered([1e-6] * 9), numbered([1.05e-6] * 9)
    found = significance(a, b, paired=False, drift=Drift(0.02, math.inf))
    expected = 2 * scipy.stats.norm.sf(math.log(1.05) / (0.02 * math.sqrt(2)))
    assert found.p == pytest.approx(expected)
    assert significance(a, b, paired=False).p == 0


def test_a_drift_adds_its_variance_and_its_degrees():
    rng = np.random.default_rng(3)
    a, b = sample(rng, 6), sample(rng, 6)
    logs = [np.log(list(side.values())) for side in (a, b)]
    parts = [(np.var(side, ddof=1) / 6, 5) for side in logs] + [(2 * 0.03**2, 8)]
    total = sum(part for part, _ in parts)
    degrees = total**2 / sum(part**2 / df for part, df in parts)
    expected = 2 * scipy.stats.t.sf(abs(logs[0].mean() - logs[1].mean()) / math.sqrt(total), degrees)
    assert significance(a, b, paired=False, drift=Drift(0.03, 8)).p == pytest.approx(expected)


def test_where_a_run_wanders_no_number_of_repeats_tells():
    rng = np.random.default_rng(4)
    a, b = sample(rng, 8), sample(rng, 8, factor=1.04)
    steady, restless = (significance(a, b, False, Drift(sd, 8)) for sd in (0.0, 0.02))
    assert repeats_needed(steady, 0.96, 0.025, 0.01) is not None
    assert repeats_needed(restless, 0.96, 0.025, 0.01) is None
    assert repeats_needed(restless, 1.0, 0.025, 0.01) is None, "nor is it called the same"


def test_what_is_detectable_has_a_floor_where_a_run_wanders():
    many = detectable(0.02, 1000, False, 0.025, 0.01, Drift(0.02, math.inf))
    z = scipy.stats.norm.ppf([0.995, 0.95]).sum()
    assert many == pytest.approx(math.expm1(z * 0.02 * math.sqrt(2)), rel=0.01)
    assert detectable(0.02, 20, False, 0.025, 0.01) < many


# -- cases judged together, on simulated processes with known truth


def rates(n, slowdown, *, paired, sd, burst=0.0, cases=6, comparisons=100, seed=0):
    """Share of each verdict where the candidate of every case takes ``slowdown`` longer."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(comparisons):
        made = [(sample(rng, n, sd, burst=burst), sample(rng, n, sd, 1 + slowdown, burst)) for _ in range(cases)]
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
    assert judge([], True, THRESHOLD) == [], "nothing to judge"


def test_one_true_difference_among_many_cases():
    rng = np.random.default_rng(3)
    cases = [(sample(rng, 10, 0.01), sample(rng, 10, 0.01, 1.1 if i == 4 else 1.0)) for i in range(20)]
    verdicts = [item.verdict for item in judge(cases, False, THRESHOLD)]
    assert [i for i, verdict in enumerate(verdicts) if verdict in ("slower", "faster")] == [4]
    assert verdicts[4] == "slower"


def test_a_case_with_one_repeat_does_not_weigh_on_the_others():
    rng = np.random.default_rng(4)
    good = sample(rng, 5, 0.01), sample(rng, 5, 0.01, 1.2)
    (alone,), (beside, single) = judge([good], False, 0.02), judge([good, ({0: 1.0}, {0: 3.0})], False, 0.02)
    assert (beside.p_adjusted, beside.verdict) == (alone.p_adjusted, alone.verdict)
    assert (single.verdict, single.repeats_needed) == ("unclear", None)
    assert math.isnan(single.p)


def test_an_effect_below_the_threshold_is_no_verdict_however_certain():
    rng = np.random.default_rng(5)
    (found,) = judge([(sample(rng, 20, 0.001), sample(rng, 20, 0.001, 1.02))], True, THRESHOLD)
    assert found.p < 1e-6
    assert found.verdict == "same"
