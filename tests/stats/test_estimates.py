import math
from statistics import median

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlpbench.bench.stats.estimates import (
    ALONE,
    MEDIAN_FACTORS,
    MOST_DEGREES,
    Error,
    Wander,
    counted,
    estimate,
    ratio,
    shared_scatter,
)
from support.simulate import round_times

times = st.floats(1e-9, 1e3)
repeats = st.lists(times, min_size=1, max_size=12)
close = pytest.approx


def same(a, b):
    """Equal up to rounding; two missing intervals are equal."""
    assert (a.value, a.low, a.high) == close((b.value, b.low, b.high), rel=1e-9, nan_ok=True)
    assert a.n == b.n


# -- known answers


def test_the_value_is_the_median_over_repeats_and_three_use_student_on_the_logarithms():
    assert estimate([3.0, 1.0, 2.0]).value == 2.0
    assert estimate([1.0, 4.0]).value == 2.0  # of an even number, the geometric mean of the middle two
    # Logs -h, 0, h: standard deviation h, so the half-width is t * h * 1.1602 / sqrt(3), t = 4.3027 for 2 degrees.
    found = estimate([math.exp(-0.01), 1.0, math.exp(0.01)])
    assert math.log(found.high) == close(4.302653 * 0.01 * 1.1602 / math.sqrt(3), rel=1e-6)
    assert math.log(found.low) == close(-math.log(found.high))
    # Welch: both sides so, the variance of each median h² 1.1602² / 3, degrees of freedom 4, t = 2.776445.
    side = [math.exp(-0.02), 1.0, math.exp(0.02)]
    found = ratio([2 * x for x in side], side, paired=False)
    assert (found.value, math.log(found.high / 2)) == close(
        (2.0, 2.776445 * 0.02 * 1.1602 * math.sqrt(2 / 3)), rel=1e-6
    )
    for found in (estimate([2.0]), ratio([2.0], [1.0], paired=True), ratio([2.0], [1.0], paired=False)):
        assert (found.value, found.n, found.reason) == (2.0, 1, "1 repeat: no interval")


@pytest.mark.parametrize("n", MEDIAN_FACTORS)
def test_the_efficiency_factors_are_those_of_the_normal_distribution(n):
    medians = np.median(np.random.default_rng(n).normal(size=(200_000, n)), axis=1)
    assert math.sqrt(n) * medians.std() == close(MEDIAN_FACTORS[n], rel=0.005)  # 3 standard deviations of the estimate


def test_pairs_cancel_what_both_sides_of_a_repeat_suffered():
    slow = [1.0, 1.7, 1.0]
    found = ratio([2 * s for s in slow], slow)
    assert (found.value, found.low, found.high) == close((2.0, 2.0, 2.0), rel=1e-3)
    assert ratio([2 * s for s in slow], slow, paired=False).low < 1.0
    # Pairs are matched by the number of the repeat.
    found = ratio({0: 2.0, 2: 6.0, 5: 1.0}, {2: 3.0, 0: 1.0, 4: 9.0})
    assert (found.value, found.n) == (2.0, 2)
    with pytest.raises(ValueError, match="at least one repeat"):
        ratio({0: 1.0}, {1: 1.0})


# -- properties


@given(repeats, repeats, st.randoms(use_true_random=False), st.floats(1e-3, 1e3))
def test_scale_and_order(a, b, random, scale):
    plain, scaled = estimate(a), estimate([scale * x for x in a])
    for name in ("value", "low", "high"):
        assert getattr(scaled, name) == close(scale * getattr(plain, name), rel=1e-6, nan_ok=True)
    shuffled_a, shuffled_b = random.sample(a, len(a)), random.sample(b, len(b))
    same(plain, estimate(shuffled_a))
    same(ratio(a, b, paired=False), ratio(shuffled_a, shuffled_b, paired=False))
    numbered_a, numbered_b = dict(enumerate(a)), dict(enumerate(b))
    same(ratio(numbered_a, numbered_b), ratio(dict(reversed(numbered_a.items())), numbered_b))


@given(repeats, repeats, st.booleans())
def test_a_ratio_turned_round_is_its_reciprocal_and_of_a_side_to_itself_one(a, b, paired):
    there, back = ratio(a, b, paired), ratio(b, a, paired)
    assert back.value == close(1 / there.value)
    assert ratio(a, a).value == 1.0
    assume(math.isfinite(there.high) and there.low > 0 and back.low > 0)
    assert (back.low, back.high) == close((1 / there.high, 1 / there.low), rel=1e-6)


@given(repeats)
def test_the_interval_holds_the_value_and_the_value_lies_among_the_repeats(values):
    found = estimate(values)
    assert min(values) * (1 - 1e-12) <= found.value <= max(values) * (1 + 1e-12)
    if len(values) % 2:
        assert found.value == close(median(values), rel=1e-15)
    if len(values) > 1:
        assert found.low <= found.value <= found.high
        alike = estimate(values[:1] * len(values))
        assert (alike.value, alike.low, alike.high) == close((values[0],) * 3, rel=2e-3)


@pytest.mark.parametrize("bad", [[], [0.0], [1.0, -1.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_what_is_no_time_is_refused(bad):
    for call, values in ((estimate, [bad]), (ratio, [bad, [1.0, 1.0], False]), (ratio, [[1.0, 1.0], bad])):
        with pytest.raises(ValueError, match=r"repeat|finite"):
            call(*values)


# -- coverage by simulation

RUNS = 1000


def simulated(n, seed, marked):
    """Sides of RUNS runs, each the median of 20 correlated rounds in n repeats; the undisturbed time is 1.

    Bursts slow every tenth repeat; nine in ten are marked, and 2 % of the quiet repeats. Return what counts.
    """
    rng = np.random.default_rng(seed)
    sides = []
    for _ in range(RUNS):
        values = np.array([median(round_times(1.0, 20, 0.02, rng, 0.1 if marked else 0.0)) for _ in range(n)])
        disturbed = rng.random(n) < np.where(values > 1.3, 0.9, 0.02) * marked
        sides.append(counted(dict(enumerate(values.tolist())), set(np.flatnonzero(disturbed).tolist())))
    return sides


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("marked", [False, True])
def test_intervals_of_cases_that_stand_alone_cover_the_truth_as_often_as_they_say(marked, n):
    sides = list(zip(simulated(n, n, marked), simulated(n, 100 + n, marked), strict=True))
    pairs = [(x, y) for x, y in sides if len(x.keys() & y.keys()) > 1]
    for intervals in (
        [estimate(x) for x, _ in sides],
        [ratio(x, y) for x, y in pairs],
        [ratio(x, y, paired=False) for x, y in sides],
    ):
        coverage = np.mean([found.low <= 1.0 <= found.high for found in intervals])
        assert coverage >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / RUNS)  # 3 standard deviations: 2.1 points


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_cases_that_know_their_scatter_together_have_narrower_intervals_that_cover_as_often(n, spread):
    """42 cases of a run; their standard deviations are 2 %, or lie between 1 and 4 %."""
    rng, held, widths, alone = np.random.default_rng(10 * n), [], [], []
    for _ in range(100):
        sds = 0.02 * np.exp(rng.normal(0, spread, 42))
        cases = np.exp(rng.normal(0, 1, (42, n)) * sds[:, None])
        scatter = shared_scatter(cases)
        found = [estimate(values, scatter) for values in cases]
        held += [one.low <= 1 <= one.high for one in found]
        widths += [math.log(one.high) - math.log(one.low) for one in found]
        alone += [math.log(one.high) - math.log(one.low) for one in map(estimate, cases)]
    # Two repeats that differ in scatter from case to case know it badly; the pool helps least there.
    assert (0.92 if spread and n == 2 else 0.935) <= np.mean(held) <= 0.985
    assert np.quantile(widths, 0.9) < (0.7 if n < 5 else 0.95) * np.quantile(alone, 0.9)


def test_what_is_shared_is_the_scatter_of_the_cases_with_its_degrees_of_freedom():
    rng = np.random.default_rng(4)
    alike = shared_scatter(np.exp(rng.normal(0, 0.03, (400, 5))))
    assert (math.sqrt(alike.square), alike.degrees) == (close(0.03, rel=0.05), MOST_DEGREES)
    # Variances that are themselves 0.03² times an inverse chi-square of 4 degrees: Smyth's model.
    variances = 0.03**2 * 4 / rng.chisquare(4, 4000)
    found = shared_scatter(np.exp(rng.normal(0, 1, (4000, 5)) * np.sqrt(variances)[:, None]))
    assert found.degrees == close(4, rel=0.3)
    assert shared_scatter([[1.0, 1.1], [2.0, 2.1]]) == ALONE, "two cases know nothing together"
    cases = np.exp(rng.normal(0, 0.02, (42, 3)))
    before = shared_scatter(cases)
    cases[:4, 0] *= 3
    assert shared_scatter(cases).square < 2 * before.square, "a disturbed case does not widen the others"


def test_variances_are_drawn_together_and_errors_add_as_satterthwaite_says():
    # Logs -h, 0, h: variance h² with 2 degrees; with a shared one of 0 and 2 degrees, half of that and 4.
    error = Error(0.0, 2.0).of(np.array([-0.01, 0.0, 0.01]))
    assert (error.square, error.degrees) == (close(0.01**2 / 2 * 1.1602**2 / 3), 4)
    assert Error(0.0, 2.0).of(np.array([-0.01, 0.0, 0.01]), disturbed=True) == Error(close(0.01**2 / 2), 4)
    added = Error(1.0, 4) + Error(1.0, 4)
    assert (added.square, added.degrees) == (2.0, 8)
    alone, wandering = estimate([1.0, 1.0, 1.0]), estimate([1.0, 1.0, 1.0], wander=Wander(0.01, 4))
    assert math.log(alone.high) < 0.001
    assert math.log(wandering.high) == close(2.776445 * 0.01, rel=0.01)


def test_two_undisturbed_repeats_are_enough_to_leave_the_others_out():
    values = {0: 1.0, 1: 1.1, 2: 3.0, 3: 4.0}
    assert [counted(values, hit) for hit in ({2, 3}, {1, 2, 3}, set())] == [{0: 1.0, 1: 1.1}, values, values]
