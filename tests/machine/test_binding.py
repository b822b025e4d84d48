"""Processes bound to processors: which ones, that it arrives in what is started, and systems that cannot."""

import json
import os
import subprocess
import sys

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import binding
from mlpbench.bench.machine.binding import bound, choose
from mlpbench.bench.record.plan import Binding

linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no processes")


@pytest.fixture
def machine(monkeypatch):
    """Return what replaces the processors of this machine: which of them are of one core, and the current affinity."""

    def replace(cores, refuse=()):
        there = {number for core in cores for number in core}

        def set_affinity(_, chosen):
            if set(chosen) & set(refuse):
                raise OSError(22, "Invalid argument")
            affinity.append(set(chosen))

        affinity = [there]
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: affinity[-1], raising=False)
        monkeypatch.setattr(os, "sched_setaffinity", set_affinity, raising=False)
        monkeypatch.setattr(binding, "_core", lambda number: str(next(core for core in cores if number in core)))
        return affinity

    return replace


@pytest.mark.parametrize(
    ("cores", "threads", "expected"),
    [
        ([(0, 1), (2, 3)], 1, (0,)),
        ([(0, 1), (2, 3)], 2, (0, 2)),
        ([(0, 1), (2, 3)], 3, (0, 1, 2)),
        ([(0, 4), (1, 5), (2, 6), (3, 7)], 4, (0, 1, 2, 3)),
        ([(0, 4), (1, 5), (2, 6), (3, 7)], 6, (0, 1, 2, 3, 4, 5)),
        ([(6,), (9,)], 1, (6,)),
        ([(0, 1)], 2, (0, 1)),
    ],
)
def test_one_processor_of_each_core_comes_before_the_second_of_any(machine, cores, threads, expected):
    affinity = machine(cores)
    assert choose(threads) == Binding(expected)
    assert affinity[-1] == affinity[0], "tried, and as it was before"


def test_a_system_without_the_call_goes_on_with_the_reason(monkeypatch):
    """As macOS."""
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    found = choose(1)
    assert found == Binding(reason="this system has no call for it")
    assert found.words() == "not bound to processors: this system has no call for it"
    with bound(found):
        pass


def test_more_threads_than_processors_and_a_system_that_refuses_go_on_with_the_reason(machine):
    machine([(0,), (1,)], refuse=[0])
    assert choose(3) == Binding(reason="3 threads are more than the processors, 2")
    assert choose(1) == Binding(reason="the system refuses processors 0: Invalid argument")
    with pytest.raises(UserError, match="the system refuses processors 0, 1: Invalid argument"), bound(Binding((0, 1))):
        pytest.fail("it is not bound")


@linux
def test_what_is_started_inherits_it_and_the_parent_is_as_before():
    before = os.sched_getaffinity(0)
    counted = "os.process_cpu_count()" if hasattr(os, "process_cpu_count") else "None"
    code = f"import json, os; print(json.dumps([sorted(os.sched_getaffinity(0)), {counted}]))"
    chosen = choose(1)
    with bound(chosen):
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, count = json.loads(ran.stdout)
    assert found == list(chosen.processors)
    assert count in (None, 1), "who counts processors counts these"
    assert os.sched_getaffinity(0) == before
    with pytest.raises(RuntimeError), bound(choose(1)):
        raise RuntimeError
    assert os.sched_getaffinity(0) == before, "it ends where something goes wrong"


def test_words():
    assert Binding((3,)).words() == "bound to processor 3"
    assert Binding((0, 2)).words() == "bound to processors 0, 2"
