"""kill -9 at any moment, of whoever runs: nothing finished is lost, and the next start ends what is left."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mlpbench.bench import cases as cases_
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine import child
from mlpbench.bench.plan.plan import make_plan, profile
from mlpbench.bench.record import runs
from support import processes, simulate
from support.sources import ROOT

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to find processes"),
]

KILLS, SEED = 15, 20261126
KERNELS, REPEATS = ("numpy", "numpy-out"), 35
#: Goes on with a run as `mlpbench run --resume` does, with a stand-in for the interpreter that measures.
DRIVER = """
import sys
from pathlib import Path
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.run import folder as folders, process
from mlpbench.bench.wings.resume import resume
folder, sys.executable = Path(sys.argv[1]), sys.argv[2]
with folders.held(folder):
    found = resume.read(folder)
    effort = Effort(found.sweep.plan)
    found.take_in(effort)
    print("begun", flush=True)
    found.reopen()
    for _ in process.execute(found.sweep, found.folders, lambda *_: None, effort):
        pass
    folders.close(found.sweep, folder, found.folders, effort, interrupted=False)
"""
#: A measuring process: it has started another one by the time that it leaves its result.
MEASURES = "subprocess.Popen(['sleep', '60']); time.sleep(0.02); done()"


@pytest.fixture
def stopped(tmp_path):
    """Return the folder of a run of which nothing has been measured, the interpreter, and the variables for both."""
    cases = [cases_.Case("per_sample", 100), cases_.Case("batched", 10)]
    how = {"repeats": REPEATS, "seed": 1, "threads": 1, "command": ["mlpbench", "run"], "commit": None}
    plan = make_plan(profile("smoke"), list(KERNELS), cases, **how)
    workload = Workload(Options(spec="20-10-3", data="random"), rows=simulate.ROWS)
    folder = processes.open_run(tmp_path / "results", plan, workload)
    said = processes.facts_of(folder, plan, workload)
    for kernel, repeat in plan.order:
        timed = [simulate.benchmark((kernel, case.mode, case.batch_size), [1e-4] * 5) for case in plan.cases]
        good = simulate.record(kernel, repeat, timed, plan.as_dict(), **said)
        (tmp_path / f"{kernel}.{repeat}.good").write_text(json.dumps(good), encoding="utf-8")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    return folder, processes.interpreter(tmp_path, MEASURES), env


def finished(folder):
    """Return the hash of each result; all of them can be read."""
    runs.read_run(folder)
    there = {path.name: path for path in folder.glob("*.json") if path.name != "run.json"}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in there.items()}


def kill(whom, driver, temporary):
    """Kill the one that drives, its group, what it has started just now, or all of these."""
    if whom == "child":
        for number in child.processes_in(temporary):
            with suppress(OSError):  # it has just ended
                if os.getpgid(number) == number != driver.pid:
                    os.kill(number, signal.SIGKILL)
        time.sleep(0.02)
    if whom == "group":
        os.killpg(driver.pid, signal.SIGKILL)
    driver.kill()
    while whom == "tree" and child.kill_all_in(temporary):  # one may have been started since they were listed
        pass


def test_kills_at_random_moments(stopped):
    folder, python, env = stopped
    rng = random.Random(SEED)
    words = [sys.executable, "-c", DRIVER, str(folder), python]
    before = {}
    for number in range(KILLS):
        driver = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, start_new_session=True)
        assert driver.stdout.readline() == b"begun\n"
        if number % 5 == 4:  # on a slow disk, all others may come before anything is written
            processes.wait_until(lambda: len(finished(folder)) > len(before) or driver.poll() is not None, "a result")  # noqa: B023
        time.sleep(rng.uniform(0, 0.15))
        whom = rng.choice(["parent", "child", "group", "tree"])
        kill(whom, driver, Path(env["TMPDIR"]))
        driver.communicate()
        now = finished(folder)
        assert {name: now[name] for name in before} == before, f"kill {number} changed a result"
        before = now
    assert subprocess.run(words, env=env, check=False, capture_output=True).returncode == 0
    assert list(Path(env["TMPDIR"]).glob("mlpbench-*")) == [], "the next start removes what a kill has left"
    after, run = finished(folder), runs.read_run(folder)
    assert {name: after[name] for name in before} == before
    assert sorted((record.kernel, record.repeat) for record in run.records) == sorted(run.plan.order)
    assert (run.missing, run.ending.interrupted) == ((), False)
    assert 1 < len(run.resumed) <= KILLS + 1, "a kill may come before that is written down"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert child.processes_in(Path(env["TMPDIR"])) == []
