"""Rounds fit the raw clock around them, who waits for processors is seen, and no more threads work than were given."""

import functools
import threading
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
from mlpbench.bench.measure.usage import waiting
from hashlib import pbkdf2_hmac  # works without Python's lock

def work():
    while True:
        pbkdf2_hmac("sha256", b"", b"", 3_000)

for number in range(2):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if number:
        look.helpers = lambda: {thread.native_id}
with waiting(every=False) as alone, waiting(every=True) as every, elapsed() as took:
    before = alone(), every()
    pbkdf2_hmac("sha256", b"", b"", 1_000_000)
    after = alone(), every()
print(*((b - a) / took.seconds / 1e9 for a, b in zip(before, after)), flush=True)
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
    ("wall_s", "waited_s", "given", "found"),
    [
        (0.5, 0.0, 1, "its threads work as 1.9 do, and 1 was given"),
        (0.5, 0.0, 2, None),
        (0.3, 0.0, 2, "its threads work as 3.2 do, and 2 were given"),
        (0.75, 0.0, 1, None),  # some spin on
        (1.4, 0.0, 1, None),  # they took turns: no more than one at a time
        (1.4, 1.71, 1, "its threads work as 1.9 do, and 1 was given"),  # they could have worked at once
    ],
)
def test_threads_are_counted_by_what_they_could_have_work_at_a_time(monkeypatch, wall_s, waited_s, given, found):
    """In two blocks of a case; between them the process works on others."""
    looks = {
        "own_s": [6.0, 6.475, 20.0, 20.475],
        "waited_s": [9.0, 9.0 + waited_s / 2, 30.0, 30.0 + waited_s / 2],
        "raw_s": [20.0, 20.0 + wall_s / 2, 40.0, 40.0 + wall_s / 2],
        "children_s": [0.0] * 4,
    }
    for name, values in looks.items():
        monkeypatch.setattr(usage, name, functools.partial(next, iter(values)))
    seen = usage.Usage()
    for _ in range(2):
        with seen.of_block():
            pass
    assert seen.too_many(given) == found


def test_processes_that_it_started_are_more_threads_too():
    seen = usage.Usage(wall_s=1.0, used_s=0.5, children_s=0.14)
    assert seen.too_many(1) is None
    seen.children_s = 0.3
    assert seen.too_many(1) == "processes that it started worked for 0.3 s, it itself for 0.5 s"
    assert usage.children_s() >= 0


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


def test_a_thread_that_has_ended_waits_no_more_and_the_system_may_keep_no_such_count(monkeypatch):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with usage.waiting(every=True) as waited_ns:
        stop.set()
        thread.join()
        assert (waited_ns() or 0) >= 0
    assert usage.waited_s() >= 0
    monkeypatch.setattr(usage, "Path", lambda name: Path("/no/such/folder"))
    with usage.waiting(every=False) as waited_ns:
        assert waited_ns() is None
    assert usage.waited_s() >= 0
