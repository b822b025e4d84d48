"""Kernels that hang, die, leak, print without end or leave processes behind: stopped, named, and the others go on."""

import os
import re

import pytest

from mlpbench.bench.machine import child
from mlpbench.bench.record import runs
from mlpbench.kernels import registry
from support.doubles import offer
from support.sources import ROOT
from support.terminal import called

pytestmark = pytest.mark.heavy

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


def test_each_is_named_and_the_others_go_on(hostile, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("mlpbench.bench.plan.plan.USUAL", ("numpy", *HOSTILE))
    words = ("--profile", "smoke", "--batch-size", "1")
    small = ("--spec", "20-10-3", "--threads", "1", "--repeats", "2", "--seed", "1")
    kernels = [name for name in HOSTILE if not name.startswith("asks")]
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
    assert set(kernels) <= {record.kernel for record in run.records}
    assert re.search(r"^leaves 1/2: it left \d+ process(es)? behind: killed$", err, re.MULTILINE)
    assert child.processes_in(tmp_path / "tmp") == []


def test_check_names_each_and_goes_on(hostile, capsys):
    status, out, err = called(capsys, "check", "dies", "interrupts", "numpy", "--spec", "20-10-3")
    assert status == 1
    assert "Traceback" not in out + err
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "non-conforming: the process ended with 0" in rows["dies"]
    assert "non-conforming" in rows["interrupts"]
    assert " conforms" in rows["numpy"]
