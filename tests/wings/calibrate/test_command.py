"""`mlpbench calibrate` as people type it, with processes of known truth instead of real ones; `compare` after it."""

import io
import json
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest

from mlpbench.bench.analysis.summary import USUAL_WANDER
from mlpbench.bench.cases import Case
from mlpbench.bench.cli.app import main
from mlpbench.bench.machine import environment
from mlpbench.bench.record import runs, write
from mlpbench.bench.trust import calibration
from mlpbench.bench.wings.calibrate import planted
from support import simulate
from support.processes import measured
from support.terminal import called, complaint, contents


def known(monkeypatch, state):
    """Replace what measures: processes last 1.7 s and scatter by 1 %; ``state`` says what is broken, or interrupted."""
    here = environment.collect().as_dict()

    def sample_s(plan, at, case):
        if at[0] == state.get("broken"):
            return None
        number = plan.cases.index(Case(*case[1:]))
        rng = np.random.default_rng([plan.kernels.index(at[0]), at[1], number])  # whatever the running order
        return 1e-6 * (1 + planted.SLOWED.get(at[0], 0.0)) * np.exp(rng.normal(0, 0.01))

    def interrupts(at, _):
        state.get("started", []).append(at)
        return at == state.get("stop")

    def facts(_, kernel):
        failure = {"kernel": kernel, "phase": "gate", "reason": "it is broken"}
        return {"failures": [failure] if kernel == state.get("broken") else [], "environment": here}

    measured(monkeypatch, sample_s, seconds=1.7, interrupts=interrupts, facts=facts)
    monkeypatch.setattr("mlpbench.bench.plan.plan.secrets.randbelow", lambda _: 1)
    monkeypatch.setattr(write.os, "fsync", lambda handle: None)  # hundreds of files


@pytest.fixture
def typed(monkeypatch, capsys):
    """Return what types a command: words -> exit status, stdout, stderr."""
    state = {}
    known(monkeypatch, state)

    def run(*words, **settings):
        state.update({"stop": None, "broken": None, "started": [], **settings})
        return called(capsys, *words)

    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a folder that was calibrated as `mlpbench calibrate` does by default, and what that said."""
    folder, out, err = tmp_path_factory.mktemp("calibrated"), io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        known(patch, {})
        with pytest.raises(SystemExit) as ended:
            main(["calibrate", "--results", str(folder)])
    return folder, ended.value.code, out.getvalue(), err.getvalue()


def calibrated(tmp_path):
    return tmp_path / environment.machine_id() / calibration.FILE


def test_it_says_how_often_it_is_wrong_and_what_it_finds(whole):
    tmp_path, status, out, err = whole
    assert status == 0, err
    assert "numpy 7 times unchanged, and slowed by 2, 3, 5 and 10 %\n11 kernels, 5 cases each" in err
    assert "equal: false verdicts" in out
    assert re.search(r"^5 % slower \(seen: (4\.[5-9]|5|5\.[0-5]) %\): found", out, re.MULTILINE)
    assert "smallest slowdown found in 95% of cases on this machine: 5 %, between two kernels of one run" in out
    found = calibration.read(calibrated(tmp_path))
    cases = (found.repeats, found.paired.false.cases, found.unpaired.false.cases)
    assert cases == (20, 2 * 21 * 5, 7 * 7 * 5), "44 repeats in 14 minutes are two blocks of 20"
    assert max(found.paired.false.rate, found.unpaired.false.rate) <= 0.01
    assert {tally.slowdown: tally.rate for tally in found.paired.planted}[0.05] >= 0.95
    assert re.search(r"the level of a whole run wanders by 0\.[3-9]\d* %", out)
    assert found.wander[1] > 7, "eight looks of five repeats, beside what is usual"
    assert f"wrote {calibrated(tmp_path)}" in err


def test_its_runs_are_kept_and_are_in_no_list_and_a_later_one_replaces_it(typed, tmp_path):
    assert typed("calibrate", "--results", str(tmp_path), "--repeats", "2", "--budget", "64s")[0] == 0
    assert runs.find_runs(tmp_path) == []
    run = runs.read_run(calibrated(tmp_path).parent / calibration.read(calibrated(tmp_path)).run)
    assert (len(run.records), run.problems) == (33, ())
    (first,) = (calibrated(tmp_path).parent / "calibration").iterdir()
    first.rename(first.with_name("19990101T000000Z-nocommit"))
    status, out, err = typed("calibrate", "--results", str(tmp_path / "2"), "--budget", "30s", broken="planted-3")
    assert (status, out) == (2, "")
    assert "mlpbench: nothing calibrated: planted-3 has no times: it is broken" in err
    assert not calibrated(tmp_path / "2").exists()
    status, out, _ = typed("calibrate", "--results", str(tmp_path), "--repeats", "3", "--budget", "70s", "--json")
    assert (status, json.loads(out)["mlpbench"]["repeats"], calibration.read(calibrated(tmp_path)).repeats) == (0, 3, 3)


def test_compare_says_it_from_then_on(typed, tmp_path, whole):
    times = {(kernel, "batched", 100): 1e-6 for kernel in ("numpy", "numba")}
    here = simulate.environment(machine={"name": environment.machine_id()})
    source = simulate.write_run(tmp_path / "elsewhere", times, environment=here, noise=0.002)
    run = tmp_path / environment.machine_id() / source.name
    run.parent.mkdir()
    source.rename(run)
    words = ("compare", "numpy", "numba", "--results", str(tmp_path))
    assert "smallest slowdown" not in typed(*words)[1]
    shutil.copy(calibrated(whole[0]), calibrated(tmp_path))
    status, out, err = typed(*words)
    assert (status, err) == (0, "")
    assert "smallest slowdown found in 95% of cases on this machine: 5 %" in out
    assert "with the 3 repeats of this comparison: about " in out
    assert json.loads(typed(*words, "--json")[1])["smallest_slowdown"].startswith("smallest slowdown found")
    elsewhere = simulate.write_run(tmp_path / "elsewhere", times, noise=0.002, seed=2)
    found = json.loads(typed("compare", str(elsewhere), str(run), "--anyway", "--json")[1])
    assert (found["smallest_slowdown"], found["wander"]) == (None, USUAL_WANDER.sd), "of two machines it says nothing"
    again = shutil.copytree(run, run.with_name("20261124T120009Z-0123abcd"))
    found = json.loads(typed("compare", str(run), str(again), "--json")[1])
    assert found["wander"] == calibration.read(calibrated(tmp_path)).wander[0]
    calibrated(tmp_path).write_text("{")
    assert str(calibrated(tmp_path)) in complaint(*typed(*words))


def test_a_calibration_goes_on(typed, tmp_path):
    words = ("--repeats", "2", "--budget", "64s")
    status, out, err = typed("calibrate", "--results", tmp_path, *words, stop=("planted-5", 1))
    assert (status, out, calibrated(tmp_path).exists()) == (130, "", False)
    assert "interrupted: nothing calibrated; what was measured is in " in err
    (folder,) = (calibrated(tmp_path).parent / "calibration").iterdir()
    before = {name: sha for name, sha in contents(folder).items() if name != "run.json"}
    assert 0 < len(before) < 33
    more = ("calibrate", "--results", tmp_path, "--resume", "--repeats", "3")
    assert "--repeats contradicts" in complaint(*typed(*more))
    started = []
    status, out, err = typed("calibrate", "--results", tmp_path, "--resume", started=started)
    assert status == 0, err
    assert f"{folder.name} goes on after {len(before)} processes, {64 - 1.7 * len(before):.0f} s of its budget" in err
    assert "equal: false verdicts" in out
    after = contents(folder)
    assert {name: after[name] for name in before} == before, "finished files stay as they are"
    assert len(started) == len(set(started)) == 33 - len(before), "none is made twice"
    assert len(runs.read_run(folder).records) == 33
    assert [after for _, after in runs.read_run(folder).resumed] == [len(before)]
    assert calibration.read(calibrated(tmp_path)).repeats == 2
    assert "there is nothing to resume" in complaint(*typed("calibrate", "--results", tmp_path, "--resume"))
    assert "this run is complete" in complaint(*typed("calibrate", "--results", tmp_path, "--resume", folder.name))
