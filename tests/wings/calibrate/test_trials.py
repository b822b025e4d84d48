"""What `mlpbench calibrate` makes of its repeats, on simulated processes with known truth."""

import numpy as np
import pytest

from mlpbench.bench.analysis.summary import USUAL_WANDER
from mlpbench.bench.wings.calibrate.trials import evaluate, fitting, seen_slowdowns, wandered

CASES = [("per_sample", 100), ("batched", 10), ("batched", 100)]


def simulated(repeats, sd, slowdowns=(0.02, 0.05, 0.1), twins=4, seed=0, drift=0.0):
    """Times of equal kernels and of slowed ones; with ``drift``, every repeat has a load of its own for all."""
    rng = np.random.default_rng(seed)
    load = np.exp(rng.normal(0, drift, repeats))

    def times(factor):
        values = {case: factor * load * np.exp(rng.normal(0, sd, repeats)) for case in CASES}
        return {case: dict(enumerate(map(float, row))) for case, row in values.items()}

    return [times(1.0) for _ in range(twins)], {share: times(1 + share) for share in slowdowns}


def rates(kind):
    return {tally.slowdown: tally.rate for tally in kind.planted}


def test_the_comparisons_are_counted():
    paired, unpaired = evaluate(*simulated(25, 0.01), repeats=8)
    assert paired.false.cases == 3 * 6 * 3, "blocks, pairs of four kernels, cases; the last repeat is left out"
    assert paired.disjoint.cases == 3 * 2
    assert unpaired.false.cases == 3 * 16 * 3
    assert unpaired.disjoint.cases == 4, "the third block has no partner of its own"
    assert {tally.cases for kind in (paired, unpaired) for tally in kind.planted} == {3 * 4 * 3}


def test_quiet_repeats_find_five_per_cent_as_large_as_planted_and_raise_no_alarm():
    seen = seen_slowdowns(*simulated(40, 0.01))
    assert list(seen.values()) == pytest.approx([0.02, 0.05, 0.1], abs=0.006)
    for kind in evaluate(*simulated(40, 0.01), repeats=10):
        assert kind.false.hits == kind.disjoint.hits == 0
        assert rates(kind)[0.02] < 0.3, "below the threshold it must not be found"
        assert rates(kind)[0.05] > 0.95
        assert rates(kind)[0.1] == 1
        assert kind.smallest == 0.05
        assert kind.scatter == pytest.approx(0.018, rel=0.3)


def test_noise_hides_small_slowdowns_and_a_load_that_all_kernels_share_those_between_runs_alone():
    noisy, _ = evaluate(*simulated(40, 0.05), repeats=10)
    assert (rates(noisy)[0.05] < 0.5, noisy.smallest) == (True, None)
    assert noisy.false.rate <= 0.02
    paired, unpaired = evaluate(*simulated(40, 0.005, drift=0.1), repeats=10)
    assert rates(paired)[0.05] > 0.95
    assert rates(unpaired)[0.05] < 0.5
    assert unpaired.scatter > 5 * paired.scatter


def test_what_runs_wander_by_keeps_two_runs_from_being_called_different():
    same, slowed = simulated(40, 0.01)
    level = np.repeat([0.0, 0.05], 20)
    for times in (*same, *slowed.values()):
        for case in CASES:
            times[case] = {i: value * float(np.exp(level[i])) for i, value in times[case].items()}
    wander = wandered([*same, *slowed.values()], USUAL_WANDER)
    assert wander.degrees == USUAL_WANDER.degrees + 7
    seen = 7 * np.var(np.repeat([0, 0.05], 4), ddof=1) + USUAL_WANDER.degrees * USUAL_WANDER.sd**2
    assert wander.sd == pytest.approx(np.sqrt(seen / wander.degrees), rel=0.2)
    unaware, aware = evaluate(same, slowed, repeats=20), evaluate(same, slowed, repeats=20, wander=wander)
    assert unaware[1].false.hits == 48, "every comparison"
    assert aware[1].false.hits == 0
    assert aware[0] == unaware[0], "kernels of one run share it"


def test_false_verdicts_are_counted():
    same, slowed = simulated(20, 0.005)
    same[0] = {case: {repeat: 1.3 * value for repeat, value in same[0][case].items()} for case in CASES}
    paired, unpaired = evaluate(same, slowed, repeats=10)
    hits = (paired.false.hits, paired.disjoint.hits, unpaired.false.hits)
    assert hits == (2 * 3 * 3, 2, 6 * 3), "three of the six pairs"
    assert rates(paired)[0.1] == 0.75, "one of the four baselines is slower still"


def test_blocks_are_shorter_where_that_makes_two_of_them_or_one_at_all():
    expected = {(40, 20): 20, (39, 20): 19, (24, 20): 12, (23, 20): 20, (80, 20): 20, (30, 12): 12}
    expected |= {(15, 20): 15, (11, 20): 12, (3, 2): 2}
    made = {at: simulated(at[0], 0.01) for at in expected}
    assert {at: fitting([*same, *slowed.values()], at[1]) for at, (same, slowed) in made.items()} == expected


def test_too_few_repeats_have_no_kind_and_do_not_tell_what_runs_wander_by():
    assert wandered([*simulated(9, 0.01)[0]], USUAL_WANDER) == USUAL_WANDER
    assert evaluate(*simulated(9, 0.01), repeats=10) == (None, None)
    paired, unpaired = evaluate(*simulated(10, 0.01), repeats=10)
    assert (paired is None, unpaired) == (False, None)


def test_a_disturbed_case_costs_no_other_case_its_repeat():
    same, slowed = simulated(10, 0.01)
    for repeat in range(10):  # each kernel and case lacks another repeat
        del same[repeat % 4][CASES[repeat % 3]][repeat]
    paired, _ = evaluate(same, slowed, repeats=10)
    assert (paired.false.cases, rates(paired)[0.1]) == (18, 1)
    for case in CASES:  # a whole process was disturbed: the others are compared where both sides ran undisturbed
        slowed[0.05][case].pop(3, None)
        same[1][case].pop(5, None)
    paired, _ = evaluate(same, slowed, repeats=10)
    assert (paired.false.cases, rates(paired)[0.1]) == (18, 1)
    same, slowed = simulated(10, 0.01)  # a case with too few repeats that count is not found
    slowed[0.1][CASES[0]] = {4: slowed[0.1][CASES[0]][4]}
    paired, _ = evaluate(same, slowed, repeats=10)
    assert rates(paired)[0.1] == pytest.approx(2 / 3)
