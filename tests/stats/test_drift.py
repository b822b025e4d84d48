"""How far the level of a whole run wanders: known answers, and simulated machines with known truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.bench.stats import drift
from mlpbench.bench.stats.drift import ASSUMED, LEAST, Drifts
from mlpbench.bench.stats.estimates import NO_DRIFT, Drift
from mlpbench.bench.stats.significance import judge


def side_by_side(rng, level, scatter=0.01, kernels=6):
    """Times of kernels of different speed whose repeats share ``level``, a logarithm for each."""
    return [
        dict(enumerate((1e-6 * 3**k * np.exp(level + rng.normal(0, scatter, len(level)))).tolist()))
        for k in range(kernels)
    ]


def test_what_kernels_have_in_common_is_found():
    level = np.repeat([0.0, 0.04, -0.02, 0.03], 10)
    found = drift.common_level(side_by_side(np.random.default_rng(1), level))
    assert list(found) == list(range(40))
    assert np.array(list(found.values())) - np.median(level) == pytest.approx(level - np.median(level), abs=0.025)


def test_one_slow_process_moves_no_level_and_a_repeat_that_some_kernels_lack_has_one():
    kernels = side_by_side(np.random.default_rng(1), np.zeros(20), scatter=0.0)
    kernels[0][7] *= 1.7
    for kernel in kernels[:-1]:
        del kernel[4]
    found = drift.common_level(kernels)
    assert (found.keys(), found[7]) == (set(range(20)), pytest.approx(0))


@given(st.lists(st.floats(-0.2, 0.2), min_size=20, max_size=60), st.floats(1e-9, 1e3))
def test_the_unit_of_time_is_of_no_consequence(level, unit):
    times = {i: math.exp(x) for i, x in enumerate(level)}
    one, other = (drift.common_level([{i: t * factor for i, t in times.items()}]) for factor in (1.0, unit))
    assert list(one.values()) == pytest.approx(list(other.values()), abs=1e-9)


def test_the_scatter_of_the_looks_has_the_known_answer():
    looks = [0.01, -0.01, 0.03, 0.05]
    levels = dict(enumerate(np.repeat(looks, drift.WINDOW).tolist()))
    found = drift.measured(levels)
    assert found == Drift(pytest.approx(np.std(looks, ddof=1)), 3)
    assert drift.measured({**levels, 20: 9.0, 21: 9.0}) == found, "repeats that fill no window are left out"


def test_too_few_looks_are_no_measurement_and_no_level_is_taken_to_be_known_better_than_the_least():
    assert drift.measured({}) is None
    assert drift.measured(dict.fromkeys(range(19), 0.0)) is None
    assert drift.measured(dict.fromkeys(range(20), 0.0)) == Drift(LEAST, 3)


def test_the_case_that_wanders_most_counts():
    assert drift.widest([Drift(0.01, 3), None, Drift(0.02, 3)]) == Drift(0.02, 3)
    assert drift.widest([None]) is None
    assert drift.widest([]) is None


def test_what_was_not_measured_is_assumed():
    measured = Drifts(None, Drift(0.001, 8))
    assert measured.of(alone=False) == Drift(0.001, 8)
    assert measured.of(alone=True) == ASSUMED.of(alone=True)
    assert ASSUMED.of(alone=True).sd < ASSUMED.of(alone=False).sd
    assert ASSUMED.widest == ASSUMED.of(alone=False)
    assert Drifts(Drift(0.1, 3), None).widest == Drift(0.1, 3)


def wrong_and_found(sd, aware):
    """Shares of equal cases called different, and of cases 5 % slower called slower, two runs of 10 repeats."""
    rng = np.random.default_rng(5)
    called, found = [], []
    for _ in range(60):
        level = np.repeat(rng.normal(0, sd, 10), drift.WINDOW)
        seen = drift.measured(drift.common_level(side_by_side(rng, level))) if aware else NO_DRIFT
        one, other = rng.normal(0, sd, 2)
        for factor, verdicts in ((1.0, called), (1.05, found)):
            sides = (one, other + math.log(factor))
            cases = [
                tuple(dict(enumerate(np.exp(rng.normal(side, 0.01, 10)).tolist())) for side in sides) for _ in range(5)
            ]
            verdicts += [item.verdict for item in judge(cases, False, 0.025, drifts=[seen] * 5)]
    return sum(word != "same" and word != "unclear" for word in called) / 300, found.count("slower") / 300


@pytest.mark.parametrize("sd", [0.01, 0.03])
def test_two_runs_on_a_machine_that_wanders_are_seldom_called_different(sd):
    unaware, _ = wrong_and_found(sd, aware=False)
    aware, found = wrong_and_found(sd, aware=True)
    assert aware <= 0.01 < 0.05 < unaware
    assert found < 0.7, "what wanders cannot be told from a slowdown"


def test_two_runs_on_a_steady_machine_still_find_five_per_cent():
    wrong, found = wrong_and_found(0.0, aware=True)
    assert (wrong, found) == (0, pytest.approx(1, abs=0.05))
