"""Kernels that lie, hang, die or leak, each through a real process: none has a time, and the record says why."""

import json
import os
import re

import pytest

from mlpbench.bench.analysis.judge import judge
from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine import child
from mlpbench.bench.machine.threads import bound
from mlpbench.bench.plan.plan import make_plan, profile
from mlpbench.bench.record import runs
from mlpbench.bench.record.plan import Binding
from mlpbench.kernels import registry
from mlpbench.kernels.base import processors
from support import lying
from support.doubles import offer
from support.processes import open_run, run_plan
from support.sources import ROOT
from support.terminal import called

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
    failed = {(one.mode, one.batch_size) for one in record.failures if one.phase == "threads"}
    assert failed == {(case.mode, case.batch_size) for case in CASES}
    assert all(one.reason.startswith("more threads than the run gave, 1 was given: ") for one in record.failures)
    assert all(one.reason.endswith(told) for one in record.failures)


@pytest.mark.parametrize("liar", [lying.Preferred, lying.ChangesTheGate, lying.AffinityTakenBack])
def test_a_kernel_that_changes_what_measures_it_is_found_by_an_audit(process, liar):
    ours = os.sched_getaffinity(0)
    if liar is lying.AffinityTakenBack and len(ours) < 2:
        pytest.skip("one processor: there is nothing to take back")
    with bound(Binding((min(ours),))):
        run, _ = process(liar, clock=["--mlpbench-audit"])
    assert liar.caught_by in {one.check for one in run.records[0].trust.refusals}
    assert judge(run).records[0].cases == ()


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


# Hang, die, leak, print without end, leave processes behind: stopped, named, and the others go on

#: One module for each kernel: what ends one process is no other's.
MODULE = """
import atexit, os, signal, subprocess, sys, tempfile, threading, time
from mlpbench.kernels.mlp_numpy import NumpyKernel

RAW = next((word.partition("=")[2] for word in sys.argv if word.startswith("--benchmark-json=")), None)
DONE = []

# At the end of the process that measures, or once now.
def at_end(what, now=None):
    if RAW and not DONE:
        DONE.append(now() if now else atexit.register(what))

class Kernel(NumpyKernel):
    {method}
        {body}
        return super().{call}
"""
FORWARD = ("def forward(self, x):", "forward(x)")
SUPPORTS = ("@classmethod\n    def supports(cls, spec):", "supports(spec)")
#: Where it misbehaves, how, and what is said of it: of the first while it is asked, of the others while it is measured.
HOSTILE = {
    "asks-hangs": (SUPPORTS, "time.sleep(600)", "the probe failed: the process was stopped after 5 s"),
    "asks-dies": (SUPPORTS, "os.kill(os.getpid(), signal.SIGSEGV)", "the probe failed: the process died of SIGSEGV"),
    "asks-exits": (SUPPORTS, "sys.exit(0)", "the probe failed: the process ended with 0"),
    "hangs": (FORWARD, "time.sleep(600)", "the process was stopped after 5 s"),
    "dies": (FORWARD, "os._exit(0)", "the process ended with 0 and no result"),
    "leaks": (FORWARD, "self.held = getattr(self, 'held', []) + [b'x' * 2**25]; time.sleep(0.01)", "GiB of memory"),
    "prints": (FORWARD, "os.write(2, b'y' * 2**20)", "the process was stopped: it printed more than 16 MiB"),
    "forges": (FORWARD, "at_end(lambda: open(RAW, 'w').write('[1]'))", ".json.unreadable: expected an object"),
    "nests": (FORWARD, "at_end(lambda: open(RAW, 'w').write('[' * 10**5))", ".json.unreadable: nested deeper"),
    "interrupts": (FORWARD, "raise KeyboardInterrupt", "KeyboardInterrupt"),
    "leaves": (
        FORWARD,
        "if not hasattr(self, 'left'): self.left = subprocess.Popen(['sleep', '600'], start_new_session=True)",
        None,
    ),
    "crashes-last": (FORWARD, "at_end(lambda: os.kill(os.getpid(), signal.SIGSEGV))", None),
    "never-ends": (FORWARD, "at_end(lambda: time.sleep(600))", None),
    "stays": (FORWARD, "at_end(None, threading.Thread(target=time.sleep, args=(600,)).start)", None),
    "fills": (FORWARD, "self.file = getattr(self, 'file', None) or tempfile.mkstemp()", None),
}
#: What is said of those whose record was whole when they ended badly.
BADLY = {"crashes-last": "died of SIGSEGV", "never-ends": "was stopped 1 s after", "stays": "was stopped 1 s after"}


#: Processes that hang have little time. The others have as much as a busy machine needs.
HANG = ('"asks-hangs"', "--kernel=hangs")
unhurried = child.run


def hurried(command, environ, seconds, **how):
    """Run a process under limits, which for one that hangs are seconds."""
    hangs = any(mark in word for word in command for mark in HANG)
    return unhurried(command, environ, 5.0 if hangs else seconds, **how)


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """Offer the kernels, with little memory for each."""
    for name, ((method, call), body, _) in HOSTILE.items():
        text = MODULE.format(method=method, body=body, call=call)
        (tmp_path / f"hostile_{name.replace('-', '_')}.py").write_text(text)
    entries = {name.replace("-", "_"): f"hostile_{name.replace('-', '_')}:Kernel" for name in HOSTILE}
    folder = offer(tmp_path, **entries)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(child, "run", hurried)
    monkeypatch.setattr(child, "TICK_S", 0.2)
    monkeypatch.setattr(child, "GRACE_S", 1.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(child, "memory_limit", lambda: 600 * 2**20)
    monkeypatch.setattr("mlpbench.bench.wings.why.after_run.write", lambda *_, **__: None)
    monkeypatch.setattr("mlpbench.bench.cli.run.write_reports", lambda _, folder: [folder / "report.html"])
    registry._points.cache_clear()
    yield
    monkeypatch.undo()
    registry._points.cache_clear()


@pytest.mark.heavy
def test_each_is_named_and_the_others_go_on(hostile, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("mlpbench.bench.plan.plan.USUAL", ("numpy", *HOSTILE))
    words = ("--profile", "smoke", "--batch-size", "1")
    small = ("--spec", "20-10-3", "--threads", "1", "--repeats", "2", "--seed", "1")
    status, _, err = called(capsys, "run", *words, *small, "--results", tmp_path / "results")
    assert status == 1
    assert "Traceback" not in err
    run = runs.read_run(runs.latest(tmp_path / "results"))
    told = {**run.skipped} | {one.kernel: one.reason for one in run.failures}
    for name, (_, _, words) in HOSTILE.items():
        assert words is None or words in told[name], (name, told.get(name))
    timed = {record.kernel for record in run.records if len(record.cases) == len(run.plan.cases)}
    assert timed == {"numpy", "leaves", "fills", *BADLY}, "honest, or bad behind a whole record"
    ended = {record.kernel: record.ran.ended for record in run.records if record.ran.ended}
    assert ended.keys() == BADLY.keys()
    assert all(ended[kernel].startswith(how) for kernel, how in BADLY.items())
    assert list((tmp_path / "tmp").iterdir()) == []
    assert {kernel for kernel, _ in run.ending.left_out} == {"hangs", "leaks", "prints"}, "not started again"
    assert re.search(r"^leaves 1/2: it left \d+ process(es)? behind: killed$", err, re.MULTILINE)
    assert child.processes_in(tmp_path / "tmp") == []


@pytest.mark.heavy
def test_check_names_each_and_goes_on(hostile, capsys):
    status, out, err = called(capsys, "check", "dies", "interrupts", "numpy", "--spec", "20-10-3")
    assert status == 1
    assert "Traceback" not in out + err
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "non-conforming: the process ended with 0" in rows["dies"]
    assert "non-conforming" in rows["interrupts"]
    assert " conforms" in rows["numpy"]
