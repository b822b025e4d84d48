"""Threads and processors: which are given, that this arrives in what is started, and how many are really in use."""

import os
import sys
from types import SimpleNamespace

import pytest
import threadpoolctl

from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import threads as thread_use
from mlpbench.bench.machine.threads import TooManyThreads, bound, check, choose, observe
from mlpbench.bench.record.plan import Binding
from mlpbench.kernels.base import Facts
from support.refusals import refusal


@pytest.fixture
def machine(monkeypatch):
    """Return what replaces the processors of this machine: which of them are of one core, and the current affinity."""

    def replace(cores, refuse=()):
        def set_affinity(_, chosen):
            if set(chosen) & set(refuse):
                raise OSError(22, "Invalid argument")
            affinity.append(set(chosen))

        affinity = [{number for core in cores for number in core}]
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: affinity[-1], raising=False)
        monkeypatch.setattr(os, "sched_setaffinity", set_affinity, raising=False)
        monkeypatch.setattr(thread_use, "_core", lambda number: str(next(core for core in cores if number in core)))
        return affinity

    return replace


@pytest.mark.parametrize(
    ("cores", "threads", "expected"),
    [
        ([(0, 1), (2, 3)], 2, (0, 2)),
        ([(0, 1), (2, 3)], 3, (0, 1, 2)),
        ([(0, 4), (1, 5), (2, 6), (3, 7)], 6, (0, 1, 2, 3, 4, 5)),
        ([(6,), (9,)], 1, (6,)),
    ],
)
def test_one_processor_of_each_core_comes_before_the_second_of_any(machine, cores, threads, expected):
    affinity = machine(cores)
    assert choose(threads) == Binding(expected)
    assert affinity[-1] == affinity[0], "tried, and as it was before"
    with pytest.raises(RuntimeError), bound(Binding(expected)):
        raise RuntimeError
    assert affinity[-2:] == [set(expected), affinity[0]], "it ends where something goes wrong"


def test_where_processes_cannot_be_bound_there_is_a_reason(machine, monkeypatch):
    machine([(0,), (1,)], refuse=[0])
    assert choose(3) == Binding(reason="3 threads are more than the processors, 2")
    assert choose(1) == Binding(reason="the system refuses processors 0: Invalid argument")
    with pytest.raises(UserError, match="the system refuses processors 0, 1: Invalid argument"), bound(Binding((0, 1))):
        pytest.fail("it is not bound")
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)  # as macOS
    free = choose(1)
    assert free.words() == "not bound to processors: this system has no call for it"
    with bound(free):
        assert Binding((3,)).words() == "bound to processor 3"
        assert Binding((0, 2)).words() == "bound to processors 0, 2"


POOLS = [
    {"user_api": "blas", "internal_api": "openblas", "num_threads": 2},
    {"user_api": "openmp", "internal_api": "openmp", "num_threads": 1},
    {"user_api": "blas", "internal_api": "openblas", "num_threads": 2},
    {"user_api": "blas", "internal_api": "accelerate", "num_threads": None},
]


def kernel(threads):
    return SimpleNamespace(describe=lambda: Facts(threads=threads))


def test_every_pool_once_and_the_kernel_last_if_it_says_anything(monkeypatch):
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: POOLS)
    monkeypatch.setattr(thread_use, "_ASK", {})
    use = observe(kernel(1))
    assert use == (("openblas (blas)", 2), ("openmp (openmp)", 1), ("the kernel", 1))
    assert observe(kernel(None)) == use[:2]
    check(use, 2)  # fewer are no mistake
    check((), 1)  # nor is nothing to say
    refusal(TooManyThreads, r"^more threads than the run gave, 1 was given: openblas \(blas\) 2$", check, use, 1)
    refusal(TooManyThreads, r"2 were given: the kernel 3$", check, observe(kernel(3)), 2)


def test_libraries_are_asked_only_where_they_are_loaded(monkeypatch):
    monkeypatch.setattr(threadpoolctl, "threadpool_info", list)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setitem(sys.modules, "numba", SimpleNamespace(config=SimpleNamespace(NUMBA_NUM_THREADS=4)))
    assert observe(kernel(1)) == (("numba", 4), ("the kernel", 1))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 6))
    assert ("torch", 6) in observe(kernel(1))
