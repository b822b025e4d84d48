"""Kernels that lie, each through a real process of a run: none has a time, and the record says which check found it."""

import json
import os

import pytest

from mlpbench.bench.analysis.judge import judge
from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.plan.plan import make_plan, profile
from mlpbench.bench.record import runs
from mlpbench.kernels.base import processors
from support import lying
from support.doubles import offer
from support.processes import open_run, run_plan
from support.sources import ROOT

CASES = [Case("per_sample", 100), Case("batched", 20), Case("batched", 200)]

#: Says that it uses more threads than it was given; takes them once a batch of 20 has gone through it.
GREEDY = """
import threadpoolctl
from mlpbench.kernels.base import Facts
from mlpbench.kernels.mlp_numpy import NumpyKernel

class Says(NumpyKernel):
    def describe(self):
        return Facts(threads=3)

class Takes(NumpyKernel):
    def forward(self, x):
        if x.ndim == 2 and len(x) == 20:
            threadpoolctl.threadpool_limits(2, user_api="blas")
        return super().forward(x)
"""


@pytest.fixture
def process(tmp_path, monkeypatch):
    """Run a kernel through a real process that is given one thread; return the run and what the process said."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT), str(ROOT / "tests"))))
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(kernel_class, repeats=1, clock=()):
        (tmp_path / "greedy.py").write_text(GREEDY)
        named = isinstance(kernel_class, str)
        offer(tmp_path, kernel=kernel_class if named else f"{kernel_class.__module__}:{kernel_class.__name__}")
        how = {"repeats": repeats, "seed": 1, "threads": 1, "skipped": {}, "command": [], "commit": None}
        plan = make_plan(profile("smoke"), ["kernel"], CASES, **how, clock=clock)
        workload = Workload(Options(spec="300-100-10"))
        folder = open_run(tmp_path / "results", plan, workload)
        outcomes = run_plan(plan, workload, folder)
        return runs.read_run(folder), outcomes[-1].problems

    return run


@pytest.mark.parametrize("liar", [lying.MemoByAddress, lying.OverwritesItsInputs, lying.ReturnsKeptBuffers])
def test_a_kernel_whose_values_are_wrong_has_no_time_in_the_record_and_the_process_says_why(process, liar):
    run, problems = process(liar)
    (record,) = run.records
    assert (record.failures, liar.caught_by in {one.check for one in record.trust.refusals}) == ((), True)
    assert f"refused: {liar.caught_by}" in problems
    timed = {(case.mode, case.batch_size) for case in record.cases}
    sure = [one for one in record.trust.refusals if not one.by_time]
    assert not any(one.hits(*at) for one in sure for at in timed)
    assert len(json.loads(record.path.read_text(encoding="utf-8"))["benchmarks"]) == len(timed)
    assert {failure.phase for failure in judge(run).failures} == {"refused"}


@pytest.mark.parametrize("liar", [lying.MoreThreads, lying.MoreProcesses, lying.TimerThatSteals])
def test_a_kernel_whose_times_are_wrong_loses_them_when_two_processes_have_found_it(process, liar):
    run, problems = process(liar, repeats=2)
    assert not any(problem.startswith("refused") for problem in problems), "the end says what both say"
    found = judge(run)
    assert {failure.check for failure in found.failures} == {liar.caught_by}
    assert len(found.records[0].cases) < len(run.records[0].cases) == len(CASES)


@pytest.mark.parametrize(("kernel", "told"), [("Says", "the kernel 3"), ("Takes", "(blas) 2")])
def test_a_kernel_with_more_threads_than_it_was_given_has_no_times(process, kernel, told):
    """All cases are made ready before the first round of any: what one changes fails all."""
    if kernel == "Takes" and processors() < 2:
        pytest.skip("one processor: BLAS has no second thread")
    (record,) = process(f"greedy:{kernel}")[0].records
    assert record.cases == ()
    assert {(one.mode, one.batch_size) for one in record.failures if one.phase == "threads"} == {
        (case.mode, case.batch_size) for case in CASES
    }
    assert all(one.reason.startswith("more threads than the run gave, 1 was given: ") for one in record.failures)
    assert all(one.reason.endswith(told) for one in record.failures)


@pytest.mark.parametrize("liar", [lying.Preferred, lying.ChangesTheGate])
def test_a_kernel_that_changes_what_measures_it_is_found_by_an_audit(process, liar):
    run, _ = process(liar, clock=["--mlpbench-audit"])
    assert liar.caught_by in {one.check for one in run.records[0].trust.refusals}
    assert judge(run).records[0].cases == ()


def test_a_kernel_that_takes_processors_back_is_found_by_an_audit(process):
    ours = os.sched_getaffinity(0)
    if len(ours) < 2:
        pytest.skip("one processor: there is nothing to take back")
    os.sched_setaffinity(0, {min(ours)})
    try:
        run, _ = process(lying.AffinityTakenBack, clock=["--mlpbench-audit"])
    finally:
        os.sched_setaffinity(0, ours)
    assert "affinity" in {one.check for one in run.records[0].trust.refusals}


@pytest.mark.parametrize("clock", [(), ["--mlpbench-audit"]])
def test_an_honest_kernel_has_all_its_times(process, clock):
    run, problems = process(lying.Liar, clock=clock)
    assert problems == ()
    use = dict(run.records[0].thread_use)
    assert {threads for who, threads in use.items() if who.endswith("(blas)")} == {1}
    # Beside a busy neighbour a check of times may speak in one process: it takes two.
    assert [refusal for refusal in run.records[0].trust.refusals if not refusal.by_time] == []
    assert len(run.records[0].cases) == len(CASES)
    assert judge(run).records == run.records
