"""What `mlpbench audit` asks: nothing is remembered, nothing that measures was replaced, it is scheduled as it was."""

import time

import numpy as np
import pytest
from pytest_benchmark.stats import Stats

from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.measure.case import prepare
from mlpbench.bench.measure.checks import Checks
from mlpbench.bench.wings.audit.audit import Audit, functions, processors
from mlpbench.kernels.mlp_numpy import NumpyKernel
from support.lying import MemoByChecksum


def refused(before):
    return {one.check: one.reason for one in before.of_process()}


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


@pytest.mark.parametrize(("kernel_class", "checks"), [(NumpyKernel, set()), (MemoByChecksum, {"memory"})])
@pytest.mark.parametrize("case", [Case("per_sample", 100), Case("batched", 10), Case("batched", 1000)])
def test_a_kernel_that_remembers_values_is_slower_on_new_ones(kernel_class, checks, case):
    work = Workload(Options(), rows=5000)
    kernel, x = kernel_class(work.spec, work.params), work.inputs.copy()
    calls = Checks(kernel, work.params, x).calls(case, prepare(kernel, case, x))
    assert {refusal.check for refusal in Audit().of_case(calls)} == checks
    assert np.array_equal(x, work.inputs), "the inputs are what they were"
