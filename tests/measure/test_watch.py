"""What is watched: who waits for processors, and the block that a process of the suite writes."""

import json
import os
import threading
from pathlib import Path

import pytest

from mlpbench.bench.clock import times_s
from mlpbench.bench.machine import look, spin
from mlpbench.bench.measure import instruments, watch
from mlpbench.bench.record import runs
from support import processes

SMALL = ["--kernel=numpy", "--mode=per_sample", "--mode=batched", "--batch-size=1", "--benchmark-max-time=0.01"]
#: This thread and another one share a processor, with a third that looks for us. Prints the shares that they waited.
SHARED = """
import os, threading
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from mlpbench.bench.clock import elapsed
from mlpbench.bench.machine import look, spin
from mlpbench.bench.measure import watch

one = spin.best_spin()  # compiled before threads ask for it

def work():
    while True:
        one.run(1)

for number in range(2):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if number:
        look.helpers = lambda: {thread.native_id}
alone, every = watch.Waiting(every=False), watch.Waiting(every=True)
with elapsed() as took:
    for waiting in (alone, every):
        waiting.round_begins()
    one.run(400)
    for waiting in (alone, every):
        waiting.round_ended()
        waiting.close()
print(*(waiting.rounds_ns[0] / took.seconds / 1e9 for waiting in (alone, every)), flush=True)
os._exit(0)  # its threads are in machine code
"""


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
    waiting = watch.Waiting(every=True)
    stop.set()
    thread.join()
    waiting.round_begins()
    times_s(lambda: spin.best_spin().run(1), 3)
    waiting.round_ended()
    there = len(waiting._files)
    waiting.close()
    assert len(waiting.rounds_ns) == bool(there)
    assert min(waiting.rounds_ns, default=0) >= 0


def test_the_system_may_keep_no_such_count(monkeypatch):
    monkeypatch.setattr(watch, "Path", lambda name: Path("/no/such/folder"))
    waiting = watch.Waiting(every=False)
    waiting.round_begins()
    waiting.round_ended()
    assert waiting.rounds_ns == []


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="looks are taken here alone")
def test_the_time_of_threads_that_look_for_us_is_known():
    before = look.helpers_s()
    helper = look.Helper(lambda: spin.best_spin().run(20) and 1, min(os.sched_getaffinity(0)))
    helper.go.release()
    helper.result()
    assert look.helpers_s() > before


def test_the_null_kernel_goes_the_way_of_every_other(monkeypatch):
    calls = []
    monkeypatch.setattr(instruments.NullKernel, "forward", lambda self, x: calls.append(x.shape))
    monkeypatch.setattr(instruments.NullKernel, "forward_one", lambda self, x: calls.append(x.shape))
    instruments.call_of("batched")()
    assert calls == [(100, 1)]
    calls.clear()
    instruments.call_of("per_sample")()
    assert calls == [(1,)] * 100


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("trust") / "numpy.0.json"
    ran = processes.bench("-v", *SMALL, f"--benchmark-json={path}")
    assert ran.returncode == 0, ran.stdout
    return path, ran.stdout


def test_a_process_writes_what_it_watched(written):
    path, said = written
    found = runs.read(path)
    assert len(found.cases) == 2
    assert [known.mode for known in found.trust.self_test] == list(instruments.KNOWN)
    assert all(len(known.rounds_s) == instruments.ROUNDS for known in found.trust.self_test)
    assert len(json.loads(path.read_text())["benchmarks"]) == 2, "the harness is no case, and runs last"
    assert said.index("test_forward[") < said.index("test_harness[")


def test_the_harness_is_not_timed_where_nothing_is_saved():
    ran = processes.bench(*SMALL)
    assert ran.returncode == 0, ran.stdout
    assert f"{len(instruments.KNOWN)} deselected" in ran.stdout
    assert "harness" not in ran.stdout
