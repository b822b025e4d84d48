"""Stand-ins for a measuring process and for the interpreter that starts it, and a look at what is still running."""

import json
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np

from mlpbench.bench.cases import Setting
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine import child, environment
from mlpbench.bench.plan import probe
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.sweep import Part, Sweep
from mlpbench.bench.record import runs, schema
from mlpbench.bench.run import folder as folder_
from mlpbench.bench.run import process as process_
from mlpbench.kernels import registry
from mlpbench.kernels.own import files
from support import simulate
from support.sources import ROOT
from support.terminal import TIMEOUT_S, called, variables

HEAD = """
import json, os, shutil, signal, subprocess, sys, time
words = sys.argv[1:]
options = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
kernel, repeat, raw = options.get("kernel"), options.get("mlpbench-repeat"), options.get("benchmark-json")
def leave(**content):
    with open(os.path.join(os.path.dirname(__file__), f"{kernel}.{repeat}.good")) as file:
        good = json.load(file)
    with open(raw, "w") as file:
        json.dump({**good, **content}, file)
def done():
    shutil.copy(os.path.join(os.path.dirname(__file__), f"{kernel}.{repeat}.good"), raw)
def case(name, outcome="PASSED"):
    print(f"../bench/test_forward.py::test_forward[{name}] {outcome}  [ 50%]", flush=True)
def now(phase):
    print(f"mlpbench now: {phase}", flush=True)
"""


def interpreter(folder, body):
    """Return a program that runs ``body``, which finds what `HEAD` has, in place of whatever Python it is asked to run.

    The result that ``done`` and ``leave`` give is ``<kernel>.<repeat>.good`` in ``folder``.
    """
    script, program = folder / "body.py", folder / "python"
    script.write_text(HEAD + textwrap.dedent(body), encoding="utf-8")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{script}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return str(program)


def facts_of(folder, plan, workload):
    """Return what every record of a run says of its environment, and of what it computes."""
    environment = {**runs.read_head(folder / "run.json").environment.as_dict(), "threads": plan.threads}
    computed = msgspec.to_builtins(schema.computed(*workload.facts()))
    return {"environment": environment, "spec": computed.pop("network"), **computed}


def measured(monkeypatch, sample_s, *, seconds=None, interrupts=lambda *_: False, facts=lambda *_: {}):
    """Let every process that a run starts find ``sample_s(plan, at, case)`` seconds per sample; None is no time.

    ``at`` is (kernel, repeat), ``case`` (kernel, mode, batch size). Each takes ``seconds``, if given. Where
    ``interrupts(at, folder)``, Ctrl-C ends it. ``facts(plan, kernel)``: what its record says besides.
    """

    def process(job, limit_s, share):
        plan, at, benchmarks = job.plan, (job.kernel, job.repeat), []
        for case in plan.cases:
            where = (at[0], case.mode, case.batch_size)
            value = sample_s(plan, at, where)
            if value is not None:
                benchmarks.append(simulate.benchmark(where, [float(value * simulate.rows_per_call(where))] * 5))
            job.on_phase(job, f"timing {case.mode} {case.batch_size}")
        if interrupts(at, job.folder):
            raise KeyboardInterrupt
        said = facts_of(job.folder, plan, job.workload) | facts(plan, at[0])
        made = simulate.record(*at, benchmarks, plan.as_dict(), **said)
        if info := made["mlpbench"]["kernel_info"]:
            info["version"] = np.__version__  # a run that goes on looks whether the library is still that
        return process_.Left(json.dumps(made).encode())

    monkeypatch.setattr(process_, "_process", process)
    monkeypatch.setattr("mlpbench.bench.wings.why.after_run.write", lambda *_, **__: None)
    if seconds is not None:
        monkeypatch.setattr(process_, "elapsed", lambda: nullcontext(SimpleNamespace(seconds=seconds)))


def open_run(results, plan, workload=None):
    """Make the folder of a run of one setting; return it."""
    workload = workload or Workload(Options(spec="20-10-3"), rows=20)
    part = Part(Setting("", plan.threads or 1, workload.spec.dtype), plan, workload, {})
    return folder_.open_folders(results, Sweep(plan, (part,)))[0]


def run_plan(plan, workload, folder, on_phase=lambda *_: None):
    """Run a plan in a folder, process by process; return the outcomes."""
    effort = Effort(plan)
    tell = lambda job, phase: on_phase(job.kernel, job.repeat, phase)  # noqa: E731
    jobs = (process_.Job(plan, workload, folder, *at, tell) for at in effort.processes())
    return [process_.run_process(job, effort, job.kernel) for job in jobs]


def is_alive(pid):
    """Return whether a process still runs; one that has ended and was not yet asked for its status does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def python(*words, cwd=ROOT, **changes):
    """Run Python in a process of its own, with changes of the environment; return the finished process."""
    command, env = [sys.executable, *map(str, words)], variables(**changes)
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=TIMEOUT_S, check=False)


def printed(script, *words, cwd=ROOT, **changes):
    """Run a script in a process of its own; return the JSON that it prints."""
    ran = python("-c", script, *words, cwd=cwd, PYTHONPATH=cwd, **changes)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def bench(*words, **changes):
    """Run the suite of this checkout by hand; return the finished process."""
    return python("-m", "pytest", "bench", "-p", "no:cacheprovider", *words, **changes)


def over_when_heard(monkeypatch):
    """Let the time of a process under limits be over as soon as something that it says has been read."""
    read, now, heard = child._read, child.now, []
    monkeypatch.setattr(child, "_read", lambda *at: read(*at) and heard.append(True) is None)
    monkeypatch.setattr(child, "now", lambda: now() + (1e6 if heard else 0.0))


def gone(*pids):
    """Check that processes are no more: within a time in which none of those in these tests ends by itself."""
    wait_until(lambda: not any(map(is_alive, pids)), "the end of processes", limit_s=50)


def wait_until(condition, what, limit_s=300.0):
    """Wait for a condition; fail, saying what was waited for, where it does not come."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def probed_at_once(monkeypatch):
    """Let every kernel be available without a process that asks: where something else is tested."""

    def probe_all(names, *_):
        for name in names:
            registry.module(name)  # an unknown one is told
        return iter([probe.Probed(name, name, "cpu", "1", None) for name in names])

    monkeypatch.setattr(probe, "probe_all", probe_all)


#: Words of a run of six processes, in a known order.
SIX = ("numpy", "numpy-out", "--profile", "smoke", "--repeats", "3", "--seed", "1", "--threads", "1")


def folder_of(results):
    """Return the folder of the only run below a folder of results."""
    (made,) = results.glob("*/*/run.json")
    return made.parent


def stoppable(tmp_path, monkeypatch, capsys, sample_s=lambda plan, at, case: 1e-6 * (1 + at[1])):
    """Return what types `mlpbench run`, where each process takes 2 s and Ctrl-C comes after ``stop_after`` of them."""
    stop, here = {}, environment.collect().as_dict()

    def interrupts(at, folder):
        started.append((folder.name, *at))
        return len(started) > stop["after"]

    def facts(plan, _):
        return {"environment": {**here, "threads": plan.threads}}

    def probe_all(names, *_):
        return [probe.Probed(name, "numpy", "cpu", here["libraries"]["numpy"], None) for name in names]

    started = []
    monkeypatch.setenv(files.VARIABLE, "{}")
    monkeypatch.setattr(probe, "probe_all", probe_all)
    measured(monkeypatch, sample_s, seconds=2.0, interrupts=interrupts, facts=facts)
    monkeypatch.setattr("mlpbench.bench.cli.run.write_reports", lambda _, folder: [folder / "report.html"])

    def typed(*words, stop_after=999):
        stop["after"] = stop_after
        started.clear()
        return called(capsys, "run", *words, "--results", tmp_path)

    typed.started = started
    return typed
