"""Sides of a pair in a plan and in its processes: next to each other, and both or none. No clock runs here."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from mlpbench.bench.cases import Case, make_settings
from mlpbench.bench.plan import profiles
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import make_plan, shuffled
from mlpbench.bench.plan.sweep import names_of, together

CASES = [Case("per_sample", 100), Case("batched", 10)]
SETTINGS = make_settings(["784-50-100-10"], [1, 2], ["float32"], ["old", "new"])
KERNELS = ["numpy", "numba"]
PAIRS = together((setting, names_of(SETTINGS, setting, KERNELS)) for setting in SETTINGS)
NAMES = [name for pair in PAIRS for name in pair]
PARTNER = {name: other for one, two in PAIRS for name, other in ((one, two), (two, one))}


def run(budget_s, lasts=lambda name, repeat: 2.0, fails=(), stopped=()):
    """Return the processes of a plan of four pairs, as `Effort` names them; ``lasts``: seconds of each of them."""
    how = {"repeats": 3, "seed": 0, "threads": 1, "skipped": {}, "command": ["mlpbench"], "commit": None}
    aim = {"target": 0.02, "budget_s": budget_s}
    plan = make_plan(profiles.profile("quick"), NAMES, CASES, together=PAIRS, **how, **aim)
    rng, effort, order = np.random.default_rng(0), Effort(plan, PAIRS), []
    for name, repeat in effort.processes():
        order.append((name, repeat))
        times = {(c.mode, c.batch_size): 1e-6 * float(np.exp(rng.normal(0, 0.3))) for c in CASES}
        if (name, repeat) in stopped:
            effort.stopped(name, repeat, lasts(name, repeat))
        else:
            effort.note(name, repeat, lasts(name, repeat), {} if name in fails else times)
    return order, effort


def paired(order):
    return all(b == (PARTNER[a[0]], a[1]) for a, b in zip(order[::2], order[1::2], strict=True))


def test_a_pair_is_one_kernel_in_all_environments_and_its_sides_are_neighbours_in_an_order_by_chance():
    expected = [
        {f"threads-{threads}_env-{env}/{kernel}" for env in ("old", "new")} for threads in (1, 2) for kernel in KERNELS
    ]
    assert [set(pair) for pair in PAIRS] == expected
    alone = make_settings(["784-50-100-10"], [1, 2], ["float32"])
    groups = together((setting, names_of(alone, setting, KERNELS)) for setting in alone)
    assert {len(group) for group in groups} == {1}
    order = shuffled(NAMES, 50, 1, PAIRS)
    assert Counter(order) == Counter((name, repeat) for name in NAMES for repeat in range(50))
    assert paired(order)
    assert min(Counter(name for name, _ in order[::2]).values()) > 10, "neither side always comes first"


@pytest.mark.parametrize("budget_s", [1.0, 9.0, 15.0, 31.0, 47.0, 80.0, 133.0])
def test_no_budget_measures_one_side_alone(budget_s):
    """Processes last 1 to 3 s; kernels by themselves would end between the two sides, or run apart."""
    rng = np.random.default_rng(int(budget_s))
    order, effort = run(budget_s, lambda *_: float(rng.uniform(1, 3)))
    assert paired(order)
    assert {PARTNER[name] for name, _ in effort.left_out} == {name for name, _ in effort.left_out}
    assert effort.spent_s < budget_s + 3 + 3, "the last pair may take longer than it was taken to"


def test_what_was_planned_goes_on_pair_by_pair_and_a_side_that_ends_takes_its_pair_with_it():
    order, _ = run(200.0)
    later = [at for at in order if at[1] >= 3]
    assert len(later) > 20
    assert paired(later)
    assert all(b >= a for (_, a), (_, b) in pairwise(order))
    gone = PAIRS[0][0]
    order, _ = run(200.0, fails=(gone,))
    assert not [name for name, repeat in order if repeat >= 3 and name in (gone, PARTNER[gone])]
    order, _ = run(200.0, stopped=[(name, 1) for name in PAIRS[0]])
    assert Counter(name for name, _ in order if name in PAIRS[0]).total() == 3
