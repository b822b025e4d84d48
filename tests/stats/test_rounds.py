"""What rounds say of their own process: intervals that hold there, also where rounds follow each other."""

import math

import numpy as np
import pytest

from mlpbench.bench.stats.rounds import ratio_within, within


def series(rng, n, correlation, level=1.0):
    noise = rng.normal(0, 0.05, n)
    for at in range(1, n):
        noise[at] = correlation * noise[at - 1] + math.sqrt(1 - correlation**2) * noise[at]
    return level * np.exp(noise)


@pytest.mark.parametrize(("n", "correlation"), [(30, 0.0), (300, 0.0), (300, 0.5), (300, 0.8)])
def test_the_interval_holds_the_process_own_median(n, correlation):
    rng = np.random.default_rng(1)
    found = [within(series(rng, n, correlation)) for _ in range(300)]
    assert np.mean([one.low <= 1 <= one.high for one in found]) >= 0.91
    worth = np.median([one.independent for one in found])
    assert worth == pytest.approx(n * (1 - correlation) / (1 + correlation), rel=0.25)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_a_level_that_stays_is_seldom_said_to_move(correlation):
    rng = np.random.default_rng(2)
    assert np.mean([within(series(rng, 300, correlation)).moved for _ in range(200)]) <= 0.02
    moved = np.concatenate([series(rng, 150, correlation), series(rng, 150, correlation, 1.3)])
    assert within(moved).moved


def test_a_ratio_has_the_interval_of_both():
    rng = np.random.default_rng(3)
    found = [ratio_within(within(series(rng, 100, 0, 2.0)), within(series(rng, 100, 0))) for _ in range(200)]
    assert np.mean([one.low <= 2 <= one.high for one in found]) >= 0.92
    assert found[0].value == pytest.approx(2, rel=0.05)


def test_too_few_rounds_have_no_interval():
    found = within([1.0, 2.0, 3.0])
    assert (found.median, found.moved) == (2.0, None)
    assert math.isnan(found.low)
    assert ratio_within(found, within([1.0])).reason == "too few rounds for an interval"


def test_rounds_that_are_all_alike_are_sure():
    found = within([1.0] * 40)
    assert (found.low, found.high, found.moved) == (1.0, 1.0, False)
