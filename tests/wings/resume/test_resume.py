"""`--resume`: what is missing of a plan is run, once, where everything is as it was; else the differences are told.

Anybody may have written a run.json: nothing that it says is started or imported.
"""

import hashlib
import json
import os
import shutil

import pytest

from mlpbench.bench.record import runs
from mlpbench.bench.run import folder as folder_
from mlpbench.bench.wings.versions import environments
from support import simulate, venvs
from support.processes import SIX, folder_of, measured, stoppable
from support.terminal import called, complaint, contents


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return what types `mlpbench run`, where Ctrl-C comes after ``stop_after`` processes."""
    return stoppable(tmp_path, monkeypatch, capsys)


def head(folder):
    return json.loads((folder / "run.json").read_text())["mlpbench"]


def finished(folder):
    return {name: sha for name, sha in contents(folder).items() if name.endswith(".json") and "run.json" not in name}


def kill(folder):
    """Leave the run as kill -9 leaves it: nobody has written how it ended, and a file was being written."""
    for path in folder.rglob("run.json"):
        with simulate.edited(path) as content:
            content["mlpbench"].pop("ending")
    (folder / ".numpy.2.json.x.partial").write_text("{")


@pytest.mark.parametrize(
    ("how", "axes"), [("Ctrl-C", ()), ("kill -9", ()), ("kill -9", ("--threads", "2"))], ids=["Ctrl-C", "kill", "sweep"]
)
def test_exactly_what_is_missing_is_run(run, tmp_path, capsys, how, axes):
    status, _, err = run(*SIX, *axes, stop_after=4)
    assert status == 130
    assert "`mlpbench run --resume` goes on" in err.splitlines()[-1]
    folder, before = folder_of(tmp_path), finished(folder_of(tmp_path))
    assert len(before) == 4
    if how == "kill -9":
        kill(folder)
    status, out, _ = run("--resume", "--dry-run")
    assert (status, len(out.splitlines())) == (0, 8 if axes else 2)

    status, _, err = run("--resume")
    assert status == 0
    assert f"{folder.name} goes on after 4 processes" in err
    after = finished(folder)
    assert {name: after[name] for name in before} == before, "finished files stay as they are"
    assert len(after) == (12 if axes else 6)
    assert len(run.started) == len(set(run.started)) == len(after) - 4, "none is made twice"
    assert not list(folder.rglob(".*"))

    found = runs.read_runs(folder)
    assert [one.missing for one in found] == [()] * len(found)
    assert sum(one.resumed[0][1] for one in found) == 4
    assert head(folder)["ending"]["spent_s"] == 2.0 * len(after)
    status, out, _ = called(capsys, "report", folder)
    assert "after 4 processes." in out or "after 2 processes." in out
    assert complaint(*run("--resume", folder)) == f"{folder}: this run is complete: there is nothing to resume"
    assert "there is nothing to resume" in complaint(*run("--resume"))


def test_the_budget_that_was_spent_counts(run, tmp_path):
    words = ("numpy", "numpy-out", "--profile", "quick", "--budget", "20s", "--seed", "1")
    run(*words, stop_after=7)
    status, _, err = run("--resume")
    assert status == 0
    assert "goes on after 7 processes, 6 s of its budget are left" in err
    assert len(run.started) <= 3
    assert head(folder_of(tmp_path))["ending"]["spent_s"] <= 20


def test_a_run_may_stop_more_than_once_and_options_do_not_contradict_the_plan(run, tmp_path):
    run(*SIX, stop_after=1)
    run("--resume", stop_after=2)
    name = folder_of(tmp_path).name
    for words, what in (
        (("--threads", "2"), "--threads"),
        (("--repeats", "5"), "--repeats"),
        (("numba",), "kernels"),
        (("--budget", "9s"), "--budget"),
    ):
        told = complaint(*run(*words, "--resume", name))
        assert told == f"{what} and --resume contradict each other: a run that is resumed keeps to its plan"
    assert run("--resume", name[:12])[0] == 0
    assert [after for _, after in head(folder_of(tmp_path))["resumed"]] == [1, 3]
    assert len(finished(folder_of(tmp_path))) == 6


def test_the_card_of_the_plan_is_used_again_and_its_clock_asked_the_same(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    run(*SIX, "--device", "GPU-1", "--p99", "5ms", stop_after=1)
    name = folder_of(tmp_path).name
    assert "--p99=5000000ns" in runs.read_head(folder_of(tmp_path) / "run.json").plan.clock
    told = complaint(*run("--resume", name, "--device", "GPU-2"))
    assert told == f"--device contradicts the plan of {name}: a run that is resumed keeps to its plan"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert run("--resume")[0] == 0
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-1"


def of_plan(change):
    def damage(folder):
        with simulate.edited(folder / "run.json") as content:
            change(content["mlpbench"])

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (simulate.elsewhere, ("machine cpu_model: another against ", "git commit: ffffffff", "numpy: 1.0 against ")),
        (of_plan(lambda head: head["computed"].update(weights_sha256="0" * 64)), ("weights: 00000000",)),
        (of_plan(lambda head: head["computed"].update(data_sha256="0" * 64)), ("data: 00000000",)),
        (of_plan(lambda head: head["environment"]["variables"].update(OMP_X="1")), ("OMP_X: 1 against nothing",)),
        (of_plan(lambda head: head["plan"]["order"].append(["numba", 0])), ("order: numba is no kernel of this plan",)),
    ],
)
def test_where_something_is_not_as_it_was_or_damaged_the_run_does_not_go_on(run, tmp_path, damage, words):
    run(*SIX, stop_after=2)
    folder = folder_of(tmp_path)
    damage(folder)
    before = contents(folder)
    told = complaint(*run("--resume"))
    assert all(word in told for word in words), told
    assert told.endswith("; start a new run") or " no " in words[0]
    assert contents(folder) == before


def test_who_may_not_go_on(run, tmp_path):
    assert "has stopped before its end" in complaint(*run("--resume"))
    run(*SIX, stop_after=2)
    folder = folder_of(tmp_path)
    with folder_.held(folder):
        assert complaint(*run("--resume")) == f"{folder}: another process goes on with this run: wait for its end"
    with simulate.edited(folder / "numpy.0.json") as content:
        content["mlpbench"].pop("ran")
    assert "numpy.0.json: it does not say how long it took" in complaint(*run("--resume"))
    assert "no run, file or folder" in complaint(*run("--resume", "nothing"))
    assert "no run in this folder" in complaint(*run("--resume", tmp_path))


def test_one_setting_of_a_sweep_alone_is_not_resumed(run, tmp_path):
    run(*SIX, "--threads", "2", stop_after=3)
    told = complaint(*run("--resume", folder_of(tmp_path) / "threads-2"))
    assert "one setting of a sweep: resume the sweep" in told
    with simulate.edited(folder_of(tmp_path) / "run.json") as content:
        content["mlpbench"]["order"].append(["threads-9", "numpy", 0])
    assert "mlpbench.order: no plan has numpy in threads-9" in complaint(*run("--resume", folder_of(tmp_path)))


#: Leaves a mark where it is started or imported, whatever for.
HOSTILE = """#!/bin/sh
''':'
touch "$0.ran"
exit
'''
open(__file__ + ".imported", "w")
"""


@pytest.fixture
def hostile(tmp_path):
    """Return a program that is a module of Python too, and what tells whether it ran."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    program = folder / "evil.py"
    program.write_text(HOSTILE)
    program.chmod(0o755)
    return program, lambda: sorted(path.name for path in folder.iterdir() if path != program)


def foreign(block, program):
    """Yield what somebody else may write into a plan: by name, what changes it."""
    interpreter = {"name": "x", "python": str(program), "package": str(program.parent)}
    file = {"path": str(program), "attribute": "f", "sha256": hashlib.sha256(program.read_bytes()).hexdigest()}
    plan, command = block["plan"], block["plan"]["command"]
    yield "nothing", lambda: block.pop("seal")
    yield "interpreter", lambda: plan.update(env=interpreter)
    yield "file", lambda: plan.update(files={"evil.f": file}, kernels=[*plan["kernels"], "evil.f"])
    yield "namespace", lambda: plan.update(kernels=[*plan["kernels"], "array-api-evil"])
    yield "plugin", lambda: plan.update(clock=["-o", f"pythonpath={program.parent}", "-p", "evil"])
    yield "debug", lambda: plan.update(clock=[f"--debug={program}"])
    yield "command", lambda: plan.update(command=[*command, "--device", "7"])
    yield "data", lambda: block["computed"]["options"].update(model=str(program))
    yield "computed", lambda: block.pop("computed")
    yield "option", lambda: block["computed"]["options"].update(extra="x")
    yield "kernels", lambda: plan.update(kernels=["numpy"])


FOREIGN = ("nothing", "interpreter", "file", "namespace", "plugin", "debug", "command", "data")
FOREIGN += ("computed", "option", "kernels")


@pytest.mark.parametrize("what", FOREIGN)
def test_what_somebody_else_wrote_is_refused_before_anything_is_started(run, tmp_path, hostile, monkeypatch, what):
    run(*SIX, stop_after=2)
    folder, (program, ran) = folder_of(tmp_path), hostile
    with simulate.edited(folder / "run.json") as content:
        dict(foreign(content["mlpbench"], program))[what]()
    before, text = contents(folder), program.read_text()
    monkeypatch.setattr("subprocess.Popen", lambda *words, **_: pytest.fail(f"started: {words}"))
    for more in ((), ("--dry-run",)):
        told = complaint(*run("--resume", *more))
        assert told.startswith(f"{folder / 'run.json'} is not as your mlpbench writes it: ")
        assert told.endswith("only whoever made a run resumes it, so start a new one")
    assert (contents(folder), program.read_text(), ran(), run.started) == (before, text, [], [])


def test_another_user_does_not_resume_a_run_that_is_whole(run, tmp_path, monkeypatch):
    run(*SIX, stop_after=2)
    mine = os.environ["XDG_STATE_HOME"]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    assert "is not as your mlpbench writes it" in complaint(*run("--resume"))
    assert not (tmp_path / "another").exists(), "to look makes no key"
    monkeypatch.setenv("XDG_STATE_HOME", mine)
    assert run("--resume")[0] == 0


def test_a_file_of_ones_own_is_where_it_was_typed_and_what_it_was(run, tmp_path):
    path, text = tmp_path / "mine.py", "def fast(x, weights, biases):\n    return x\n"
    path.write_text(text)
    run("numpy", f"{path}:fast", *SIX[2:], stop_after=2)
    path.write_text(text + "#")
    assert complaint(*run("--resume")) == "mine.py has changed since this run began; start it again"
    path.rename(tmp_path / "moved.py")
    assert complaint(*run("--resume")) == f"{path}: it cannot be read: No such file or directory"
    path.write_text(text)
    assert run("--resume")[0] == 0


def test_an_interpreter_is_typed_again(run, tmp_path, monkeypatch):
    old, new = venvs.make(tmp_path / "kept" / "old"), venvs.make(tmp_path / "new")
    here = environments.inspect("old", str(old / "bin" / "python")).environment.as_dict()
    measured(
        monkeypatch,
        lambda plan, at, case: 1e-6,
        interrupts=lambda at, _: at[1] == 1,
        facts=lambda plan, _: {"environment": {**here, "threads": plan.threads}},
    )
    env = ("--env", f"old={old}")
    assert run(*SIX, *env)[0] == 130
    folder = folder_of(tmp_path)
    python = old / "bin" / "python"
    told = complaint(*run("--resume", "--dry-run"))
    assert told == f"{folder.name} needs interpreters, and no file says what is started: add --env old={python}"
    told = complaint(*run("--resume", "--dry-run", "--env", f"old={new}"))
    assert told == f"--env contradicts the plan of {folder.name}: a run that is resumed keeps to its plan"
    for again in (env, ("--env", f"old={python}")):
        assert run("--resume", "--dry-run", *again)[0] == 0
    with simulate.edited(folder / "run.json") as content:
        content["mlpbench"]["environment"]["machine"]["cpu_model"] = "another"
    monkeypatch.setattr(environments, "inspect", lambda *at: pytest.fail(f"started: {at}"))
    assert "machine cpu_model is " in complaint(*run("--resume", "--dry-run", *env)), "before it is asked"


def test_a_run_that_was_merged_is_passed_over_and_never_resumed(run, tmp_path):
    run(*SIX, stop_after=2)
    mine = folder_of(tmp_path)
    merged = mine.with_name("20990101T000000Z-merged")
    shutil.copytree(mine, merged)
    (merged / runs.MERGED).touch()
    told = complaint(*run("--resume", merged))
    assert told == f"{merged}: this run was merged from elsewhere: resume it where it was made"
    status, _, err = run("--resume")
    assert status == 0
    assert f"{mine.name} goes on after 2 processes" in err
    assert "there is nothing to resume" in complaint(*run("--resume"))


def test_a_link_among_the_files_of_a_run_is_refused(run, tmp_path):
    run(*SIX, stop_after=2)
    folder, mine = folder_of(tmp_path), tmp_path / "mine.txt"
    mine.write_text("mine")
    (folder / "report.md").unlink(missing_ok=True)
    (folder / "report.md").symlink_to(mine)
    assert complaint(*run("--resume")) == f"{folder}/report.md: a link, and results are files: take it away"
    assert mine.read_text() == "mine"


def test_where_no_key_can_be_kept_a_run_is_made_and_says_that_it_cannot_be_resumed(run, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    status, _, err = run(*SIX, stop_after=2)
    assert status == 130
    assert err.count("warning: if this run stops, it cannot be resumed: ") == 1
    assert "--resume" not in err.splitlines()[-1]
    assert "or one that could keep no key; " in complaint(*run("--resume"))
    monkeypatch.setenv("MLPBENCH_RUN_SUFFIX", "b")
    assert run(*SIX)[0] == 0


def texts(value, place=()):
    """Yield the place of each text in a document."""
    if isinstance(value, str):
        yield place
    elif isinstance(value, dict | list):
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(member, (*place, name))


#: What is started, opened or given to pytest.
SEALED = {"run_id", "command", "kernels", "clock", "files", "env", "options", "seal"}


def test_no_text_of_a_plan_is_started_imported_or_written_to(run, tmp_path, hostile, monkeypatch):
    """A program stands in place of each text of the plan in turn."""
    (program, ran), mine = hostile, tmp_path / "mine.py"
    mine.write_text("def fast(x, weights, biases):\n    return x\n")
    run("numpy", f"{mine}:fast", *SIX[2:], "--p99", "5ms", stop_after=1)
    file = folder_of(tmp_path) / "run.json"
    sound, text = file.read_text(), program.read_text()
    places = list(texts(json.loads(sound)))
    assert len(places) > 60
    assert run("--resume", "--dry-run")[0] == 0
    monkeypatch.setattr("subprocess.Popen", lambda *words, **_: pytest.fail(f"started: {words}"))
    before = contents(tmp_path)
    for *outer, last in places:
        member = content = json.loads(sound)
        for name in outer:
            member = member[name]
        member[last] = str(program)
        file.write_text(json.dumps(content))
        found = run("--resume", file.parent, "--dry-run")
        if SEALED & {*map(str, outer), last} and "environment" not in outer:
            complaint(*found)
    file.write_text(sound)
    assert (contents(tmp_path), program.read_text(), ran()) == (before, text, [])
