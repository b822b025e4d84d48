"""The timer is the one that was there, and rounds, threads and processors add up."""

import functools
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from pytest_benchmark.stats import Stats

from mlpbench.bench.measure import witness
from mlpbench.bench.record.trust import Trust
from mlpbench.bench.trust.clock_check import deviations, false_clock


def test_what_times_is_known_by_name_and_nothing_has_changed_by_itself():
    before = witness.tools()
    assert {"time.perf_counter", "pytest_benchmark.stats.Stats.update", "mlpbench.bench.clock.elapsed"} <= before.keys()
    assert "the code of mlpbench.bench.measure.case.measure" in before
    assert witness.changed(before) == []


def test_whatever_is_replaced_is_named(monkeypatch):
    before = witness.tools()
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    monkeypatch.setattr(Stats, "update", lambda self, duration: None)
    found = witness.changed(before)
    monkeypatch.undo()
    update = "pytest_benchmark.stats.Stats.update"
    assert found == [update, f"the code of {update}", "time.perf_counter"]
    monkeypatch.setattr(Stats.update, "__code__", (lambda self, duration: self.data.append(duration / 2)).__code__)
    assert witness.changed(before) == ["the code of pytest_benchmark.stats.Stats.update"]


class Fixture:
    def __init__(self, timer):
        self._timer = timer

    def pedantic(self):
        pass


def test_a_fixture_has_the_timer_that_was_asked_for_and_its_own_methods():
    whole, other, patched = Fixture(time.perf_counter), Fixture(time.monotonic), Fixture(time.perf_counter)
    patched.pedantic = lambda: None
    said = [witness.tampered(one, time.perf_counter) for one in (whole, other, patched)]
    assert said == [None, "the timer of the fixture is another one", "pedantic of the fixture is another one"]


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ([1.0e-3] * 40, None),
        ([1.0e-3] * 35 + [0.4e-3] * 5, None),
        ([0.5e-3] * 40, "say 50% of the time"),
        ([0.5e-3] * 15 + [1.0e-3] * 25, "15 of 40 rounds are off"),
        ([1.03e-3] * 40, "103%"),
        ([1.0e-3] * 39 + [-0.2], "a round took -0.2 s"),
    ],
)
def test_rounds_fit_the_raw_clock_around_them(rounds, said):
    found = witness.rounds_off(rounds, [1.0e-3] * 40)
    assert found is None if said is None else said in found


def test_the_raw_clock_runs_around_each_round():
    clock = witness.RawClock()
    clock.round_ended()  # of none
    for _ in range(3):
        clock.round_begins()
        time.sleep(0.001)
        clock.round_ended()
    assert len(clock.spans_s) == 3
    assert min(clock.spans_s) >= 0.001


def test_work_on_another_thread_is_seen():
    stop, usage = threading.Event(), witness.Usage()
    usage.wall_s, usage.used_s = 1.0, 1.29
    assert (usage.too_many(1), usage.too_many(2)) == (None, None)
    usage.used_s = 1.8
    assert usage.too_many(1) == "it used the time of 1.8 processors, and 1 was given"
    usage.used_s, usage.children_s = 0.5, 0.14
    assert usage.too_many(1) is None
    usage.children_s = 0.3
    assert usage.too_many(1) == "processes that it started worked for 0.3 s, it itself for 0.5 s"
    usage.begin()
    stop.wait(0.01)
    usage.end()
    assert usage.wall_s >= 1.01


@pytest.mark.parametrize(
    ("wall_s", "waited_s", "found"),
    [
        (0.6, 0.0, "its threads worked as 1.9 do, and 1 was given"),
        (1.4, 0.0, None),  # they took turns: no more than one at a time
        (
            1.4,
            0.6,
            "its threads worked as 1.9 do, and 1 was given",
        ),  # beside other load: both could have worked at once
    ],
)
def test_threads_are_counted_by_what_each_has_worked_whatever_else_runs(monkeypatch, wall_s, waited_s, found):
    before, after = (
        {1: (1.0, 9.0), 2: (0.0, 9.0), 3: (5.0, 9.0)},
        {1: (1.5, 9.0), 2: (0.4, 9.0 + waited_s), 3: (5.05, 9.0)},
    )
    looks = {"threads_s": [before, after] * 2, "processor_s": [6.0, 6.95] * 2, "raw_s": [20.0, 20.0 + wall_s] * 2}
    for name, values in looks.items():
        monkeypatch.setattr(witness, name, functools.partial(next, iter(values)))
    began = [getattr(witness, name)() for name in looks]
    assert witness.Threads(*began).too_many(1) == found
    began = [getattr(witness, name)() for name in looks]
    assert witness.Threads(*began).too_many(1, ours={2, None}) is None


def test_processors_and_children_of_this_process():
    assert witness.processors() <= set(range(10_000))
    assert witness.children_s() >= 0


def late(seconds):
    """Return a clock that gains so much at every look."""
    looks = iter(range(10**9))
    return lambda: time.perf_counter() + seconds * next(looks)


@pytest.mark.flaky(reruns=2)  # it measures for real, beside other tests
@pytest.mark.parametrize(("timer", "true"), [(time.perf_counter, True), (late(1e-4), False), (late(-2e-5), False)])
def test_known_work_tells_a_true_clock_from_one_that_adds_or_steals(timer, true):
    found = Trust(known_work=witness.known_work(timer))
    assert sorted(deviations(found)) == [1, 2, 4]
    assert (false_clock(found) is None) is true


def test_a_clock_that_stands_still_tells_nothing():
    assert witness.known_work(lambda: 0.0) is None


def honest_process(rng):
    """Return a process of a busy machine: counters of a case on one thread, rounds, and known work in turns."""
    spans = rng.exponential(2e-4, 60) * (rng.random(60) < 0.05) + 1e-3 * rng.uniform(1, 2, 60)
    rounds = spans - rng.uniform(5e-6, 4e-5, 60) - rng.exponential(1e-3, 60) * (rng.random(60) < 0.1)
    usage = witness.Usage(wall_s=1.0, used_s=float(rng.uniform(0.3, 1.2)))
    known = 75e-6 * rng.uniform(0.9, 2.2, (41, 1)) * [1, 2, 4] + 6e-7
    known += rng.exponential(3e-3, known.shape) * (rng.random(known.shape) < 0.08)  # somebody else's turn
    return rounds.clip(1e-6), spans, usage, known


def test_a_thousand_honest_processes_and_none_is_refused():
    rng = np.random.default_rng(3)
    for _ in range(1000):
        rounds, spans, usage, known = honest_process(rng)
        assert witness.rounds_off(rounds, spans) is None
        assert usage.too_many(1) is None
        trust = SimpleNamespace(lengths=(1, 2, 4), rounds_s=tuple(map(tuple, known)))
        assert max(map(abs, deviations(SimpleNamespace(known_work=trust)).values())) < 0.02
