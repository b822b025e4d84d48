"""What `mlpbench audit` asks of a process: nothing that measures was replaced, and it is scheduled as it was."""

import time

from pytest_benchmark.stats import Stats

from mlpbench.bench.wings.audit.audit import Audit, functions, processors


def refused(before):
    return {one.check: one.reason for one in before.refusals()}


def test_what_times_is_known_by_name_and_nothing_has_changed_by_itself():
    known = {"time.perf_counter", "pytest_benchmark.stats.Stats.update", "mlpbench.bench.clock.elapsed", "numpy.array"}
    assert known <= functions().keys()
    assert processors() <= set(range(10_000))
    assert refused(Audit()) == {}


def test_each_change_has_a_check_of_its_name(monkeypatch):
    assert refused(Audit(allowed=frozenset())).keys() <= {"affinity"}, "where the system tells"
    assert refused(Audit(scheduled=(0, -20))).keys() == {"priority"}
    before = Audit()
    monkeypatch.setattr(Stats, "update", lambda self, duration: None)
    assert refused(before)["functions"].startswith("pytest_benchmark.stats.Stats.update is not what it was")
    monkeypatch.undo()
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    assert refused(before)["functions"].startswith("time.perf_counter is not what it was")
