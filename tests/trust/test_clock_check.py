"""What known work says of a clock, and what a call of the harness costs: known answers."""

import msgspec
import numpy as np
import pytest

from mlpbench.bench.record.trust import Trust
from mlpbench.bench.trust import clock_check
from mlpbench.bench.trust.clock_check import KnownWork, deviations, false_clock, false_rate
from support import trusting

ONE_S = 80e-6


def work(rng=None, *, curve=0.0, fixed_s=0.0, rounds=41):
    """Return known work of one, two and four lengths; the longest is off by ``curve``, each has ``fixed_s`` besides.

    ``rng``: a busy machine, whose speed wanders from round to round, and that interrupts one time in ten.
    """
    times = ONE_S * np.array([1, 2, 4 * (1 + curve)]) * np.ones((rounds, 1))
    if rng is not None:
        times *= rng.uniform(0.9, 2.2, (rounds, 1)) * rng.normal(1, 0.01, times.shape)
        times += rng.exponential(3e-3, times.shape) * (rng.random(times.shape) < 0.1)
    return KnownWork((1, 2, 4), [tuple(one) for one in (times + fixed_s).tolist()])


def test_a_fixed_cost_is_no_false_clock_and_a_slope_is():
    """A call and two looks at a clock cost 0.4 to 3 us: their share of 80 us was taken for a false clock."""
    assert deviations(work(fixed_s=3e-6)) == pytest.approx((0, 3e-6), abs=1e-12)
    assert false_clock(work(fixed_s=3e-6)) is None
    slope, _ = deviations(work(curve=0.03))
    assert slope == pytest.approx(0.06)
    assert (
        false_clock(work(curve=0.03)) == "it is off by 6.0%: longer work of known length does not take as much longer"
    )
    assert false_clock(work(fixed_s=1e-4)) == "it adds 100 us to every time"
    assert false_clock(work(fixed_s=-3e-5)) == "it adds -30 us to every time"
    assert false_clock(KnownWork((1, 2, 4), [])) == "it shows no time at all"


def test_interrupted_rounds_do_not_count():
    rounds = [*work(rounds=21).rounds_s, *[(1e-3, 1e-4, 9e-3)] * 20]
    assert deviations(KnownWork((1, 2, 4), rounds)) == pytest.approx((0, 0), abs=1e-9)


def test_of_a_thousand_honest_clocks_on_busy_machines_none_is_false_twice():
    """One process alone refuses nothing; the rounds of a clock that seems false are made again, five times over."""
    rng = np.random.default_rng(0)
    seemed = 0
    for _ in range(1000):
        found = work(rng, fixed_s=rng.uniform(0.4e-6, 3e-6))
        for _ in range(4):
            if not false_clock(found):
                break
            found = KnownWork(found.lengths, [*found.rounds_s, *work(rng, fixed_s=1e-6).rounds_s])
        seemed += false_clock(found) is not None
    assert seemed < 10


@pytest.mark.parametrize(("clock_s", "false"), [(1.0, False), (1.01, False), (0.5, True), (1.03, True)])
def test_a_rate_is_held_against_the_hardware(clock_s, false):
    assert (false_rate(clock_s, 1.0) is not None) is false


def test_what_a_call_of_the_harness_costs():
    costs = clock_check.call_costs_s(msgspec.convert(trusting.block(), Trust))
    assert costs == pytest.approx({"per_sample": 23e-9, "batched": 79e-9})
    assert clock_check.call_costs_s(Trust()) == {}
