"""Threads that are really in use: more than were given fail, and each case is asked again."""

import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import threadpoolctl

from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine import threads as thread_use
from mlpbench.bench.machine.threads import TooManyThreads, check, observe
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.plan import profiles
from mlpbench.bench.plan.plan import make_plan
from mlpbench.bench.record import runs
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.run import folder as folder_
from mlpbench.kernels import registry
from mlpbench.kernels.base import Facts
from mlpbench.kernels.base import processors as available
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.doubles import offer
from support.processes import run_plan
from support.sources import ROOT

SPEC = ForwardSpec((20, 10, 3))


POOLS = [
    {"user_api": "blas", "internal_api": "openblas", "num_threads": 2},
    {"user_api": "openmp", "internal_api": "openmp", "num_threads": 1},
    {"user_api": "blas", "internal_api": "openblas", "num_threads": 2},
    {"user_api": "blas", "internal_api": "accelerate", "num_threads": None},
]


class Says(NumpyKernel):
    threads = 2

    def describe(self):
        return Facts(threads=self.threads)


@pytest.fixture
def pools(monkeypatch):
    """Replace what is live in this process: pools, and no library that is asked besides."""
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: POOLS)
    monkeypatch.setattr(thread_use, "_ASK", {})


def kernel(threads):
    made = Says(SPEC, seeded(SPEC))
    made.threads = threads
    return made


@pytest.mark.usefixtures("pools")
def test_every_pool_once_and_the_kernel_last_if_it_says_anything():
    use = observe(kernel(1))
    assert use == (("openblas (blas)", 2), ("openmp (openmp)", 1), ("the kernel", 1))
    assert observe(kernel(None)) == (("openblas (blas)", 2), ("openmp (openmp)", 1))
    check(use, 2)  # fewer are no mistake
    check((), 1)  # nor is nothing to say
    with pytest.raises(TooManyThreads, match=r"^more threads than the run gave, 1 was given: openblas \(blas\) 2$"):
        check(observe(kernel(1)), 1)
    with pytest.raises(TooManyThreads, match=r"2 were given: the kernel 3$"):
        check(observe(kernel(3)), 2)


def test_libraries_are_asked_only_where_they_are_loaded(monkeypatch):
    monkeypatch.setattr(threadpoolctl, "threadpool_info", list)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setitem(sys.modules, "numba", SimpleNamespace(config=SimpleNamespace(NUMBA_NUM_THREADS=4)))
    assert observe(kernel(1)) == (("numba", 4), ("the kernel", 1))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 6))
    assert ("torch", 6) in observe(kernel(1))


def test_a_real_pool_that_was_changed_is_seen():
    _ = np.ones((4, 4)) @ np.ones((4, 4))
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert not [who for who, threads in observe(kernel(1)) if "blas" in who and threads > 1]
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        changed = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        if max(changed) > 1:  # one processor has no second thread
            assert any("blas" in who and threads > 1 for who, threads in observe(kernel(1)))


@pytest.fixture
def suite(monkeypatch):
    """Return a maker of suites of one kernel that says how many threads it uses."""
    monkeypatch.setattr(threadpoolctl, "threadpool_info", list)
    monkeypatch.setattr(thread_use, "_ASK", {})
    monkeypatch.setattr(registry, "load", lambda name: Says)

    def make(plan):
        workload = Workload(Options(spec="20-10-3"), 50)
        return Suite(workload, ["says"], [Case("batched", 10)], True, plan=plan)

    return make


def test_in_a_run_each_case_is_asked_and_the_record_has_the_last_answer(suite):
    asked = suite(Plan(run_id="run", repeats=1, threads=2))
    contestant = asked.admit("says")
    asked.check_threads(contestant)
    assert asked.thread_use == (("the kernel", 2),)
    contestant.kernel.threads = 3
    with pytest.raises(TooManyThreads):
        asked.check_threads(contestant)
    assert asked.thread_use == (("the kernel", 3),)


def test_by_hand_it_is_noted_and_nothing_fails(suite, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    asked = suite(None)
    contestant = asked.admit("says")
    asked.check_threads(contestant)
    assert asked.thread_use is not None


GREEDY = """
import threadpoolctl
from mlpbench.kernels.base import Facts
from mlpbench.kernels.mlp_numpy import NumpyKernel

class Greedy(NumpyKernel):
    '''Says one thread more than any plan here gives.'''
    def describe(self):
        return Facts(threads=3)

class Changes(NumpyKernel):
    '''Gives the BLAS pool more threads once a batch of 20 has gone through it.'''
    calls = 0
    def forward(self, x):
        if x.ndim == 2 and len(x) == 20:
            threadpoolctl.threadpool_limits(2, user_api="blas")
        return super().forward(x)
"""


@pytest.fixture
def process(tmp_path, monkeypatch):
    """Run a kernel of `GREEDY` through a real process of a run with so many threads; return its record."""
    (tmp_path / "greedy.py").write_text(GREEDY)
    offer(tmp_path, greedy="greedy:Greedy", changes="greedy:Changes")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(name, threads, sizes):
        cases = [Case("batched", size) for size in sizes]
        how = {"repeats": 1, "seed": 1, "threads": threads, "skipped": {}, "command": [], "commit": None}
        plan = make_plan(profiles.profile("smoke"), [name], cases, **how)
        folder = folder_.open_run(tmp_path / f"results-{threads}", plan)  # two runs may start in one second
        workload = Workload(Options(spec="20-10-3"))
        run_plan(plan, workload, folder)
        (found,) = runs.read_run(folder).records
        return found

    return run


def test_a_kernel_that_takes_more_than_it_was_given_has_no_times_and_says_why(process):
    found = process("greedy", 2, [10, 30])
    assert found.cases == ()
    assert {(failure.batch_size, failure.phase) for failure in found.failures} == {(10, "threads"), (30, "threads")}
    reasons = {failure.reason for failure in found.failures}
    assert reasons == {"more threads than the run gave, 2 were given: the kernel 3"}
    # With as many as it takes it has times, and what it used is in its record.
    found = process("greedy", 3, [10])
    assert len(found.cases) == 1
    use = json.loads(found.path.read_text())["mlpbench"]["thread_use"]
    assert ["the kernel", 3] in use
    assert any(who.endswith("(blas)") for who, _ in use)


def test_a_pool_that_is_changed_by_one_case_fails_all_that_are_timed_with_it(process):
    """All cases are made ready before the first round of any: they take turns."""
    if available() < 2:
        pytest.skip("one processor: BLAS has no second thread")
    found = process("changes", 1, [20, 10, 30])
    assert found.cases == ()
    assert {failure.batch_size for failure in found.failures if failure.phase == "threads"} == {10, 20, 30}
