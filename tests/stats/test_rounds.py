"""What rounds say of their own process: intervals that hold there, also where rounds follow each other."""

import math

import numpy as np
import pytest

from mlpbench.bench.stats.rounds import TOO_FEW, ratio_within, within


def series(rng, n, correlation, level=1.0):
    noise = rng.normal(0, 0.05, n)
    for at in range(1, n):
        noise[at] = correlation * noise[at - 1] + math.sqrt(1 - correlation**2) * noise[at]
    return level * np.exp(noise)


@pytest.mark.parametrize(("n", "correlation"), [(30, 0.0), (300, 0.0), (300, 0.5), (300, 0.8)])
def test_the_interval_holds_the_process_own_median(n, correlation):
    rng = np.random.default_rng(1)
    found = [within(series(rng, n, correlation)) for _ in range(300)]
    assert 0.91 <= np.mean([one.low <= 1 <= one.high for one in found]) <= 0.995


def test_a_ratio_has_the_interval_of_both():
    rng = np.random.default_rng(3)
    found = [ratio_within(within(series(rng, 100, 0, 2.0)), within(series(rng, 100, 0))) for _ in range(200)]
    assert np.mean([one.low <= 2 <= one.high for one in found]) >= 0.92
    assert found[0].value == pytest.approx(2, rel=0.05)


def test_few_rounds_have_no_interval_and_rounds_that_are_all_alike_are_sure():
    few, alike = within([1.0, 2.0, 3.0]), within([1.0] * 40)
    assert (few.value, few.claims, few.reason) == (2.0, False, TOO_FEW)
    assert ratio_within(few, alike).reason == TOO_FEW
    assert (alike.low, alike.high) == (1.0, 1.0)
