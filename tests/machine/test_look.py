"""The look: what it computes, where it is taken, what is said of it, and which one is kept for the next process."""

import json
import os
import statistics
import threading
from types import SimpleNamespace

import pytest

from mlpbench.bench.machine import look
from mlpbench.bench.machine.environment import machine_id
from mlpbench.bench.record import runs
from mlpbench.bench.record.trust import BestLook, LookFacts, Trust

MASK = 2**64 - 1


def xorshift(x, steps):
    for _ in range(steps):
        x ^= x << 13 & MASK
        x ^= x >> 7
        x ^= x << 17 & MASK
    return x


@pytest.mark.parametrize("steps", [0, 1, 1000])
def test_every_step_of_every_chain_is_computed(steps):
    """Marsaglia's generator, step by step in Python's whole numbers: nothing is folded away."""
    expected = 0
    for chain in range(look.CHAINS):
        expected ^= xorshift(look.SEED + chain, steps)
    assert look.compiled("wide")(steps) % 2**64 == expected


def test_twice_the_work_takes_twice_as_long():
    """The median of many pairs: what slows the machine slows both of a pair, but for few of them."""
    timed = look.compiled("look")
    pairs = [(timed(look.STEPS), timed(2 * look.STEPS)) for _ in range(1000)]
    assert statistics.median(two / one for one, two in pairs) == pytest.approx(2, rel=0.1)


def test_helpers_look_in_threads_of_their_own_that_are_bound_and_nobody_else():
    def take():
        taken[threading.get_ident()] = 100 + len(taken)
        bound.append(os.sched_getaffinity(0) if linux else None)
        return taken[threading.get_ident()]

    linux, taken, bound = hasattr(os, "sched_getaffinity"), {}, []
    before = os.sched_getaffinity(0) if linux else {0, 1}
    helpers = [look.Helper(take, processor) for processor in sorted(before)[:2]]
    used_s = look.helpers_s()
    found = []
    for helper in helpers:
        helper.go.release()
        found.append(helper.result())
    assert len(taken) == len(helpers)
    assert found == list(taken.values())
    assert {helper.native_id for helper in helpers} <= look.helpers()
    assert look.helpers_s() > used_s, "their time is known, and is none of a kernel's"
    if linux:
        assert bound == [{processor} for processor in sorted(before)[:2]]
        assert os.sched_getaffinity(0) == before


def test_without_a_compiler_or_a_clock_there_is_no_look(monkeypatch):
    def fail(*_):
        raise RuntimeError("no target")

    for name, value in (("compiled", fail), ("MONOTONIC", None)):
        with monkeypatch.context() as patch:
            patch.setattr(look, name, value)
            patch.setattr(look, "here", look.here.__wrapped__)
            assert look.here() is None
            assert look.everywhere.__wrapped__() is None
    assert look.facts([], [BestLook(name="x", processors=1, best_ns=5)]) == LookFacts()


def best(ns, processors=1, name="wide"):
    return BestLook(name=name, processors=processors, best_ns=ns)


def test_a_record_says_which_looks_are_the_fastest_known():
    one, two = look.Look("wide", 1, lambda: 1), look.Look("wide", 2, lambda: 1)
    known = [best(100), best(110, 2), best(1, 2, "other")]
    assert look.facts([one], known) == LookFacts(name="wide", best_ns=((1, 100),))
    both = look.facts([one, two], known)
    assert both == LookFacts(name="wide", best_ns=((1, 100), (2, 110)))
    assert [both.best_of(processors) for processors in (1, 2, 3)] == [100, 110, None]
    assert look.facts([one, two], known[2:]) == LookFacts(name="wide")


def record(*ns, name="wide", processors=None):
    pairs = tuple((value, value + 1) for value in ns)
    case = SimpleNamespace(looks_ns=pairs, look_processors=processors)
    return SimpleNamespace(trust=Trust(look=LookFacts(name=name)), cases=(case,))


def test_each_process_leaves_the_fastest_look_to_the_next(tmp_path):
    """The third fastest counts, so that one glitch does not. They lie in the folder of the machine, and are no run."""
    machine = tmp_path / machine_id()
    folder = machine / "sweep" / "setting"
    folder.mkdir(parents=True)
    for found, expected in [
        (record(50), []),
        (record(50, 60, name=None), []),
        (record(50, 100, 90), [best(90)]),
        (record(190, 200), [best(90)]),
        (record(70, 80), [best(80)]),
        (record(70, 90, processors=2), [best(80), best(90, 2)]),
        (record(1, 1, name="other"), [best(80), best(90, 2), best(2, name="other")]),
    ]:
        assert look.keep(folder, found) is None
        assert look.known(folder) == tuple(expected)
    assert json.loads((machine / look.FILE).read_text())["mlpbench"]["machine"] == machine_id()
    assert runs.find_runs(tmp_path) == []


@pytest.mark.parametrize("content", ["{", '{"mlpbench": {"schema": 1, "kind": "look", "best": [{}]}}'])
def test_a_damaged_file_is_named_and_made_anew_and_one_that_cannot_be_written_is_none(tmp_path, content):
    path, folder = tmp_path / look.FILE, tmp_path / "run"
    path.write_text(content)
    assert look.known(folder) == ()
    problem = look.keep(folder, record(90, 100))
    assert problem.startswith(f"{path}: ")
    assert problem.endswith("; it is made anew")
    assert look.known(folder) == (best(100),)
    assert look.keep(folder, record(90, 100)) is None
    assert look.keep(tmp_path / "nowhere" / "run", record(90, 100)) is None
