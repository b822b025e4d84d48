"""The script that says how often intervals hold what they promise where repeats share spells of noise."""

import coverage_table
import pytest

from mlpbench.bench.trust import apart


@pytest.mark.parametrize("n", [3, 5])
def test_repeats_that_lie_apart_keep_the_promise_and_those_in_a_row_do_not(n):
    """What counts as enough is what reports go by: with less, they do not claim 95 %."""
    enough, in_a_row = (
        coverage_table.covered_in_spells(n, processes, seen=True, runs=400) for processes in (int(apart.ENOUGH), 1)
    )
    assert enough > 90 > in_a_row
    assert coverage_table.covered_in_spells(n, 1, seen=False, runs=400) < 85
