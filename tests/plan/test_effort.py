"""How often to repeat, on simulated processes: no clock runs here."""

import itertools
from collections import Counter

import numpy as np
import pytest

from mlpbench.bench.cases import Case, make_settings
from mlpbench.bench.plan import effort
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import make_plan, profile, shuffled
from mlpbench.bench.plan.sweep import together
from mlpbench.bench.record.plan import LIMITS

CASES = [Case("per_sample", 100), Case("batched", 10)]
KERNELS = ("quiet", "noisy")
QUIET = dict.fromkeys(KERNELS, 1e-4)
TIMES = {("batched", 10): 1e-6}


def plan(kernels=KERNELS, target=0.02, budget_s=100.0, repeats=3, seed=1, pairs=None):
    how = {"repeats": repeats, "seed": seed, "commit": None, "target": target, "budget_s": budget_s, "together": pairs}
    return make_plan(profile("quick"), list(kernels), CASES, **how)


def run(the_plan, noise, lasts=lambda _: 2.0, fails=(), disturbed=(), stopped=(), pairs=None):
    """Simulate the processes of a plan: each kernel's noise, and seconds of a process. Return the Effort and order.

    A disturbed process takes twice as long in its batched case.
    """
    rng, made, order = np.random.default_rng(0), Effort(the_plan, pairs), []
    for kernel, repeat in made.processes():
        order.append((kernel, repeat))
        times = {(c.mode, c.batch_size): 1e-6 * float(np.exp(rng.normal(0, noise[kernel]))) for c in CASES}
        hit = [("batched", 10)] if (kernel, repeat) in disturbed else []
        times |= {case: 2 * times[case] for case in hit}
        if (kernel, repeat) in stopped:
            made.stopped(kernel, repeat, lasts(kernel))
        else:
            made.note(kernel, repeat, lasts(kernel), {} if (kernel, repeat) in fails else times, hit)
        assert len(order) < 5000, "it must end"
    return made, order


def limits(made, **how):
    return {(case.kernel, case.mode): case.limit for case in made.ending(**how).cases}


def end_of(made, *case):
    return next(end for end in made.ending().cases if (end.kernel, end.mode) == case)


# -- when it ends


def test_it_ends_at_the_target_at_the_budget_at_a_number_or_at_most_repeats(monkeypatch):
    made, order = run(plan(), QUIET)
    assert (order, set(limits(made).values())) == (list(plan().order), {"target"})
    noise = dict.fromkeys(KERNELS, 0.5)
    made, order = run(plan(), noise)
    assert (made.spent_s, len(order), set(limits(made).values())) == (100, 50, {"budget"})
    exact = plan(target=None, budget_s=None, repeats=2)
    made, order = run(exact, noise)
    assert (order, set(limits(made).values())) == (list(exact.order), {"repeats"})
    monkeypatch.setattr(effort, "MOST_REPEATS", 9)
    made, order = run(plan(budget_s=1e5), noise)
    assert (max(repeat for _, repeat in order), set(limits(made).values())) == (8, {"repeats"})


def test_the_cases_of_a_run_know_their_scatter_together():
    """Three repeats alone know little of it: among nine quiet cases one that looks wide is taken to be less so."""

    def width(quiet_cases):
        made = Effort(plan(kernels=["one", "others"]))
        for repeat, factor in enumerate((1.0, 1.02, 0.98)):
            quiet = 1e-6 * (1 + (factor - 1) / 10)
            made.note("one", repeat, 1.0, {("batched", 10): 1e-6 * factor})
            made.note("others", repeat, 1.0, {("batched", size): quiet for size in range(quiet_cases)})
        return end_of(made, "one", "batched").half_width

    assert width(9) < 0.8 * width(0)


def test_a_case_without_two_repeats_has_no_width_and_wild_ones_have_a_number():
    made = Effort(plan(kernels=["one"], target=None, budget_s=None, repeats=2))
    made.note("one", 0, 1.0, {("batched", 10): 1e-9, ("per_sample", 100): 1.0})
    made.note("one", 1, 1.0, {("batched", 10): 1e3})
    assert [case.half_width for case in made.ending().cases] == [None, 1e9]


def test_repeats_go_where_intervals_are_too_wide():
    made, order = run(plan(), {"quiet": 1e-4, "noisy": 0.05})
    count = Counter(kernel for kernel, _ in order)
    assert (count["quiet"], count["noisy"] > 6, limits(made)["quiet", "per_sample"]) == (3, True, "target")
    _, order = run(plan(budget_s=60.0), {"quiet": 0.08, "noisy": 5.0})
    assert sum(kernel == "quiet" for kernel, _ in order) > 6, "a hopeless kernel does not keep all others waiting"
    made, order = run(plan(budget_s=1000), {"quiet": 0.01, "noisy": 0.02})
    assert (set(limits(made).values()), 6 < len(order) < 500) == ({"target"}, True)
    assert all(case.half_width <= 0.02 for case in made.ending().cases)


@pytest.mark.parametrize("budget", [1.0, 11.0, 13.0, 17.0, 21.9, 28.0, 60.0])
def test_where_time_is_short_all_kernels_have_fewer_repeats_and_what_has_none_is_named(budget):
    the_plan = plan("abcd", budget_s=budget)
    made, order = Effort(the_plan), []
    for kernel, repeat in made.processes():
        order.append((kernel, repeat))
        made.note(kernel, repeat, 2.0 if repeat else 2.0 / effort.LATER, TIMES)
    repeats = Counter(kernel for kernel, _ in order)
    assert max(repeats.values()) - min(repeats[kernel] for kernel in "abcd") <= 1
    assert made.spent_s <= budget + 2.0 / effort.LATER, "what a first process takes is not known"
    assert order[: len(the_plan.order)] == list(the_plan.order)[: len(order)], "in the planned order"
    assert made.ending().left_out == tuple(at for at in the_plan.order if at not in order)


def test_last_repeats_and_slow_kernels_are_left_out_first():
    """Compiling is paid once: the next process of that kernel is taken to last as long as without."""
    lasts, made = {"quiet": 2.0, "noisy": 6.0}, Effort(plan(budget_s=25.0))
    for kernel, repeat in made.processes():
        compiled_s = 4.0 if (kernel, repeat) == ("noisy", 0) else 0.0
        made.note(kernel, repeat, lasts[kernel] + compiled_s, TIMES, (), compiled_s)
    assert (made.spent_s, made.left_out) == (22, [("noisy", 2)])
    made, order = run(plan(budget_s=40.0), {"quiet": 0.3, "noisy": 0.6}, {"quiet": 1.0, "noisy": 10.0}.get)
    assert order[6:] == [("quiet", repeat) for repeat in range(3, 3 + len(order) - 6)], "a shorter one has the time"
    assert 33 <= made.spent_s <= 40


def test_a_kernel_of_which_nothing_is_known_starts_while_there_is_time_and_is_stopped_soon_after():
    made = Effort(plan(budget_s=20.0))
    at = made.processes()
    assert made.limit_s() is None, "the first of all is waited for"
    first, _ = next(at)
    made.note(first, 0, 4.0, TIMES)
    assert (made.limit_s(), made.left_s()) == (16 + 5, 16)
    other, repeat = next(at)
    made.stopped(other, repeat, 21.0, by_budget=True)
    assert (made.spent_s, made.left_s()) == (25.0, 0.0), "it is paid in full: nothing starts beyond the budget"
    assert (list(at), made.left_out[0]) == ([], (other, 0))
    assert [limits(made)[kernel, "batched"] for kernel in KERNELS] == ["budget", "budget"]


@pytest.mark.parametrize(("budget", "shortest", "left_out"), [(30.0, 1.0, set()), (20.0, 0.7, set()), (13.0, 0.5, {2})])
def test_rounds_get_shorter_where_planned_processes_would_not_fit(budget, shortest, left_out):
    """Processes take a second and 3 s of rounds at full length."""
    made, shares = Effort(plan(target=None, budget_s=budget)), []
    for kernel, repeat in made.processes():
        shares.append(made.share(kernel))
        timed_s = 3.0 * shares[-1]
        seconds = timed_s + (1.0 if repeat else 1.0 / effort.LATER)
        made.note(kernel, repeat, seconds, TIMES, timed_s=timed_s, share=shares[-1])
    assert (shares[0], min(shares)) == (1.0, pytest.approx(shortest, abs=0.1))
    assert {repeat for _, repeat in made.left_out} == left_out, "the last repeats, of both kernels"
    assert made.spent_s < budget + 0.5


def test_a_kernel_that_fails_or_was_stopped_does_not_eat_the_budget():
    noise = {"quiet": 1e-4, "noisy": 0.1}
    made, order = run(plan(), noise, fails={("noisy", repeat) for repeat in range(3)})
    assert (order, limits(made)["noisy", "batched"]) == (list(plan().order), "failed")
    made, order = run(plan(), noise, fails={("noisy", 4)})
    assert max(repeat for _, repeat in order) == 4
    assert limits(made)["noisy", "batched"] in ("failed", "target")
    the_plan = plan(budget_s=40.0)
    stuck, _ = the_plan.order[0]
    made, _ = run(the_plan, QUIET, lambda name: 30.0 if name == stuck else 2.0, stopped=[(stuck, 0)])
    assert made.spent_s == 36.0
    assert made.left_out == [at for at in the_plan.order if at[0] == stuck and at[1] > 0]
    assert {case.limit for case in made.ending().cases if case.kernel == stuck} == {"failed"}


def test_disturbed_repeats_are_replaced_where_they_make_an_interval_wide():
    made, order = run(plan(), QUIET, disturbed={("noisy", 1), ("noisy", 2)})
    assert (order, set(limits(made).values())) == ([*plan().order, ("noisy", 3)], {"target"})
    hit = end_of(made, "noisy", "batched")
    assert (hit.repeats, hit.half_width < 0.001) == (4, True), "they are not counted"
    made, order = run(plan(), QUIET, disturbed={("noisy", repeat) for repeat in range(100)})
    assert order == list(plan().order)
    assert end_of(made, "noisy", "batched").half_width < 0.001, "all of them, where there is nothing better"


# -- the order and the ending


def test_repeats_of_one_number_run_next_to_each_other_in_an_order_that_follows_the_seed():
    _, order = run(plan(kernels="abcd", budget_s=300.0), {"a": 0.05, "b": 0.04, "c": 0.03, "d": 1e-4})
    assert len(order) == len(set(order))
    rounds = [[kernel for kernel, _ in group] for _, group in itertools.groupby(order, key=lambda point: point[1])]
    assert [repeat for repeat, _ in itertools.groupby(point[1] for point in order)] == list(range(len(rounds)))
    assert any(1 < len(kernels) < 4 for kernels in rounds)
    noise = dict.fromkeys("abcd", 0.05)
    orders = [tuple(run(plan(kernels="abcd", seed=seed), noise)[1]) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert len({kernel for kernel, _ in orders[0][12::4]}) > 1, "further rounds are shuffled as well"


def test_the_ending_holds_what_ran_and_what_was_done_before_is_not_done_again():
    made, order = run(plan(), {"quiet": 1e-4, "noisy": 0.05})
    ending = made.ending(interrupted=True)
    assert list(ending.order) == order
    assert set(limits(made, interrupted=True).values()) == {"interrupted"} <= set(LIMITS)
    the_plan = plan(budget_s=40.0)
    made, order = Effort(the_plan), []
    for kernel, repeat in itertools.chain(the_plan.order[:3], made.processes()):
        order.append((kernel, repeat))
        made.note(kernel, repeat, 2.0, {("batched", 10): 1e-6 * (1 + repeat)})
    assert len(set(order)) == len(order) == made.done == 20, "the budget counts what was spent before"


# -- sides of a pair

SETTINGS = make_settings(["784-50-100-10"], [1, 2], ["float32"], ["old", "new"])
PAIRS = together((each, {each.name(kernel): kernel for kernel in ("numpy", "numba")}) for each in SETTINGS)
NAMES = [name for pair in PAIRS for name in pair]
PARTNER = {name: other for one, two in PAIRS for name, other in ((one, two), (two, one))}


def paired(budget_s, lasts=lambda _: 2.0, **how):
    """Return the processes of a plan of four pairs, each of which takes ``lasts(name)``."""
    the_plan = plan(NAMES, budget_s=budget_s, seed=0, pairs=PAIRS)
    return run(the_plan, dict.fromkeys(NAMES, 0.3), lasts, pairs=PAIRS, **how)


def are_neighbours(order):
    return all(b == (PARTNER[a[0]], a[1]) for a, b in zip(order[::2], order[1::2], strict=True))


def test_a_pair_is_one_kernel_in_all_environments_and_its_sides_are_neighbours_in_an_order_by_chance():
    threads_and_kernels = itertools.product((1, 2), ("numpy", "numba"))
    expected = [{f"threads-{n}_env-{env}/{kernel}" for env in ("old", "new")} for n, kernel in threads_and_kernels]
    assert [set(pair) for pair in PAIRS] == expected
    order = shuffled(NAMES, 50, 1, PAIRS)
    assert Counter(order) == Counter((name, repeat) for name in NAMES for repeat in range(50))
    assert are_neighbours(order)
    assert min(Counter(name for name, _ in order[::2]).values()) > 10, "neither side always comes first"


@pytest.mark.parametrize("budget_s", [1.0, 15.0, 31.0, 80.0, 133.0])
def test_no_budget_measures_one_side_alone(budget_s):
    """Processes last 1 to 3 s; kernels by themselves would end between the two sides, or run apart."""
    rng = np.random.default_rng(int(budget_s))
    made, order = paired(budget_s, lambda _: float(rng.uniform(1, 3)))
    assert are_neighbours(order)
    assert {PARTNER[name] for name, _ in made.left_out} == {name for name, _ in made.left_out}
    assert made.spent_s < budget_s + 3 + 3, "the last pair may take longer than it was taken to"


def test_a_side_that_ends_takes_its_pair_with_it():
    _, order = paired(200.0)
    assert are_neighbours(order)
    assert sum(repeat >= 3 for _, repeat in order) > 20
    gone = PAIRS[0][0]
    _, order = paired(200.0, fails=[(gone, repeat) for repeat in range(3)])
    assert are_neighbours(order)
    assert not [name for name, repeat in order if repeat >= 3 and name in (gone, PARTNER[gone])]
    _, order = paired(200.0, stopped=[(name, 1) for name in PAIRS[0]])
    assert Counter(name for name, _ in order if name in PAIRS[0]).total() == 3
