import math

import numpy as np
import pytest
from scipy import stats

from mlpbench.bench.stats.estimates import Error, Wander
from mlpbench.bench.stats.verdicts import (
    FALSE_DISCOVERY_RATE,
    adjusted,
    detectable,
    judge,
    learnt_wander,
    p_value,
    repeats_needed,
)

close = pytest.approx
PRIOR = Wander(0.01, 4.0)


def repeats(rng, n, seconds=1.0, sd=0.01):
    return dict(enumerate(seconds * np.exp(rng.normal(0, sd, n))))


def test_p_values_are_students_and_their_correction_is_scipys():
    assert p_value(math.exp(0.02), Error(0.01**2, 5)) == close(2 * stats.t.sf(2, 5))
    assert p_value(1.0, Error(0.0, math.inf)) == 1.0
    assert math.isnan(p_value(1.0, None))
    found = [0.01, 0.2, 0.03, 0.004]
    assert adjusted(found) == close(list(stats.false_discovery_control(found)))
    assert adjusted([0.01, math.nan, 0.02])[::2] == close(list(stats.false_discovery_control([0.01, 0.02])))


@pytest.mark.parametrize("paired", [True, False])
def test_equal_cases_are_rarely_called_different_and_slowdowns_are_found(paired):
    rng, false, found, total = np.random.default_rng(1), 0, 0, 0
    for _ in range(60):
        wandered = np.exp(rng.normal(0, 0.01, 2)) if not paired else (1.0, 1.0)
        equal = [(repeats(rng, 5, wandered[0]), repeats(rng, 5, wandered[1])) for _ in range(12)]
        slower = [(repeats(rng, 5), repeats(rng, 5, 1.15)) for _ in range(12)]
        wander = PRIOR if not paired else Wander(0.0, math.inf)
        false += sum(case.verdict in ("faster", "slower") for case in judge(equal, paired, 0.025, wander=wander))
        found += sum(case.verdict == "slower" for case in judge(slower, paired, 0.025, wander=wander))
        total += 12
    assert false <= 2 * FALSE_DISCOVERY_RATE * total
    assert found >= 0.95 * total


def test_every_case_says_by_how_much_it_is_not_slower():
    rng = np.random.default_rng(2)
    cases = [(repeats(rng, 5), repeats(rng, 5)) for _ in range(6)] + [(repeats(rng, 5), repeats(rng, 5, 1.5))]
    *equal, slow = judge(cases, paired=True, threshold=0.05)
    for case in equal:
        assert (case.verdict, case.repeats_needed) == ("not slower", None)
        assert 1 / (1 + case.decides) == close(case.speedup.low) or case.decides == 0
    assert (slow.verdict, slow.decides) == ("slower", 0.0)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.04, "slower"), (1.02, "not slower"), (1 / 1.02, "not slower"), (1 / 1.04, "faster")]
)
def test_a_sure_difference_below_the_threshold_is_none(factor, verdict):
    rng = np.random.default_rng(7)
    (case,) = judge([(repeats(rng, 9, sd=1e-4), repeats(rng, 9, factor, sd=1e-4))], paired=True)
    assert (case.verdict, case.p_adjusted < FALSE_DISCOVERY_RATE) == (verdict, True)


def test_a_verdict_is_corrected_for_the_number_of_cases_and_scatter_is_that_of_the_sides():
    rng = np.random.default_rng(6)
    near = repeats(rng, 5), repeats(rng, 5, 1.035)
    equal = [(repeats(rng, 5), repeats(rng, 5)) for _ in range(60)]
    few, many = judge([near, *equal[:3]], paired=True)[0], judge([near, *equal], paired=True)[0]
    assert (few.verdict, many.verdict) == ("slower", "not slower")
    assert many.p < FALSE_DISCOVERY_RATE < many.p_adjusted
    # Repeats of both sides that suffered the same are no pairs where nothing ran together.
    rough = [repeats(rng, 5, sd=0.2) for _ in range(6)]
    for case in judge([(one, one) for one in rough], paired=False):
        assert case.speedup.high > 1.1


def test_what_cannot_be_decided_says_how_many_repeats_would():
    rng = np.random.default_rng(3)
    cases = [(repeats(rng, 3, sd=0.05), repeats(rng, 3, sd=0.05)) for _ in range(20)]
    open_ = [case for case in judge(cases, paired=True, threshold=0.02) if case.speedup.low < 1 / 1.02]
    assert {case.verdict for case in open_} == {"undecided"}
    needed = [case.repeats_needed for case in open_ if case.repeats_needed is not None]
    assert len(needed) > len(open_) / 2, "of the others, the speedup seen lies on the threshold"
    assert min(needed) > 3
    (single,) = judge([({0: 1.0}, {0: 1.0})], paired=True, threshold=0.02)
    assert (single.verdict, single.repeats_needed) == ("undecided", None)
    assert math.isnan(single.decides)


def test_repeats_needed_are_the_fewest_whose_half_width_is_the_distance():
    # Standard error 2 % of 4 repeats with many degrees: 1.96 * 0.02 * sqrt(4 / n) = log(1.02) at n = 15.7.
    assert repeats_needed(Error(0.02**2, 1e9), 4, Wander(0.0, math.inf), 1.0, 0.02) == 16
    assert repeats_needed(Error(0.02**2, 1e9), 4, Wander(0.02, 1e9), 1.0, 0.02) is None, "no repeat makes that smaller"
    assert repeats_needed(Error(1.0, 1e9), 4, Wander(0.0, math.inf), 1.0, 0.02) is None


def test_the_smallest_slowdown_is_found_as_often_as_it_says():
    error, level, threshold = Error(0.01**2, 20), 0.01, 0.025
    least = detectable(error, threshold, level)
    rng = np.random.default_rng(4)
    seen = math.log1p(least) + 0.01 * rng.standard_t(20, 20_000)
    significant = 2 * stats.t.sf(abs(seen) / 0.01, 20) <= level
    assert np.mean(significant & (seen > math.log1p(threshold))) == close(0.95, abs=0.015)


def test_runs_of_a_machine_say_how_far_their_level_wanders():
    rng = np.random.default_rng(5)

    def run(sd):
        level = rng.normal(0, sd)
        return {case: repeats(rng, 4, math.exp(case + level), sd=0.004) for case in range(20)}

    found = learnt_wander([run(0.03) for _ in range(200)], PRIOR)
    assert found.sd == close(0.03, rel=0.15)
    assert found.degrees == 203
    assert learnt_wander([run(0.001) for _ in range(200)], PRIOR).sd < 0.003
    assert learnt_wander([run(0.03)], PRIOR) == PRIOR
    # What one case of a run does that its repeats do not know says nothing of the run.
    wild = [{**run(0.001), "wild": repeats(rng, 4, math.exp(rng.normal(0, 1)), sd=2.0)} for _ in range(30)]
    assert learnt_wander(wild, PRIOR).sd < 0.005
