"""Rounds on values that nobody has seen: no kernel knows them, and one that remembers is slow in each of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.measure.behind import FEWEST_SURPRISES, MANY_SURPRISES, SURPRISES, Surprises
from mlpbench.bench.measure.case import prepare, round_of
from mlpbench.bench.measure.honesty import Honesty
from support import lying

CALLS, TURNS = 3, 20


class Counts(lying.Liar):
    """Counts the rows that it computes, which are its time."""

    rows = 0

    def answer(self, x, right):
        self.rows += 1 if x.ndim == 1 else len(x)
        return right(x)


class Stale(Counts):
    """Knows its inputs by their address."""

    def __init__(self, spec, params):
        super().__init__(spec, params)
        self.memo = {}

    def answer(self, x, right):
        return self.memo.setdefault(x.ctypes.data, super().answer(x, right)).copy()


@pytest.fixture(scope="module")
def work():
    return Workload(Options(spec="30-20-10"), rows=600)


def timed(kernel, work, case, turns=TURNS):
    """Take the turns of a case, two rounds each, of which a row takes a second; return the surprises and the checks."""
    checks = Honesty(kernel, work.params, work.inputs.copy(), np.random.default_rng(0))
    ready = prepare(kernel, case, checks.x)
    checks.freshen({case: ready})
    found = Surprises(checks, SimpleNamespace(case=case, prepared=ready, calls=CALLS, rounds_s=[]))
    round_ = round_of(ready.call, CALLS)
    for _ in ready.batches:
        ready.call()  # all are known
    for turn in range(1, turns):
        seconds, due = [], found.is_due(turn / (turns - 1))
        for last in (False, True):
            if last and due:
                found.begin(ready.call)
            before = kernel.rows
            y = round_()
            seconds.append(kernel.rows - before + 1.0)
        assert found.end(seconds, y, at_last=turn + 1 == turns) == due
    checks.inputs_unchanged()
    checks.judge()
    return found, checks


SIZES = [Case("per_sample", 100), Case("batched", 20), Case("batched", 200), Case("batched", 300), Case("batched", 600)]


@pytest.mark.parametrize("case", SIZES)
def test_an_honest_kernel_takes_as_long_and_its_inputs_are_as_they_were(work, case):
    """Of one, two or three batches too, where a round has more calls than there are."""
    found, checks = timed(Counts(work.spec, work.params), work, case)
    assert found.ratios == pytest.approx([1.0] * SURPRISES)
    assert (found.remembers(), checks.refusals) == (None, [])


@pytest.mark.parametrize("case", SIZES[:3])
def test_what_remembers_where_nobody_checks_is_slow_in_each_of_them(work, case):
    found, checks = timed(lying.RemembersWhereNobodyChecks(work.spec, work.params), work, case)
    assert "that it has not seen it takes at least" in found.remembers()
    assert SURPRISES < len(found.ratios) <= MANY_SURPRISES, "more are looked at before somebody is refused"
    assert checks.refusals == [], "its results are right"


def test_old_results_for_new_values_are_found_in_the_middle_of_the_rounds(work):
    _, checks = timed(Stale(work.spec, work.params), work, SIZES[1])
    assert {one.check for one in checks.refusals} == {"values"}
    assert "a timed result" in checks.refusals[0].reason


def test_one_round_as_fast_as_the_others_is_enough_and_too_few_say_nothing(work):
    found, _ = timed(Counts(work.spec, work.params), work, SIZES[1])
    found.ratios = [9.0] * FEWEST_SURPRISES
    assert found.remembers()
    found.ratios[2] = 1.0
    assert found.remembers() is None
    found.ratios = [9.0] * (FEWEST_SURPRISES - 1)
    assert found.remembers() is None


def test_rows_of_few_wide_batches_stay_when_others_are_made():
    """They fill one buffer again and again: what was returned for them is held against what they were."""
    work = Workload(Options(spec="20000-10"), rows=130)
    kernel, case = lying.Liar(work.spec, work.params), Case("batched", 60)
    checks = Honesty(kernel, work.params, work.inputs.copy(), np.random.default_rng(0))
    ready = prepare(kernel, case, checks.x)
    checks.freshen({case: ready})
    checks.rounds_over(case, ready, ready.call())
    checks.examine(case, ready)
    checks.judge()
    assert checks.is_large(case)
    assert checks.refusals == []


class Blind:
    """Looks at no results: of times alone."""

    kernel = None

    def is_large(self, case):
        return False

    def some(self, case, x, y):
        return x, y

    def values_of(self, case, number):
        return np.zeros(1)

    def claim(self, *_):
        pass

    def write(self, *_):
        return True


@pytest.mark.parametrize(("rounds", "spell_s"), [(2, 0.01), (2, 0.6), (20, 0.01), (20, 0.1), (20, 0.6), (20, 3.0)])
def test_none_of_a_thousand_honest_cases_is_refused_beside_a_neighbour(rounds, spell_s):
    """It slows half of the time 1.3 to 2.2 times, in spells, and interrupts one round in twenty; a block takes 30 ms,
    and 200 ms lie between two of a case."""
    rng, refused = np.random.default_rng(rounds), 0
    one = SimpleNamespace(case=SIZES[1], prepared=SimpleNamespace(batches=[np.zeros((1, 1))]), calls=1, rounds_s=[])
    for _ in range(1000):
        found, slow, factor = Surprises(Blind(), one), False, rng.uniform(1.3, 2.2)
        for turn in range(1, 17):
            if rng.random() < 1 - np.exp(-0.2 / spell_s):
                slow = rng.random() < 0.5
            states = np.empty(rounds, bool)
            for n, changes in enumerate(rng.random(rounds) < 1 - np.exp(-0.03 / rounds / spell_s)):
                slow = rng.random() < 0.5 if changes else slow
                states[n] = slow
            seconds = np.where(states, factor, 1.0) * rng.normal(1, 0.02, rounds)
            seconds = np.where(rng.random(rounds) < 0.05, 5 * seconds, seconds)
            if found.is_due(turn / 16):
                found._written = {0: [np.zeros((1, 1))]}
            found.end(seconds.tolist(), np.zeros((1, 1)), at_last=False)
        assert len(found.ratios) >= FEWEST_SURPRISES
        refused += found.remembers() is not None
    assert refused == 0
