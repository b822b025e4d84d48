"""How often to repeat, on simulated processes: no clock runs here."""

import itertools

import numpy as np
import pytest

from mlpbench.bench import cases as cases_
from mlpbench.bench.plan import effort, profiles
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import case_order, make_plan
from mlpbench.bench.record.plan import LIMITS
from mlpbench.bench.stats import estimates

CASES = [cases_.Case("per_sample", 100), cases_.Case("batched", 10)]
KERNELS = ("quiet", "noisy")


def plan(kernels=KERNELS, target=0.02, budget_s=100.0, repeats=3, seed=1):
    settings = {"seed": seed, "threads": 1, "skipped": [], "command": ["mlpbench"], "commit": None}
    aim = {"target": target, "budget_s": budget_s}
    return make_plan(profiles.profile("quick"), list(kernels), CASES, repeats=repeats, **settings, **aim)


def run(the_plan, noise, seconds=2.0, fails=(), disturbed=(), seed=0):
    """Simulate the processes of a plan: each kernel's noise, and seconds of a process. Return the Effort and order.

    A disturbed process takes twice as long in its batched case.
    """
    rng, made, order = np.random.default_rng(seed), Effort(the_plan), []
    lasts = seconds if isinstance(seconds, dict) else dict.fromkeys(the_plan.kernels, seconds)
    for kernel, repeat in made.processes():
        order.append((kernel, repeat))
        times = {(c.mode, c.batch_size): 1e-6 * float(np.exp(rng.normal(0, noise[kernel]))) for c in CASES}
        hit = [("batched", 10)] if (kernel, repeat) in disturbed else []
        times |= {case: 2 * times[case] for case in hit}
        made.note(kernel, repeat, lasts[kernel], {} if (kernel, repeat) in fails else times, hit)
        assert len(order) < 5000, "it must end"
    return made, order


def limits(made, **how):
    return {(case.kernel, case.mode): case.limit for case in made.ending(**how).cases}


# -- when it ends


def test_quiet_cases_stop_at_the_least_number_of_repeats():
    made, order = run(plan(), {"quiet": 1e-4, "noisy": 1e-4})
    assert order == list(plan().order)
    assert set(limits(made).values()) == {"target"}
    assert made.ending().sentence() == "4 of 4 cases have an interval within 2 %, after 12 s."


def test_the_budget_ends_what_is_too_noisy():
    made, order = run(plan(), {"quiet": 0.5, "noisy": 0.5})
    assert made.spent_s == 100
    assert len(order) == 50
    assert set(limits(made).values()) == {"budget"}
    assert "4 ran out of budget (100 s used, 100 s planned). Widest: " in made.ending().sentence()


def test_the_cases_of_a_run_know_their_scatter_together():
    """Three repeats alone know little of it: among nine quiet cases one that looks wide is taken to be less so."""

    def width(quiet_cases):
        made = Effort(plan(kernels=["one", "others"]))
        for repeat, factor in enumerate((1.0, 1.02, 0.98)):
            quiet = 1e-6 * (1 + (factor - 1) / 10)
            made.note("one", repeat, 1.0, {("batched", 10): 1e-6 * factor})
            made.note("others", repeat, 1.0, {("batched", size): quiet for size in range(quiet_cases)})
        return next(case.half_width for case in made.ending().cases if (case.kernel, case.mode) == ("one", "batched"))

    assert width(9) < 0.8 * width(0)


def test_a_case_without_two_repeats_has_no_width_and_wild_ones_have_a_number():
    made = Effort(plan(kernels=["one"], target=None, budget_s=None, repeats=2))
    made.note("one", 0, 1.0, {("batched", 10): 1e-9, ("per_sample", 100): 1.0})
    made.note("one", 1, 1.0, {("batched", 10): 1e3})
    widths = {case.mode: case.half_width for case in made.ending().cases}
    assert widths == {"batched": 1e9, "per_sample": None}


def test_repeats_go_where_the_interval_is_widest():
    made, order = run(plan(), {"quiet": 1e-4, "noisy": 0.05})
    count = {kernel: sum(name == kernel for name, _ in order) for kernel in KERNELS}
    assert count["quiet"] == 3
    assert count["noisy"] > 6
    assert made.ending().sentence().count("of 4 cases") == 1
    assert limits(made)["quiet", "per_sample"] == "target"
    _, order = run(plan(budget_s=60.0), {"quiet": 0.08, "noisy": 5.0})
    assert sum(kernel == "quiet" for kernel, _ in order) > 6, "a hopeless kernel does not keep all others waiting"


def test_more_repeats_bring_a_moderate_case_to_the_target():
    made, order = run(plan(budget_s=1000), {"quiet": 0.01, "noisy": 0.02})
    assert set(limits(made).values()) == {"target"}
    assert 6 < len(order) < 500
    assert all(case.half_width <= 0.02 for case in made.ending().cases)


@pytest.mark.parametrize("budget", [1.0, 11.0, 13.0, 20.0, 21.9, 60.0])
def test_the_budget_is_kept_but_for_the_first_process(budget):
    the_plan = plan(budget_s=budget)
    made, order = run(the_plan, {"quiet": 0.3, "noisy": 0.3})
    assert len(order) == max(1, int(budget / 2))
    assert made.spent_s <= max(budget, 2)
    left_out = tuple(at for at in the_plan.order if at not in order)
    assert made.ending().left_out == left_out, "and what has no time is named"


@pytest.mark.parametrize(("budget", "repeats"), [(17.0, [1, 1, 2, 2]), (21.0, [2, 2, 2, 2]), (28.0, [3, 3, 3, 3])])
def test_where_time_is_short_all_kernels_have_fewer_repeats_rather_than_some_none(budget, repeats):
    the_plan = plan("abcd", budget_s=budget)
    made, order = Effort(the_plan), []
    for kernel, repeat in made.processes():
        order.append((kernel, repeat))
        made.note(kernel, repeat, 2.0 if repeat else 2.0 / effort.LATER, {("batched", 10): 1e-6})
    assert sorted(sum(name == kernel for name, _ in order) for kernel in "abcd") == repeats
    assert order == list(the_plan.order)[: len(order)], "in the planned order"
    assert made.spent_s <= budget
    assert set(made.ending().left_out) == set(the_plan.order) - set(order)


def test_last_repeats_and_slow_kernels_are_left_out_first():
    """Compiling is paid once: the next process of that kernel is taken to last as long as without."""
    lasts, made, order = {"quiet": 2.0, "noisy": 6.0}, Effort(plan(budget_s=25.0)), []
    for kernel, repeat in made.processes():
        order.append((kernel, repeat))
        compiled_s = 4.0 if kernel == "noisy" and repeat == 0 else 0.0
        made.note(kernel, repeat, lasts[kernel] + compiled_s, {("batched", 10): 1e-6}, (), compiled_s)
    assert made.spent_s == 22
    assert made.left_out == [("noisy", 2)]
    assert set(order) == set(plan().order) - {("noisy", 2)}


def test_a_kernel_of_which_nothing_is_known_starts_while_there_is_time_and_is_stopped_soon_after():
    made = Effort(plan(budget_s=20.0))
    at = made.processes()
    assert made.limit_s() is None, "the first of all is waited for"
    first, _ = next(at)
    made.note(first, 0, 4.0, {("batched", 10): 1e-6})
    assert (made.limit_s(), made.left_s()) == (16 + 5, None)
    other, repeat = next(at)
    made.cut(other, repeat, 21.0)
    assert (made.besides_s, made.left_budget_s) == (21.0, 0.0), "it is paid in full: nothing starts beyond the budget"
    assert list(at) == []
    assert made.left_out[0] == (other, 0)
    limit = {case.kernel: case.limit for case in made.ending().cases if case.mode == "batched"}
    assert limit == {first: "budget", other: "budget"}


def test_time_left_is_known_once_every_kernel_has_run():
    exact = Effort(plan(target=None, budget_s=None))
    seen = []
    for kernel, repeat in exact.processes():
        seen.append(exact.left_s())
        exact.note(
            kernel, repeat, 2.0 if repeat else 2.0 / effort.LATER, {("batched", 10): 1e-6}
        )  # the first looks closer
    assert (seen[:2], exact.left_s()) == ([None, None], 0)
    assert seen[2:] == [6.0, 4.0, 2.0, 0.0], "of those that come after it"


def timed_for(budget_s):
    """Return an `Effort` of processes that take a second and 3 s of rounds at full length, and how long rounds were."""
    made, shares = Effort(plan(target=None, budget_s=budget_s)), []
    for kernel, repeat in made.processes():
        shares.append(made.share(kernel))
        seconds = 3.0 * shares[-1] + (1.0 if repeat else 1.0 / effort.LATER)
        made.note(kernel, repeat, seconds, {("batched", 10): 1e-6}, timed_s=3.0 * shares[-1], share=shares[-1])
    return made, shares


def test_rounds_get_shorter_where_planned_processes_would_not_fit_and_no_shorter_than_that():
    assert timed_for(30.0)[1] == [1.0] * 6
    made, shares = timed_for(20.0)
    assert made.left_out == []
    assert shares[0] == 1
    assert effort.SHORTEST < min(shares) < 0.9
    assert 19 < made.spent_s < 20.5, "what is left goes to rounds"
    made, shares = timed_for(13.0)
    assert min(shares) == effort.SHORTEST
    assert {repeat for _, repeat in made.left_out} == {2}, "the last repeat is left out, of both kernels"


def test_a_process_that_would_not_end_in_time_gives_way_to_a_shorter_one():
    made, order = run(plan(budget_s=40.0), {"quiet": 0.3, "noisy": 0.6}, seconds={"quiet": 1.0, "noisy": 10.0})
    assert [point for point in order[6:] if point[0] == "noisy"] == []
    assert order[6:] == [("quiet", repeat) for repeat in range(3, 3 + len(order) - 6)]
    assert 33 <= made.spent_s <= 40


def test_exactly_so_many_without_a_target():
    made, order = run(plan(target=None, budget_s=None, repeats=2), {"quiet": 0.5, "noisy": 0.5})
    assert order == list(plan(repeats=2).order)
    assert set(limits(made).values()) == {"repeats"}
    assert made.ending().sentence() is None


def test_a_kernel_that_fails_does_not_eat_the_budget():
    broken = {("noisy", repeat) for repeat in range(3)}
    made, order = run(plan(), {"quiet": 1e-4, "noisy": 0.1}, fails=broken)
    assert order == list(plan().order)
    assert limits(made)["noisy", "batched"] == "failed"
    made, order = run(plan(), {"quiet": 1e-4, "noisy": 0.1}, fails={("noisy", 4)})
    assert max(repeat for _, repeat in order) == 4
    assert limits(made)["noisy", "batched"] in ("failed", "target")


def test_disturbed_repeats_are_replaced_until_two_are_undisturbed_and_are_not_counted():
    made, order = run(plan(), {"quiet": 1e-4, "noisy": 1e-4}, disturbed={("noisy", 1), ("noisy", 2)})
    assert order == [*plan().order, ("noisy", 3)]
    assert set(limits(made).values()) == {"target"}
    (hit,) = (case for case in made.ending().cases if (case.kernel, case.mode) == ("noisy", "batched"))
    assert (hit.repeats, hit.half_width < 0.001) == (4, True)


def test_what_is_always_disturbed_is_kept_and_ends_with_the_budget():
    always = {("noisy", repeat) for repeat in range(100)}
    made, order = run(plan(budget_s=40.0), {"quiet": 1e-4, "noisy": 1e-4}, disturbed=always)
    assert len(order) == 20
    found = {(case.kernel, case.mode): case for case in made.ending().cases}
    assert found["noisy", "batched"].limit == "budget"
    assert found["noisy", "batched"].half_width < 0.001, "all of them, where there is nothing better"
    assert found["noisy", "per_sample"].limit == "target"


def test_which_repeats_count():
    values = {0: 1.0, 1: 2.0, 2: 3.0, 5: 4.0}
    assert estimates.counted(values, ()) == values
    assert estimates.counted(values, {1}) == {0: 1.0, 2: 3.0, 5: 4.0}
    assert estimates.counted(values, {1, 2}) == {0: 1.0, 5: 4.0}
    assert estimates.counted(values, {0, 1, 2}) == values, "one is too few"
    assert estimates.counted({}, ()) == {}


def test_there_is_a_most_of_repeats(monkeypatch):
    monkeypatch.setattr(effort, "MOST_REPEATS", 9)
    made, order = run(plan(budget_s=1e5), {"quiet": 0.5, "noisy": 0.5})
    assert max(repeat for _, repeat in order) == 8
    assert set(limits(made).values()) == {"repeats"}


def test_an_interval_that_decides_when_to_stop_still_holds_the_truth():
    """Part of the table in the module: one kernel of two cases, 2 % noise. Nominally 95 % of the intervals do."""
    held = []
    for seed in range(150):
        made, _ = run(plan(kernels=["noisy"], budget_s=60.0), {"noisy": 0.02}, seed=seed)
        for times in made._times["noisy"].values():
            found = estimates.estimate({repeat: 1e6 * value for repeat, value in times.items()})
            held.append(found.low <= 1 <= found.high)
    # 300 cases at 93 %: fewer than 88 % once in 2000 times.
    assert np.mean(held) >= 0.88


# -- pairs


def test_repeats_of_one_number_run_next_to_each_other():
    _, order = run(plan(kernels="abcd", budget_s=300.0), {"a": 0.05, "b": 0.04, "c": 0.03, "d": 1e-4})
    assert len(order) == len(set(order))
    rounds = [[kernel for kernel, _ in group] for _, group in itertools.groupby(order, key=lambda point: point[1])]
    assert [repeat for repeat, _ in itertools.groupby(point[1] for point in order)] == list(range(len(rounds)))
    assert all(len(set(kernels)) == len(kernels) for kernels in rounds)
    assert any(1 < len(kernels) < 4 for kernels in rounds)


def test_the_order_follows_the_seed():
    noise = dict.fromkeys("abcd", 0.05)
    orders = [tuple(run(plan(kernels="abcd", seed=seed), noise)[1]) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    firsts = {kernel for kernel, _ in orders[0][12::4]}
    assert len(firsts) > 1, "further rounds are shuffled as well"


SIZES = [cases_.Case("batched", size) for size in range(1, 7)]


def order_of(seed=1, kernel="quiet", repeat=3, turn=0, threads=1):
    return tuple(case_order(SIZES, seed, kernel, repeat, turn, threads=threads))


@pytest.mark.parametrize("threads", [1, 2])
def test_cases_run_in_an_order_of_their_own_in_every_turn_of_every_process(threads):
    points = [(kernel, repeat, turn) for kernel in KERNELS for repeat in range(4) for turn in range(5)]
    orders = {point: order_of(1, *point, threads=threads) for point in points}
    assert all(sorted(order) == SIZES for order in orders.values())
    assert len(set(orders.values())) > 15
    assert order_of() == order_of()
    assert order_of(seed=2) != order_of()


def test_behind_large_batches_of_several_threads_comes_one_small_batch_at_most():
    """Each second turn ends as the next one begins, so that a pool of threads is waited for once in two turns."""
    in_turn = [order_of(turn=turn, threads=2) for turn in range(4)]
    large = [[case.batch_size > 3 for case in order] for order in in_turn]
    up, down = [False] * 3 + [True] * 3, [True] * 3 + [False] * 3
    assert large == [down, up, down, up]


# -- the ending


def test_the_ending_holds_what_ran(tmp_path):
    made, order = run(plan(), {"quiet": 1e-4, "noisy": 0.05})
    ending = made.ending(interrupted=True)
    assert list(ending.order) == order
    assert set(limits(made, interrupted=True).values()) == {"interrupted"}
    assert {case.limit for case in ending.cases} <= set(LIMITS)
    assert ending.limit("quiet", "batched", 10) == "interrupted"
    assert ending.limit("quiet", "batched", 11) is None


def test_a_kernel_that_was_stopped_costs_what_it_took_and_is_not_started_again():
    the_plan = plan(budget_s=40.0)
    made, stuck = Effort(the_plan), the_plan.order[0][0]
    for kernel, repeat in made.processes():
        if kernel == stuck:
            made.stopped(kernel, repeat, 30.0)
        else:
            made.note(kernel, repeat, 2.0, {("batched", 10): 1e-6})
    assert (made.besides_s, made.spent_s) == (30.0, 6.0)
    assert made.left_out == [at for at in the_plan.order if at[0] == stuck and at[1] > 0]
    ending = made.ending()
    assert {case.limit for case in ending.cases if case.kernel == stuck} == {"failed"}
    assert ending.shortfall() is None, "more time would not have helped"


def test_what_was_done_before_is_not_done_again():
    the_plan = plan(budget_s=40.0)
    made = Effort(the_plan)
    for kernel, repeat in the_plan.order[:3]:
        made.note(kernel, repeat, 2.0, {("batched", 10): 1e-6 * (1 + repeat)})
    assert made.ahead == the_plan.order[3:]
    after = []
    for kernel, repeat in made.processes():
        after.append((kernel, repeat))
        made.note(kernel, repeat, 2.0, {("batched", 10): 1e-6 * (1 + repeat)})
    assert not set(after) & set(the_plan.order[:3])
    assert len(set(after)) == len(after)
    assert made.done == 20, "the budget counts what was spent before"
