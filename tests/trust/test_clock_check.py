"""What a call costs, and whether the clock is true: simulated self-tests."""

import msgspec
import pytest

from mlpbench.bench.record.trust import NOTHING, Trust
from mlpbench.bench.trust import clock_check
from support import trusting


def trust(**changes):
    return msgspec.convert(trusting.block(**changes), Trust)


def test_what_each_process_says_by_itself():
    known = trust(self_test=trusting.self_test({2: 0.01, 4: -0.015}))
    assert clock_check.deviations(known) == {1: 0, 2: pytest.approx(0.01), 4: pytest.approx(-0.015)}
    assert clock_check.linearity(known) == pytest.approx(-0.015)
    assert clock_check.call_costs_s(known) == {"per_sample": pytest.approx(23e-9), "batched": pytest.approx(79e-9)}
    assert clock_check.deviations(NOTHING) == clock_check.call_costs_s(NOTHING) == {}
    assert clock_check.linearity(NOTHING) is None


@pytest.mark.parametrize(("late", "false"), [(0.0, False), (0.05, True), (-0.05, True)])
def test_lengths_in_turns_are_judged_process_by_process(late, false):
    """Rounds of a third are slow, in whole or in part; a clock that adds or takes 50 ms to a second is found."""
    rounds = [(n + late, 2 * n + late, 4 * n + late) for n in (1.0, 1.5, 1.2) * 9]
    hit = [(1.0 + late, 9.0, 4.0 + late), (8.0, 2.0 + late, 4.0)] * 5
    found = trust(self_test=[], known_work={"lengths": [1, 2, 4], "rounds_s": [*rounds, *hit]})
    assert (clock_check.false_clock(found) is not None) is false
    assert sorted(clock_check.known_s(found)) == [1, 2, 4]
    assert clock_check.check_clock([found, *[trust()] * 4]).ok is True
    assert ("It was false in 1 of 5 processes." in clock_check.check_clock([found, *[trust()] * 4]).why) is false


def test_a_true_clock():
    found = clock_check.check_clock([trust()] * 3)
    assert found.ok is True
    assert (found.error, found.rate) == (pytest.approx(0, abs=1e-9), 0)
    assert found.speed_hz == pytest.approx(4e9)
    assert "4.0 GHz" in found.why


@pytest.mark.parametrize("error", [0.021, -0.021, 0.5, 0.019, -0.019])
def test_a_clock_that_is_off_is_refused_and_one_that_is_slightly_off_is_not(error):
    found = clock_check.check_clock([trust(self_test=trusting.self_test({4: error}))] * 3)
    assert (found.ok, found.error) == (abs(error) < 0.02, pytest.approx(error))
    assert (f"off by {abs(error):.1%}" in found.why) is not found.ok


@pytest.mark.parametrize(
    "changes", [{"clock": {"clock_s": 3.1, "raw_s": 3.0}}, {"spin": {"name": "x", "instructions": 10}}]
)
def test_a_clock_of_the_wrong_rate_is_refused(changes):
    found = clock_check.check_clock([trust(**changes)])
    assert (found.ok, "off" in found.why) == (False, True)


def test_load_is_not_taken_for_a_false_clock():
    """Rounds slowed by half on average, and one process in which the load kept on: the clock is as true as before."""
    loaded = [trust(self_test=trusting.self_test(noise=0.05, seed=seed)) for seed in range(4)]
    ruined = trust(self_test=trusting.self_test({4: 1.0}))
    assert clock_check.check_clock([*loaded, ruined]).ok is True


def test_files_without_a_self_test_are_neither_true_nor_refused():
    assert clock_check.check_clock([NOTHING]).ok is None
    only_null = [row for row in trusting.self_test() if row["length"] == 0]
    assert clock_check.check_clock([trust(self_test=only_null)]).ok is None
