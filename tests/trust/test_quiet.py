"""The time of a case is made of its quiet rounds: simulated neighbours, of which the truth is known."""

import msgspec
import numpy as np
import pytest

from mlpbench.bench.record.runs import read_run
from mlpbench.bench.trust import quiet
from support import simulate, spells, trusting
from support.trusting import AT, Process, rounds, timing

TIMES = {("numpy", "per_sample", 100): 18e-6, ("numpy", "batched", 100): 1.4e-6}
SLOWER = {("per_sample", 100): 1.9, ("batched", 100): 1.5}
CALL_S = 1e-4


def of(*processes):
    """Return what is taken of the only case of each process."""
    return [found[AT] for found in quiet.taken(processes)]


def test_the_time_is_that_of_the_rounds_between_two_quiet_looks():
    (found,) = of(Process(timing(*rounds((6, CALL_S, (25, 26)), (9, 1.8e-4, (25, 50)), (9, 1.9e-4, (51, 26))))))
    assert (found.rule, found.chosen, found.counts) == ("quiet rounds", tuple(range(6)), True)
    assert found.sample_s == pytest.approx(CALL_S / 100)
    assert found.slow == pytest.approx(18 / 48)
    (why,) = found.disturbances
    assert (why.cause, "80% longer" in why.text) == ("neighbour", True)


def test_without_looks_every_round_counts_as_before():
    (found,) = of(Process(timing([1e-4, 3e-4, 2e-4], [])))
    assert (found.rule, found.call_s, found.slow, found.disturbances, found.counts) == (
        "all rounds",
        2e-4,
        None,
        (),
        True,
    )


def test_too_few_quiet_rounds_leave_the_fastest_fifth_which_does_not_count():
    busy = timing(*rounds((2, CALL_S, (25, 25)), (18, 1.8e-4, (50, 50))))
    (found,) = of(Process(busy))
    assert (found.rule, found.call_s, found.counts) == ("fastest fifth", pytest.approx(1.4e-4), False)
    assert found.disturbances[0].text == "90% of the looks beside it were slow: too few rounds were quiet"


@pytest.mark.parametrize(("number", "rule"), [(2, "quiet rounds"), (1, "fastest fifth")])
def test_of_few_rounds_half_have_to_be_quiet(number, rule):
    (found,) = of(
        Process(timing(*rounds((number, CALL_S, (25, 25)), (3 - number, CALL_S, (50, 50)), (1, CALL_S, (25, 50)))))
    )
    assert found.rule == rule


def test_looks_at_the_ends_of_a_long_round_do_not_tell_unless_all_is_calm():
    long = {"iterations": 100}  # 10 ms
    spells_between = rounds((6, CALL_S, (25, 25)), (6, 1.3e-4, (25, 25)), (4, 1.5e-4, (25, 50)))
    assert of(Process(timing(*spells_between, **long)))[0].rule == "fastest fifth"
    calm = rounds((12, CALL_S, (25, 25)), (1, 1.5e-4, (25, 50)))
    assert of(Process(timing(*calm, **long)))[0].rule == "quiet rounds"


def test_rounds_that_were_interrupted_are_not_quiet_where_it_was_not_calm():
    interrupted = rounds((6, CALL_S, (25, 25)), (9, 4e-4, (25, 25)), (4, 1.5e-4, (25, 50)))
    (found,) = of(Process(timing(*interrupted)))
    assert (found.rule, found.chosen, found.counts) == ("quiet rounds", tuple(range(6)), True)


def test_where_most_rounds_were_interrupted_the_others_say_how_long_a_round_is():
    """A round of 1.5 ms is short although the median of all of them is 8 ms."""
    waited = [trusting.window(*AT, run_delay_s=0.5)]
    between = timing(*rounds((10, 1.5e-3, (25, 25)), (15, 8e-3, (25, 25))), iterations=1)
    (found,) = of(Process(between, windows=waited))
    assert (found.rule, len(found.chosen), found.call_s) == ("quiet rounds", 10, 1.5e-3)
    assert found.disturbances[0].cause == "load"


def test_quiet_rounds_that_waited_for_a_processor_are_not_believed_when_they_are_long():
    waited = [trusting.window(*AT, run_delay_s=0.3)]
    data = rounds((12, CALL_S, (25, 25)))
    short, long = of(Process(timing(*data), windows=waited)), of(Process(timing(*data, iterations=100), windows=waited))
    assert (short[0].rule, short[0].counts) == ("quiet rounds", True)
    assert (long[0].rule, long[0].counts) == ("fastest fifth", False)
    assert [why.cause for why in long[0].disturbances] == ["load"], "the counters say why"
    assert short[0].disturbances == (), "it mattered nothing"


def test_long_rounds_of_one_thread_count_without_the_time_in_which_it_waited():
    """Calls of 10 ms beside others who are always there: none is without a wait, and all tell the same."""
    waited, waits_s = trusting.window(*AT, run_delay_s=0.3), [0.03, 0.05, 0.01, 0.02, 0.04, 0.03]
    data = [0.01 + wait for wait in waits_s], [(25, 25)] * 6

    def one(windows, looks=data[1], **changes):
        case = timing(data[0], looks, iterations=1)
        changes = {"waits_ns": tuple(round(1e9 * wait) for wait in waits_s), **changes}
        return of(Process(msgspec.structs.replace(case, **changes), windows=windows))[0]

    found = one([waited])
    assert (found.rule, found.call_s, found.counts) == ("without waiting", pytest.approx(0.01), True)
    assert [why.cause for why in found.disturbances] == ["load"]
    assert one([waited], waits_ns=()).rule == "fastest fifth", "several threads wait for each other"
    assert one([waited], [(25, 50)] * 6).rule == "fastest fifth", "a neighbour besides"
    assert one([trusting.window(*AT, run_delay_s=0.3, steal_s=0.2)]).rule == "fastest fifth", "the host besides"
    assert one([trusting.window(*AT)]).rule == "quiet rounds", "nothing says that it matters"


def test_counters_say_why_a_time_moved_and_looks_whether():
    waited = [trusting.window(*AT, run_delay_s=0.3)]
    moved = of(Process(timing(*rounds((8, CALL_S, (25, 25)), (12, 2e-4, (25, 60)))), windows=waited))[0]
    assert ([why.cause for why in moved.disturbances], moved.counts) == (["load"], True)


def test_a_kernel_whose_own_times_scatter_keeps_its_median():
    (found,) = of(Process(timing(*rounds((6, CALL_S, (25, 25)), (7, 1.4e-4, (25, 25))))))
    assert (found.rule, found.call_s, found.disturbances) == ("quiet rounds", 1.4e-4, ())


def test_the_best_look_is_that_of_the_run_or_of_the_machine():
    slow, fast = timing(*rounds((9, 2e-4, (50, 50)))), timing(*rounds((9, CALL_S, (25, 25))))
    assert of(Process(slow))[0].rule == "quiet rounds", "alone, it cannot know"
    assert of(Process(slow), Process(fast))[0].rule == "fastest fifth"
    assert of(Process(slow, best_ns=25_000))[0].rule == "fastest fifth"
    assert of(Process(slow), Process(fast, name="other"))[0].rule == "quiet rounds", "other looks say nothing"
    assert of(Process(slow), Process(fast, processors=2))[0].rule == "quiet rounds"


def test_one_impossible_look_is_not_the_best():
    data, looks = rounds((9, CALL_S, (25, 25)))
    looks[0] = (1, 25)
    assert len(of(Process(timing(data, looks)))[0].chosen) == 9


def test_a_clock_that_is_slower_beside_one_case_is_no_neighbour():
    other = timing(*rounds((9, CALL_S, (25, 25))))
    wide_vectors = msgspec.structs.replace(timing(*rounds((9, CALL_S, (28, 28)))), mode="per_sample")
    found = quiet.taken([Process(other, wide_vectors)])[0]["per_sample", 100]
    assert (found.rule, found.slow, found.disturbances) == ("quiet rounds", 0.0, ())


def test_what_took_longer_than_its_best_repeat_is_marked_and_counts():
    usual, slow = timing(*rounds((9, CALL_S, (25, 25)))), timing(*rounds((9, 1.2e-4, (25, 25))))
    first, second = of(Process(usual), Process(slow))
    assert (first.disturbances, second.counts) == ((), True)
    assert [(why.cause, "20% longer" in why.text) for why in second.disturbances] == [("unknown", True)]


def test_rounds_and_repeat_that_were_both_a_little_slow_are_marked_together():
    """7 % more in the median of all rounds, of a time that is 6 % longer: each alone is nothing."""
    usual = timing(*rounds((9, CALL_S, (25, 25))))
    both = rounds((9, 1.06e-4, (25, 25)), (10, 1.06e-4 * 1.07, (25, 50)))
    marked = of(Process(usual), Process(usual), Process(timing(*both)))
    assert [bool(found.disturbances) for found in marked] == [False, False, True]
    assert marked[2].counts
    (why,) = marked[2].disturbances
    assert (why.cause, "13% longer than its usual time" in why.text) == ("neighbour", True)
    waited = [trusting.window(*AT, run_delay_s=0.3)]
    (why,) = of(Process(usual), Process(timing(*both), windows=waited))[1].disturbances
    assert why.cause == "load", "the counters know better"
    either = timing(*rounds((9, 1.06e-4, (25, 25)))), timing(*rounds((9, CALL_S, (25, 25)), (10, 1.07e-4, (25, 50))))
    assert [found.disturbances for found in of(Process(usual), *map(Process, either))] == [(), (), ()]


def test_what_little_hinders_is_usual_where_one_repeat_of_many_was_faster():
    """One of eight is 6 % faster than the others: held against it, each that waited a little would be slow."""
    fast, usual = timing(*rounds((9, 0.94e-4, (25, 25)))), timing(*rounds((9, CALL_S, (25, 25))))
    waited = timing(*rounds((9, CALL_S, (25, 25)), (10, 1.06e-4, (25, 50))))
    assert not any(found.disturbances for found in of(Process(fast), *map(Process, [usual] * 6), Process(waited)))


def test_looks_that_were_slow_beside_rounds_that_were_not_mark_nothing_but_do_not_count():
    usual = timing(*rounds((9, CALL_S, (25, 25))))
    beside = timing(*rounds((2, CALL_S, (25, 25)), (18, 1.02e-4, (25, 50))))
    first, second = of(Process(usual), Process(beside))
    assert (first.counts, second.rule, second.counts, second.disturbances) == (True, "fastest fifth", False, ())


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Return a run of 60 repeats beside a neighbour whose share of the time is another in each process."""
    neighbour = spells.Neighbour(slower=SLOWER)
    folder = simulate.write_run(tmp_path_factory.mktemp("r"), TIMES, repeats=60, rounds=60, neighbour=neighbour)
    return quiet.taken(read_run(folder).records)


@pytest.mark.parametrize("at", list(SLOWER))
def test_beside_a_neighbour_times_are_those_alone(noisy, at):
    alone = TIMES["numpy", *at]
    found = [process[at] for process in noisy]
    off = np.log([case.sample_s / alone for case in found if case.counts])
    plain = np.log([np.median(case.timing.rounds_s) / at[1] / alone for case in found])
    assert len(off) > 55
    assert abs(np.median(off)) < 0.01
    assert np.abs(off).max() < 0.05
    assert np.quantile(plain, 0.75) > 0.2, "the median of all rounds shows the neighbour"


def test_marks_find_what_is_slow_of_a_time_that_is_known(noisy):
    slow, others = [], []
    for at in SLOWER:
        for process in noisy:
            seconds = float(np.median(process[at].timing.rounds_s)) / at[1]
            (slow if seconds > 1.1 * TIMES["numpy", *at] else others).append(bool(process[at].disturbances))
    assert len(slow) > 40
    assert len(others) > 20
    assert (np.mean(slow), np.mean(others)) == (1, 0)
