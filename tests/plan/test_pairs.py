"""Sides of a pair in a plan and in its processes: next to each other, and both or none. No clock runs here."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from mlpbench.bench import cases as cases_
from mlpbench.bench.cases import make_settings
from mlpbench.bench.plan import profiles
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import make_plan, shuffled
from mlpbench.bench.plan.sweep import names_of, together

CASES = [cases_.Case("per_sample", 100), cases_.Case("batched", 10)]
SETTINGS = make_settings(["784-50-100-10"], [1, 2], ["float32"], ["old", "new"])
KERNELS = ["numpy", "numba"]
PAIRS = together((setting, names_of(SETTINGS, setting, KERNELS)) for setting in SETTINGS)
PARTNER = {name: other for one, two in PAIRS for name, other in ((one, two), (two, one))}


def run(budget_s, lasts=lambda name, repeat: 2.0, noise=0.3, fails=(), seed=0):
    """Return the processes of a plan of four pairs, as `Effort` names them; ``lasts``: seconds of each of them."""
    names = [name for pair in PAIRS for name in pair]
    how = {"repeats": 3, "seed": seed, "threads": 1, "skipped": [], "command": ["mlpbench"], "commit": None}
    aim = {"target": 0.02, "budget_s": budget_s}
    plan = make_plan(profiles.profile("quick"), names, CASES, together=PAIRS, **how, **aim)
    rng, effort, order = np.random.default_rng(seed), Effort(plan, PAIRS), []
    for name, repeat in effort.processes():
        order.append((name, repeat))
        times = {(c.mode, c.batch_size): 1e-6 * float(np.exp(rng.normal(0, noise))) for c in CASES}
        effort.note(name, repeat, lasts(name, repeat), {} if name in fails else times)
    return order, effort


def test_a_pair_is_one_kernel_in_all_environments_with_everything_else_alike():
    assert [sorted(pair) for pair in PAIRS] == [
        sorted(f"threads-{threads}_env-{env}/{kernel}" for env in ("old", "new"))
        for threads in (1, 2)
        for kernel in KERNELS
    ]
    alone = make_settings(["784-50-100-10"], [1, 2], ["float32"])
    groups = together((setting, names_of(alone, setting, KERNELS)) for setting in alone)
    assert {len(group) for group in groups} == {1}


def test_both_sides_of_a_repeat_stand_next_to_each_other_in_an_order_by_chance():
    names = [name for pair in PAIRS for name in pair]
    order = shuffled(names, 50, 1, PAIRS)
    assert Counter(order) == Counter((name, repeat) for name in names for repeat in range(50))
    firsts = Counter()
    for (name, repeat), other in zip(order[::2], order[1::2], strict=True):
        assert other == (PARTNER[name], repeat)
        firsts[name] += 1
    assert min(firsts.values()) > 10, "neither side always comes first"


@pytest.mark.parametrize("budget_s", [1.0, 9.0, 15.0, 31.0, 47.0, 80.0, 133.0])
def test_no_budget_measures_one_side_alone(budget_s):
    """Processes last 1 to 3 s; kernels by themselves would end between the two sides, or run apart."""
    rng = np.random.default_rng(int(budget_s))
    order, effort = run(budget_s, lambda *_: float(rng.uniform(1, 3)))
    assert len(order) % 2 == 0
    assert all(b == (PARTNER[a[0]], a[1]) for a, b in zip(order[::2], order[1::2], strict=True))
    assert {PARTNER[name] for name, _ in effort.left_out} == {name for name, _ in effort.left_out}
    assert effort.spent_s < budget_s + 3 + 3, "the last pair may take longer than it was taken to"


def test_what_was_planned_goes_on_pair_by_pair_where_repeats_are_open():
    order, _ = run(200.0)
    later = [at for at in order if at[1] >= 3]
    assert len(later) > 20
    assert all(b == (PARTNER[a[0]], a[1]) for a, b in zip(later[::2], later[1::2], strict=True))
    repeats = [repeat for _, repeat in order]
    assert all(b >= a for a, b in pairwise(repeats))


def test_a_side_that_fails_takes_its_pair_out_of_further_repeats():
    failing = PAIRS[0][0]
    order, _ = run(200.0, fails=(failing,))
    assert not [name for name, repeat in order if repeat >= 3 and name in (failing, PARTNER[failing])]


def test_a_side_that_was_stopped_takes_its_pair_with_it():
    names = list(PAIRS[0])
    how = {"repeats": 3, "seed": 1, "threads": 1, "skipped": [], "command": ["mlpbench"], "commit": None}
    plan = make_plan(profiles.profile("quick"), names, CASES, together=PAIRS[:1], **how, target=0.02, budget_s=60.0)
    effort, order = Effort(plan, PAIRS[:1]), []
    for name, repeat in effort.processes():
        order.append((name, repeat))
        if len(order) == 3:
            effort.stopped(name, repeat, 5.0)
        else:
            effort.note(name, repeat, 2.0, {(c.mode, c.batch_size): 1e-6 for c in CASES})
    assert len(order) == 3
