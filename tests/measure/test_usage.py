"""Rounds fit the raw clock around them, who waits for processors is seen, and no more threads work than were given."""

import functools
import threading
from hashlib import pbkdf2_hmac
from pathlib import Path

import numpy as np
import pytest

from mlpbench.bench.measure import usage
from support import processes

#: This thread and another one share a processor, with a third that looks for us. Prints the shares that they waited.
SHARED = """
import os, threading
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from mlpbench.bench.clock import elapsed
from mlpbench.bench.machine import look
from mlpbench.bench.measure import usage
from hashlib import pbkdf2_hmac  # works without Python's lock

def work():
    while True:
        pbkdf2_hmac("sha256", b"", b"", 3_000)

for number in range(2):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if number:
        look.helpers = lambda: {thread.native_id}
alone, every = usage.Waiting(every=False), usage.Waiting(every=True)
with elapsed() as took:
    for waiting in (alone, every):
        waiting.round_begins()
    pbkdf2_hmac("sha256", b"", b"", 1_000_000)
    for waiting in (alone, every):
        waiting.round_ended()
        waiting.close()
print(*(waiting.rounds_ns[0] / took.seconds / 1e9 for waiting in (alone, every)), flush=True)
os._exit(0)  # its threads are in machine code
"""


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
    found = usage.rounds_off(rounds, [1.0e-3] * len(rounds))
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
        monkeypatch.setattr(usage, name, functools.partial(next, iter(values)))
    monkeypatch.setattr(usage.look, "helpers_s", lambda: 0.0)
    seen = usage.Usage()
    for _ in range(2):
        seen.begin()
        seen.end()
    assert seen.too_many(1) == found
    assert seen.too_many(2) is None


def test_where_nobody_tells_what_each_thread_worked_the_clock_does():
    seen = usage.Usage(wall_s=1.0, used_s=1.29)
    assert (seen.too_many(1), seen.too_many(2)) == (None, None)
    seen.used_s = 1.8
    assert seen.too_many(1) == "its threads worked as 1.8 do, and 1 was given"


def test_processes_that_it_started_are_more_threads_too():
    seen = usage.Usage(wall_s=1.0, used_s=0.5, children_s=0.14)
    assert seen.too_many(1) is None
    seen.children_s = 0.3
    assert seen.too_many(1) == "processes that it started worked for 0.3 s, it itself for 0.5 s"
    assert usage.children_s() >= 0


def test_a_thread_that_works_is_seen_and_one_that_looks_for_us_is_none(monkeypatch):
    stop = threading.Event()
    worker = threading.Thread(target=lambda: stop.wait(10))
    worker.start()
    try:
        assert worker.native_id in usage.threads_s()
        monkeypatch.setattr(usage.look, "helpers", lambda: {worker.native_id})
        assert worker.native_id not in usage.threads_s()
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
        assert usage.rounds_off(rounds, spans) is None
        assert usage.Usage(wall_s=1.0, used_s=float(rng.uniform(0.3, 1.2))).too_many(1) is None


@pytest.mark.flaky(reruns=2)  # it measures for real, beside other tests
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not show who waits")
def test_who_shares_a_processor_waits_for_it_and_threads_of_ours_do_not_count():
    ran = processes.python("-c", SHARED)
    assert ran.returncode == 0, ran.stderr
    alone, every = map(float, ran.stdout.split())
    assert 0.4 < alone < 1, "of three that always run, each waits two thirds of its time"
    assert 1.6 * alone < every < 2.4 * alone, "two of the three count"


def test_a_thread_that_has_ended_waits_no_more(monkeypatch):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    waiting = usage.Waiting(every=True)
    stop.set()
    thread.join()
    waiting.round_begins()
    pbkdf2_hmac("sha256", b"", b"", 1_000)
    waiting.round_ended()
    there = len(waiting._files)
    waiting.close()
    assert len(waiting.rounds_ns) == bool(there)
    assert min(waiting.rounds_ns, default=0) >= 0


def test_the_system_may_keep_no_such_count(monkeypatch):
    monkeypatch.setattr(usage, "Path", lambda name: Path("/no/such/folder"))
    waiting = usage.Waiting(every=False)
    waiting.round_begins()
    waiting.round_ended()
    assert waiting.rounds_ns == []
