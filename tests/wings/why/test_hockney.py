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
    process = rng.normal(0, sd)
    return {size: value * math.exp(process + rng.normal(0, sd)) for size, value in curve(**truth).items()}


def test_a_line_is_found_exactly_and_a_curve_with_a_knee_is_none():
    exact = hockney.fit({repeat: curve() for repeat in range(3)})
    values = (exact.t0.value, exact.r_inf.value, exact.n_half.value)
    assert values == pytest.approx((T0, 1 / ROW, T0 / ROW), rel=1e-6)
    assert exact.worst < 1e-6
    # Batches that leave the cache: from 500 rows on, each costs twice as much.
    points = {size: T0 + ROW * (size + max(0, size - 500)) for size in SIZES}
    bent = hockney.fit({0: points, 1: points})
    assert bent.worst > 0.1
    assert (bent.line.first, bent.line.last) == (1, 10_000)


@given(t0=st.floats(1e-3, 1e3), row=st.floats(1e-3, 1e3), sizes=st.sets(st.integers(1, 10_000), min_size=2, max_size=8))
@settings(max_examples=60)
def test_any_line_is_found_in_any_order_of_its_points(t0, row, sizes):
    """As far as the sizes can tell: what hides under the other term is not asked for."""
    points = curve(t0 * 1e-6, row * 1e-6, sizes)
    line = hockney.line(points)
    assert max(abs(line.call_s(size) / seconds - 1) for size, seconds in points.items()) < 1e-4
    assert hockney.line(dict(reversed(points.items()))) == line


def test_one_disturbed_point_does_not_bend_the_line():
    points = curve()
    points[200] *= 1.7
    line = hockney.line(points)
    assert (line.t0_s, line.row_s) == pytest.approx((T0, ROW), rel=0.03)
    plain = np.polyfit(list(points), list(points.values()), 1)
    assert abs(plain[1] / T0 - 1) > 0.1, "least squares would have been bent"


@pytest.mark.parametrize("repeats", [3, 7])
def test_the_intervals_hold_the_truth(repeats):
    rng = np.random.default_rng(repeats)
    held, runs = np.zeros(3), 120
    for _ in range(runs):
        fit = hockney.fit({repeat: noisy(rng, sizes=(1, 10, 100, 1000)) for repeat in range(repeats)})
        pairs = ((fit.t0, T0), (fit.r_inf, 1 / ROW), (fit.n_half, T0 / ROW))
        held += [estimate.low <= truth <= estimate.high for estimate, truth in pairs]
    assert (held / runs > 0.88).all(), held / runs  # 95 % less four standard errors, and the small bias of robust fits


def test_what_costs_nothing_or_has_too_few_sizes_has_no_number():
    free = hockney.fit({repeat: curve(t0=0.0) for repeat in range(3)})
    assert (free.t0, free.n_half) == (None, None)
    assert free.r_inf.value == pytest.approx(1 / ROW, rel=1e-4)
    few = {1: 1e-6, 10: 2e-6}
    assert hockney.fit({}) is hockney.fit({0: few}) is None
    mixed = hockney.fit({0: few, 1: curve()})
    assert (mixed.r_inf.n, math.isnan(mixed.r_inf.low)) == (1, True)
