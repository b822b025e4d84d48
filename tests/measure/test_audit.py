"""What `mlpbench audit` asks of a process: the timer is the one that was there, and work of known length is as long."""

import time

import pytest
from pytest_benchmark.stats import Stats

from mlpbench.bench.measure import audit
from mlpbench.bench.trust.clock_check import deviations, false_clock


def test_what_times_is_known_by_name_and_nothing_has_changed_by_itself():
    before = audit.tools()
    assert {"time.perf_counter", "pytest_benchmark.stats.Stats.update", "mlpbench.bench.clock.elapsed"} <= before.keys()
    assert "the code of mlpbench.bench.measure.case.measure" in before
    assert audit.changed(before) == []


def test_whatever_is_replaced_is_named(monkeypatch):
    before = audit.tools()
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    monkeypatch.setattr(Stats, "update", lambda self, duration: None)
    found = audit.changed(before)
    monkeypatch.undo()
    update = "pytest_benchmark.stats.Stats.update"
    assert found == [update, f"the code of {update}", "time.perf_counter"]
    monkeypatch.setattr(Stats.update, "__code__", (lambda self, duration: self.data.append(duration / 2)).__code__)
    assert audit.changed(before) == ["the code of pytest_benchmark.stats.Stats.update"]


class Fixture:
    def __init__(self, timer):
        self._timer = timer

    def pedantic(self):
        pass


def test_a_fixture_has_the_timer_that_was_asked_for_and_its_own_methods():
    whole, other, patched = Fixture(time.perf_counter), Fixture(time.monotonic), Fixture(time.perf_counter)
    patched.pedantic = lambda: None
    said = [audit.tampered(one, time.perf_counter) for one in (whole, other, patched)]
    assert said == [None, "the timer of the fixture is another one", "pedantic of the fixture is another one"]


def test_processors_of_this_process():
    assert audit.processors() <= set(range(10_000))


def asked(timer, **was):
    """Return what an audit says of this process, of which something else was noted before."""
    found = audit.Audit(timer)
    for name, value in was.items():
        setattr(found, name, value)
    return {one.check: one.reason for one in found.refusals()}


@pytest.mark.flaky(reruns=2)  # it measures for real, beside other tests
def test_each_change_has_a_check_of_its_name(monkeypatch):
    assert asked(time.perf_counter) == {}
    assert asked(time.perf_counter, had_processors=frozenset()).keys() == {"affinity"}
    assert asked(time.perf_counter, had_priority=(0, -20)).keys() == {"priority"}
    half = asked(lambda: time.perf_counter() / 2)
    assert half == {"clock": "it is off by 50.0% against the hardware's own"}
    before = audit.tools()
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    assert asked(time.perf_counter, had_tools=before).keys() == {"functions"}


def late(seconds):
    """Return a clock that gains so much at every look."""
    looks = iter(range(10**9))
    return lambda: time.perf_counter() + seconds * next(looks)


@pytest.mark.flaky(reruns=2)  # as above
@pytest.mark.parametrize(("timer", "true"), [(time.perf_counter, True), (late(1e-4), False), (late(-3e-5), False)])
def test_known_work_tells_a_true_clock_from_one_that_adds_or_steals(timer, true):
    found = audit.known_work(timer)
    assert len(deviations(found)) == 2
    assert (false_clock(found) is None) is true


def test_a_clock_that_stands_still_is_false():
    assert false_clock(audit.known_work(lambda: 0.0)) == "it shows no time at all"
