"""Change points of series with known answers: what is found, what is called by mistake, how wide the intervals are."""

import numpy as np
import pytest
from history_table import changed, levels

from mlpbench.bench.wings.history import change_points


def test_a_step_is_found_where_it_is_with_its_size():
    values = np.where(np.arange(20) < 12, 0.0, np.log(1.1)) + np.tile([-0.001, 0.001], 10)
    ((at, ratio),) = change_points.find(values.tolist(), 0.002).items()
    assert at == 12
    assert ratio.low < 1.1 < ratio.high
    assert ratio.value == pytest.approx(1.1, rel=1e-3)
    assert ratio.high - ratio.low == pytest.approx(4 * 0.002 / np.sqrt(20 * 12 * 8 / 400) * 1.1, rel=0.1)


def test_a_day_of_trouble_is_no_change_and_neither_is_what_is_too_short_or_scatters_more_than_it_should():
    flat = [0.0, 0.001] * 5
    assert change_points.find([*flat, 1.0, *flat], 0.002) == {}
    assert change_points.find([*flat, 1.0, 1.0], 0.002) == {}
    assert change_points.find([0.0, 0.0, 1.0, 1.0, 1.0], 0.002) == {}
    assert list(change_points.find([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 0.002)) == [3]
    noisy = np.random.default_rng(0).normal(0, 0.05, 40).tolist()
    assert change_points.find(noisy, 0.001) == {}


@pytest.mark.parametrize("wander", [0.004, 0.027])
def test_five_per_cent_are_found_in_95_of_100_and_at_most_2_of_100_are_false(wander):
    """At 40 runs; repeats add 1 % to what whole runs wander."""
    assert changed(40, 0.05, wander, series=100) >= 95
    assert changed(40, 0.0, wander, series=100) <= 2


def test_neighbours_that_are_alike_are_called_changed_more_often():
    """With an autocorrelation of 0.5 and a wander of 2.7 %: docs/history.md says how often."""
    assert 2 < changed(40, 0.0, 0.027, alike=0.5, series=100) < 25


def test_intervals_hold_the_size_of_the_step():
    sizes = [change_points.find(values, np.hypot(0.01, 0.004)) for values in levels(40, 0.05, 0.004, series=200)]
    ratios = [next(iter(found.values())) for found in sizes if len(found) == 1]
    assert len(ratios) > 190
    assert np.mean([ratio.low <= 1.05 <= ratio.high for ratio in ratios]) >= 0.92
