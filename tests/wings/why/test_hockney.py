"""Hockney's two numbers on simulated curves with known truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.bench.wings.why import hockney

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
T0, ROW = 18e-6, 1.4e-6


def curve(t0=T0, row=ROW, sizes=SIZES):
    return {size: t0 + size * row for size in sizes}


def noisy(rng, sd=0.02, **truth):
    points = curve(**truth)
    process = rng.normal(0, sd)
    return {size: value * math.exp(process + rng.normal(0, sd)) for size, value in points.items()}


def test_a_line_is_found_exactly():
    found = hockney.fit({repeat: curve() for repeat in range(3)})
    assert found.t0.value == pytest.approx(T0, rel=1e-6)
    assert found.r_inf.value == pytest.approx(1 / ROW, rel=1e-6)
    assert found.n_half.value == pytest.approx(T0 / ROW, rel=1e-6)
    assert found.straight
    assert found.worst < 1e-6


@given(t0=st.floats(1e-3, 1e3), row=st.floats(1e-3, 1e3), sizes=st.sets(st.integers(1, 10_000), min_size=2, max_size=8))
@settings(max_examples=60)
def test_any_line_is_found(t0, row, sizes):
    """As far as the sizes can tell: what hides under the other term is not asked for."""
    points = curve(t0 * 1e-6, row * 1e-6, sizes)
    found = hockney.line(points)
    assert max(abs(found.call_s(size) / seconds - 1) for size, seconds in points.items()) < 1e-4


@given(order=st.permutations(list(SIZES)))
@settings(max_examples=20)
def test_the_order_of_the_points_does_not_matter(order):
    points = noisy(np.random.default_rng(5))
    assert hockney.line({size: points[size] for size in order}) == hockney.line(points)


def test_one_disturbed_point_does_not_bend_the_line():
    points = curve()
    points[200] *= 1.7
    found = hockney.line(points)
    assert found.t0_s == pytest.approx(T0, rel=0.03)
    assert found.row_s == pytest.approx(ROW, rel=0.03)
    plain = np.polyfit(list(points), list(points.values()), 1)
    assert abs(plain[1] / T0 - 1) > 0.1, "least squares would have been bent"


@pytest.mark.parametrize("repeats", [3, 7])
def test_the_intervals_hold_the_truth(repeats):
    rng = np.random.default_rng(repeats)
    held = np.zeros(3)
    runs = 120
    for _ in range(runs):
        found = hockney.fit({repeat: noisy(rng, sizes=(1, 10, 100, 1000)) for repeat in range(repeats)})
        pairs = ((found.t0, T0), (found.r_inf, 1 / ROW), (found.n_half, T0 / ROW))
        held += [estimate.low <= truth <= estimate.high for estimate, truth in pairs]
    assert (held / runs > 0.88).all(), held / runs  # 95 % less four standard errors, and the small bias of robust fits


def test_a_curve_with_a_knee_is_no_line():
    """Batches that leave the cache: from 500 rows on, each costs twice as much."""
    points = {size: T0 + ROW * (size + max(0, size - 500)) for size in SIZES}
    found = hockney.fit({0: points, 1: points})
    assert not found.straight
    assert (found.line.first, found.line.last) == (1, 10_000)


def test_a_call_that_costs_nothing_has_no_half_length():
    found = hockney.fit({repeat: curve(t0=0.0) for repeat in range(3)})
    assert (found.t0, found.n_half) == (None, None)
    assert found.r_inf.value == pytest.approx(1 / ROW, rel=1e-4)


def test_too_few_sizes():
    assert hockney.fit({}) is None
    assert hockney.fit({0: {1: 1e-6, 10: 2e-6}}) is None
    mixed = hockney.fit({0: {1: 1e-6, 10: 2e-6}, 1: curve()})
    assert mixed.r_inf.n == 1
    assert math.isnan(mixed.r_inf.low)


@pytest.mark.parametrize("points", [{1: 1e-6}, {1: 0.0, 2: 1e-6}, {1: math.nan, 2: 1.0}, {0: 1.0, 2: 1.0}])
def test_nonsense_is_refused(points):
    with pytest.raises(ValueError, match="needs"):
        hockney.line(points)
