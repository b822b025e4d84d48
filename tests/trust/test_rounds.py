"""The time of a case is made of its quiet rounds: simulated neighbours, of which the truth is known."""

import numpy as np
import pytest

from mlpbench.bench.analysis import times
from mlpbench.bench.trust.rounds import fastest_looks, slowness, taken
from support import simulate
from support.trusting import AT, Process, rounds, timing

TIMES = {("numpy", "per_sample", 100): 18e-6, ("numpy", "batched", 100): 1.4e-6}
CALL_S = 1e-4


def of(*processes):
    """Return what is taken of the only case of each process."""
    return [cases[AT] for cases in taken(processes)]


def test_the_time_is_the_tenth_percentile_of_the_rounds_between_two_quiet_looks():
    slow = ((9, 0.5 * CALL_S, (25, 50)), (9, 1.9 * CALL_S, (51, 26)))
    data, looks = rounds((11, CALL_S, (25, 26)), *slow)
    data[:11] = (np.linspace(1.0, 2.0, 11) * CALL_S).tolist()
    (case,) = of(Process(timing(data, looks)))
    assert (case.chosen, case.disturbed) == (tuple(range(11)), False)
    assert case.call_s == pytest.approx(1.1 * CALL_S)
    assert case.sample_s == pytest.approx(1.1 * CALL_S / 100)
    assert case.quiet == pytest.approx(11 / 29)
    (case,) = of(Process(timing([3e-4, 1e-4, 2e-4], [])))
    assert (case.chosen, case.quiet, case.disturbed) == ((0, 1, 2), None, False), "without looks every round counts"
    assert case.call_s == pytest.approx(1.2e-4)


@pytest.mark.parametrize(("quiet", "busy", "disturbed"), [(5, 40, False), (4, 40, True), (2, 1, False), (2, 3, True)])
def test_a_case_with_too_few_quiet_rounds_is_disturbed_and_made_of_all(quiet, busy, disturbed):
    """Five are enough, or half of few."""
    (case,) = of(Process(timing(*rounds((quiet, CALL_S, (25, 25)), (busy, 2 * CALL_S, (50, 50))))))
    assert case.disturbed == disturbed
    assert len(case.chosen) == (quiet + busy if disturbed else quiet)


def test_a_round_whose_threads_waited_for_processors_is_not_quiet():
    """Two threads that share one processor: the looks on both processors before and after may be quiet."""
    data, looks = rounds((6, CALL_S, (25, 25)), (30, 2 * CALL_S, (25, 25)))
    waits_s = [0.0] * 6 + [1e-3] * 30  # of rounds of 2 ms
    (case,) = of(Process(timing(data, looks, waits_s=waits_s)))
    assert (case.chosen, case.disturbed) == (tuple(range(6)), False)
    (never,) = of(Process(timing(data[6:], looks[6:], waits_s=waits_s[6:])))
    assert never.disturbed
    a_little = [0.0] * 6 + [1e-4] * 30
    assert len(of(Process(timing(data, looks, waits_s=a_little)))[0].chosen) == 36, "5 % of a round is no waiting"


def test_looks_are_held_against_the_best_of_the_run_and_the_machine():
    busy, calm = (timing(*rounds((20, CALL_S, (look, look)))) for look in (50, 25))
    assert [case.disturbed for case in of(Process(busy), Process(busy))] == [False, False], "nobody knows better"
    assert [case.disturbed for case in of(Process(busy), Process(calm))] == [True, False]
    assert of(Process(busy, best_ns=25_000))[0].disturbed
    assert not of(Process(busy, best_ns=25_000), Process(calm, name="other"))[1].disturbed
    (pair,) = of(Process(busy, processors=2))
    assert not pair.disturbed, "looks on two processors are another kind"
    # Wide vectors lower the clock by some percent beside one case: its rounds are quiet at that speed.
    wide, others = (Process(timing(*rounds((20, CALL_S, (look, look))))) for look in (28, 25))
    others.kernel = "other"
    assert [case.disturbed for case in of(wide, others)] == [False, False]


def test_a_processor_that_was_slow_is_told_by_its_looks_and_taken_out():
    slow, fast = (Process(timing(*rounds((50, CALL_S * look / 25, (look, look))))) for look in (26, 25))
    best = fastest_looks([slow, fast])
    assert (slowness(slow, best), slowness(fast, best)) == (pytest.approx(1.04), 1.0)
    assert slowness(fast, fastest_looks([Process(fast.cases[0], best_ns=24_000)])) == pytest.approx(25 / 24)
    assert slowness(Process(timing([CALL_S], [])), best) == 1.0
    slow.device = "cuda"
    assert slowness(slow, best) == 1.0, "the processor's speed is not a device's"


@pytest.mark.parametrize("share", [0.03, 0.4, 0.75])
def test_beside_neighbours_times_and_speedups_are_those_without_them(tmp_path, share):
    run = simulate.read(simulate.write_run(tmp_path, TIMES, repeats=7, rounds=150, noise=0.003, neighbour=share))
    cases = {(case.mode, case.batch_size): case for case in times.cases([run])}
    one, batch = cases["per_sample", 100].estimate(), cases["batched", 100].estimate()
    assert one.value == pytest.approx(18e-6, rel=0.02)
    assert batch.value == pytest.approx(1.4e-6, rel=0.02)
    gain = times.ratio(cases["per_sample", 100], cases["batched", 100])
    assert gain.value == pytest.approx(18 / 1.4, rel=0.02)
