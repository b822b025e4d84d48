"""Folders of runs, and of sweeps over several settings: an ordinary run for each; and who can seal one."""

import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlpbench.bench import cases
from mlpbench.bench.cases import make_settings
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import make_plan, profile
from mlpbench.bench.plan.sweep import Part, Sweep, plan_of
from mlpbench.bench.record import runs as record
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.plan import Binding
from mlpbench.bench.run import folder as run_folder
from mlpbench.bench.run import process as runner
from support import processes, simulate
from support.terminal import refusal

CASES = [cases.Case("batched", 10), cases.Case("batched", 20)]


def made(threads=(1, 2), dtypes=("float32",), skip=(), repeats=2, seed=1):
    """Return a sweep of kernels; ``skip`` holds (label, kernel) of those that a setting leaves out."""
    settings = make_settings(["20-10-3"], threads, dtypes)
    parts = []
    for setting in settings:
        workload = Workload(Options(spec="20-10-3", dtype=setting.dtype), rows=simulate.ROWS)
        here = [kernel for kernel in ("numpy", "numpy-out") if (setting.label, kernel) not in skip]
        parts.append((setting, workload, {setting.name(kernel): kernel for kernel in here}))
    names = [name for *_, names in parts for name in names]
    how = {"repeats": repeats, "seed": seed, "threads": 1, "command": ["mlpbench"], "commit": None}
    whole = make_plan(profile("smoke"), names, CASES, **how)
    made = (Part(setting, plan_of(whole, setting, own), workload, own) for setting, workload, own in parts)
    return Sweep(whole, tuple(made))


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Execute a sweep whose processes are stood in for; return its folder and outcomes."""
    monkeypatch.setattr("mlpbench.bench.machine.environment.collect", Environment)

    def run(planned, **how):
        processes.measured(monkeypatch, lambda *_: 1e-6, **how)
        folder, folders = run_folder.open_folders(tmp_path / "results", planned)
        effort, outcomes, interrupted = Effort(planned.plan), [], False
        try:
            outcomes.extend(runner.execute(planned, folders, lambda *_: None, effort))
        except KeyboardInterrupt:
            interrupted = True
        run_folder.close(planned, folder, folders, effort, interrupted=interrupted)
        return folder, outcomes

    return run


def test_each_setting_has_its_share_of_the_order_and_its_processors_as_an_ordinary_run(monkeypatch):
    monkeypatch.setattr("mlpbench.bench.machine.threads.choose", lambda threads: Binding(tuple(range(threads))))
    whole = made(repeats=3)
    for part, threads in zip(whole.parts, (1, 2), strict=True):
        label = f"threads-{threads}"
        expected = [(name.partition("/")[2], repeat) for name, repeat in whole.plan.order if name.startswith(label)]
        assert list(part.plan.order) == expected
        assert (part.plan.threads, part.plan.kernels) == (threads, ("numpy", "numpy-out"))
        assert part.plan.run_id == f"{whole.plan.run_id}.{label}"
        assert part.plan.binding == Binding(tuple(range(threads)))
    assert whole.plan.binding is None, "the whole has no processes of its own"
    assert made(threads=(2,)).plan.binding is None


def test_one_setting_is_the_run_itself(execute):
    only = made(threads=(2,))
    assert only.plan.as_dict() == only.parts[0].plan.as_dict()
    assert (only.plan.setting, only.plan.kernels) == (None, ("numpy", "numpy-out"))
    folder, outcomes = execute(only)
    assert {path.name for path in folder.iterdir()} == {"run.json", *(outcome.job.path.name for outcome in outcomes)}
    assert {(outcome.job.folder, outcome.job.setting) for outcome in outcomes} == {(folder, None)}


def test_every_setting_is_a_run_and_the_files_say_the_whole_order_and_how_it_ended(execute):
    """A kernel that one setting cannot express is skipped in that one only."""
    planned = made(dtypes=("float32", "float64"), skip=[("threads-1_float64", "numpy-out")])
    folder, outcomes = execute(planned)
    assert len(outcomes) == 14
    block = json.loads((folder / "run.json").read_text())["mlpbench"]
    assert (block["kind"], block["ending"]["interrupted"]) == ("sweep", False)
    assert block["order"] == [[*name.split("/"), repeat] for name, repeat in planned.plan.order]
    assert [setting["threads"] for setting in block["settings"]] == [part.setting.threads for part in planned.parts]
    runs = record.read_runs(folder)
    assert block["ending"]["spent_s"] == pytest.approx(sum(run.ending.spent_s for run in runs), abs=0.01)
    assert [run.path.name for run in runs] == [part.setting.label for part in planned.parts]
    for run, part in zip(runs, planned.parts, strict=True):
        assert (run.setting, run.id, run.kernels) == (part.setting, part.plan.run_id, part.plan.kernels)
        assert (len(run.records), run.missing, run.problems) == (2 * len(part.names), (), ())
        assert {found.threads for found in run.records} == {part.setting.threads}
        assert {found.spec.dtype for found in run.records} == {part.setting.dtype}
        assert run.ending.order == part.plan.order
        assert {case.kernel for case in run.ending.cases} == set(part.plan.kernels)


def test_an_interrupt_keeps_what_is_finished_in_every_setting(execute):
    seen = []
    folder, outcomes = execute(made(seed=4), interrupts=lambda *at: seen.append(at) or len(seen) == 4)
    assert len(outcomes) == 3
    runs = record.read_runs(folder)
    assert sum(len(run.records) for run in runs) == 3
    assert sum(len(run.missing) for run in runs) == 5
    assert all("interrupted" in run.problems[0] for run in runs)
    assert json.loads((folder / "run.json").read_text())["mlpbench"]["ending"]["interrupted"] is True


def test_an_error_that_ends_a_run_says_what_is_kept_and_how_it_goes_on(tmp_path):
    for name in ("run", "numpy.0", "numpy.1", "numba.0"):
        (tmp_path / f"{name}.json").touch()
    with pytest.raises(UserError) as told, run_folder.held(tmp_path):
        raise UserError("a full disk")
    assert str(told.value) == f"a full disk; 3 records are kept in {tmp_path}, and `mlpbench run --resume` goes on"


def test_nothing_is_listed_as_a_run_before_all_settings_have_their_plan(tmp_path, monkeypatch):
    monkeypatch.setattr("mlpbench.bench.machine.environment.collect", Environment)
    written, write = [], run_folder.write_atomically

    def note(path, data, **how):
        written.append(path.parent.name)
        write(path, data, **how)

    monkeypatch.setattr(run_folder, "write_atomically", note)
    folder, _ = run_folder.open_folders(tmp_path, made())
    assert written == ["threads-1", "threads-2", folder.name]
    assert record.find_runs(tmp_path) == [folder]


# Its seal

SEALED = ("run", {"clock": ["--cold"], "files": {}}, None)


@pytest.fixture
def state(tmp_path, monkeypatch):
    """Return the folder of the key of a user who has none yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "mlpbench"


def test_a_seal_fits_what_was_sealed_by_this_user_and_nothing_else(state, monkeypatch):
    made = run_folder.make_seal(*SEALED)
    assert run_folder.seal_fits(made, *SEALED)
    assert not run_folder.seal_fits(made, "run", {"clock": ["-p"], "files": {}}, None)
    assert not run_folder.seal_fits(made, "environment", *SEALED[1:])
    for wrong in (None, "", "ü", made[:-1], made.upper()):
        assert not run_folder.seal_fits(wrong, *SEALED)
    key = state / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert [path.name for path in state.iterdir()] == ["key"], "nothing partial"
    monkeypatch.setenv("XDG_STATE_HOME", str(state.parent.with_name("another")))
    assert not run_folder.seal_fits(made, *SEALED)
    assert not state.parent.with_name("another").exists(), "to look makes no key"
    assert run_folder.make_seal(*SEALED) != made


def test_two_that_start_at_once_have_one_key(state):
    started = threading.Barrier(8)

    def make(_):
        started.wait()
        return run_folder.make_seal(*SEALED)

    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(make, range(8))}) == 1


@pytest.mark.parametrize("damage", ["short", "readable", "link"])
def test_a_key_that_is_damaged_or_may_be_known_is_refused(state, damage):
    made = run_folder.make_seal(*SEALED)
    key = state / "key"
    if damage == "short":
        key.write_bytes(b"")
    elif damage == "readable":
        key.chmod(0o644)
    else:
        key.symlink_to(key.rename(state / "elsewhere"))
    said = refusal(run_folder.seal_fits, made, *SEALED)
    assert said.startswith(f"{key}: ")
    assert "is damaged, or not yours alone: remove it" in said
    assert run_folder.no_seal() == said


def test_where_no_key_can_be_kept_is_one_line(state, monkeypatch):
    state.parent.write_text("a file in the place of the folder")
    assert run_folder.no_seal().endswith("; XDG_STATE_HOME names another folder")
    assert "\n" not in run_folder.no_seal()
    refusal(run_folder.make_seal, *SEALED)
    for name in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", name)
        monkeypatch.setenv("HOME", str(state.parents[1]))
        assert run_folder.no_seal() is None
    assert (state.parents[1] / ".local" / "state" / "mlpbench" / "key").is_file()


def test_what_is_private(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / "link").symlink_to(tmp_path)
    there = [run_folder.is_private(tmp_path / name) for name in ("", "link", "none")]
    assert there == [True, False, False]
    tmp_path.chmod(0o750)
    assert not run_folder.is_private(tmp_path)
    if os.getuid() == 0:  # only root gives folders away
        (tmp_path / "theirs").mkdir(mode=0o700)
        os.chown(tmp_path / "theirs", 65534, 65534)
        assert not run_folder.is_private(tmp_path / "theirs")
