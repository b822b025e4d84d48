"""The script that says how often intervals hold what they promise where repeats share spells of noise."""

import coverage_table
import pytest


@pytest.mark.parametrize("n", [3, 5])
def test_repeats_that_lie_apart_keep_the_promise_and_those_in_a_row_do_not(n):
    apart, in_a_row = (
        coverage_table.covered_in_spells(n, apart, seen=True, runs=400) for apart in (coverage_table.APART, 1)
    )
    assert apart > 90 > in_a_row
    assert coverage_table.covered_in_spells(n, 1, seen=False, runs=400) < 85
