"""Rounds fit the raw clock around them, and no more threads work than were given."""

import functools
import threading

import numpy as np
import pytest

from mlpbench.bench.measure import witness


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ([1.0e-3] * 40, None),
        ([1.0e-3] * 35 + [0.4e-3] * 5, None),
        ([0.5e-3] * 40, "say 50% of the time"),
        ([0.5e-3] * 15 + [1.0e-3] * 25, "15 of 40 rounds are off"),
        ([1.03e-3] * 40, "103%"),
        ([1.0e-3] * 20 + [-0.2] * 20, "20 of 40 rounds are off"),
        ([0.9e-3, 0.5e-3, 1.0e-3], None),
        ([0.5e-3] * 3, "3 of 3 rounds are off"),
    ],
)
def test_rounds_fit_the_raw_clock_around_them(rounds, said):
    """One or two rounds that were interrupted tell nothing, however few there are."""
    found = witness.rounds_off(rounds, [1.0e-3] * len(rounds))
    assert found is None if said is None else said in found


@pytest.mark.parametrize(
    ("wall_s", "waited_s", "found"),
    [
        (0.6, 0.0, "its threads worked as 1.9 do, and 1 was given"),
        (1.4, 0.0, None),  # they took turns: no more than one at a time
        (1.4, 0.6, "its threads worked as 1.9 do, and 1 was given"),  # both could have worked at once
    ],
)
def test_threads_are_counted_by_what_each_has_worked_whatever_else_runs(monkeypatch, wall_s, waited_s, found):
    """In two blocks of a case; between them the process works on others. One of its threads has ended since."""
    threads = [
        {1: (1.0, 9.0), 2: (0.0, 9.0)},
        {1: (1.25, 9.0), 2: (0.2, 9.0 + waited_s)},
        {1: (5.0, 9.0), 2: (3.0, 9.0 + waited_s)},
        {1: (5.25, 9.0), 2: (3.2, 9.0 + waited_s)},
    ]
    looks = {
        "threads_s": threads,
        "processor_s": [6.0, 6.475, 20.0, 20.475],
        "raw_s": [20.0, 20.0 + wall_s / 2, 40.0, 40.0 + wall_s / 2],
        "children_s": [0.0] * 4,
    }
    for name, values in looks.items():
        monkeypatch.setattr(witness, name, functools.partial(next, iter(values)))
    monkeypatch.setattr(witness.look, "helpers_s", lambda: 0.0)
    usage = witness.Usage()
    for _ in range(2):
        usage.begin()
        usage.end()
    assert usage.too_many(1) == found
    assert usage.too_many(2) is None


def test_where_nobody_tells_what_each_thread_worked_the_clock_does():
    usage = witness.Usage(wall_s=1.0, used_s=1.29)
    assert (usage.too_many(1), usage.too_many(2)) == (None, None)
    usage.used_s = 1.8
    assert usage.too_many(1) == "its threads worked as 1.8 do, and 1 was given"


def test_processes_that_it_started_are_more_threads_too():
    usage = witness.Usage(wall_s=1.0, used_s=0.5, children_s=0.14)
    assert usage.too_many(1) is None
    usage.children_s = 0.3
    assert usage.too_many(1) == "processes that it started worked for 0.3 s, it itself for 0.5 s"
    assert witness.children_s() >= 0


def test_a_thread_that_works_is_seen_and_one_that_looks_for_us_is_none(monkeypatch):
    stop = threading.Event()
    worker = threading.Thread(target=lambda: stop.wait(10))
    worker.start()
    try:
        assert worker.native_id in witness.threads_s()
        monkeypatch.setattr(witness.look, "helpers", lambda: {worker.native_id})
        assert worker.native_id not in witness.threads_s()
    finally:
        stop.set()
        worker.join()


def test_a_thousand_honest_processes_and_none_is_refused():
    """Of a busy machine: rounds are interrupted, one in a hundred just between both looks; few rounds, or many."""
    rng = np.random.default_rng(3)
    for number in range(1000):
        n = (3, 10, 60)[number % 3]
        rounds = 1e-3 * rng.uniform(1, 2, n) + rng.exponential(5e-3, n) * (rng.random(n) < 0.3)
        spans = rounds + rng.uniform(5e-6, 4e-5, n) + rng.exponential(5e-3, n) * (rng.random(n) < 0.01)
        assert witness.rounds_off(rounds, spans) is None
        assert witness.Usage(wall_s=1.0, used_s=float(rng.uniform(0.3, 1.2))).too_many(1) is None
