"""Percentiles of single calls, on simulated calls of which the truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.bench.wings.latency.section import CONFIDENCE, calls_needed, percentile


@pytest.mark.parametrize(("p", "needed"), [(0.5, 11), (0.9, 64), (0.99, 662), (0.999, 6636)])
def test_loadgens_numbers(p, needed):
    """64 and 662 are the minima that LoadGen's early stopping asks for (mlcommons/endpoints#417)."""
    assert calls_needed(p) == needed
    assert percentile(np.arange(needed - 1), p).value is None
    found = percentile(np.arange(needed), p)
    assert found.value is not None
    assert found.bound == needed - 1, "t = 1: the slowest call"


def test_the_value_is_the_smallest_that_enough_calls_do_not_exceed():
    values = np.arange(1, 1001)
    assert [percentile(values, p).value for p in (0.5, 0.9, 0.99)] == [500, 900, 990]
    assert percentile(values, 0.999).needed == 6636


@pytest.mark.parametrize(("p", "n"), [(0.9, 64), (0.9, 500), (0.99, 1000), (0.99, 7000)])
def test_the_bound_covers_the_true_percentile_as_often_as_it_says(p, n):
    """Heavy-tailed calls (Pareto), 2 000 times: the bound is below the truth at most in 1 %, give or take chance."""
    rng = np.random.default_rng(n)
    truth = (1 - p) ** (-1 / 2)
    missed = sum(percentile(1 + rng.pareto(2, n), p).bound < truth for _ in range(2000))
    assert missed <= 2000 * (1 - CONFIDENCE) + 3 * (2000 * 0.01 * 0.99) ** 0.5


@given(st.lists(st.floats(1e-9, 1e3), min_size=1), st.integers(662, 700), st.floats(1e-3, 1e3), st.randoms())
def test_scale_and_order(values, n, scale, random):
    values = (values * n)[:n]
    found = percentile(values, 0.99)
    assert min(values) <= found.value <= found.bound <= max(values)
    shuffled = random.sample(values, len(values))
    assert percentile(shuffled, 0.99) == found
    assert percentile(np.array(values) * scale, 0.99).bound == pytest.approx(found.bound * scale)
