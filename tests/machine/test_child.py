"""A process under limits: whatever it does, it ends, it is told how, and nothing that it started is left.

Asked a question, it answers, or there is a reason why it does not.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mlpbench.bench.machine import child, threads
from support.processes import gone, interpreter, over_when_heard, python, wait_until

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
HEAD = "import os, signal, subprocess, sys, time\n"


def run(body, *, seconds=30.0, **how):
    return child.run([sys.executable, "-IS", "-c", HEAD + body], os.environ, seconds, **how)


def test_what_it_says_line_by_line_and_how_it_ended(tmp_path):
    ended = run("print('a'); print('b', file=sys.stderr); sys.exit(3)")
    assert (ended.status, ended.stopped, ended.out, ended.err, ended.left) == (3, None, "a\n", "b\n", 0)
    assert ended.how() == "ended with 3"
    lines = []
    body = "os.write(1, b'on'); time.sleep(0.05); os.write(1, b'e\\ntwo\\n'); os.write(1, b'rest')"
    ended = run(body, merged=True, on_line=lines.append)
    assert (lines, ended.out) == (["one", "two"], "one\ntwo\nrest")
    for number, name in ((signal.SIGSEGV, "SIGSEGV"), (50, "signal 50")):
        assert run(f"os.kill(os.getpid(), {int(number)})").how() == f"died of {name}"
    ended = child.run([str(tmp_path / "python")], {}, 30.0)  # an environment that is gone
    assert (ended.status, ended.late) == (None, False)
    assert ended.how() == f"could not be started: {tmp_path}/python: No such file or directory"


def test_one_that_takes_too_long_or_prints_without_end(monkeypatch):
    """One whose work is done has no more time than the others."""
    monkeypatch.setattr(child, "TICK_S", 0.05)
    ended = run("os.close(1); os.close(2); time.sleep(60)", seconds=0.5, is_done=lambda: True)
    assert ended.how() == "was stopped after 0.5 s"
    over_when_heard(monkeypatch)
    ended = run("print(os.getpid(), flush=True); time.sleep(60)", seconds=50)
    assert (ended.status, ended.late, ended.how()) == (None, True, "was stopped after 50 s")
    gone(int(ended.out))
    monkeypatch.undo()
    ended = run("while True: os.write(1, b'x' * 65536)")
    assert ended.how() == "was stopped: it printed more than 16 MiB"
    assert len(ended.out) < 17 * 2**20


@LINUX
def test_one_that_takes_all_memory_with_what_it_starts(monkeypatch):
    assert 0 < child.memory_limit() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(child, "TICK_S", 0.1)
    monkeypatch.setattr(child, "memory_limit", lambda: 100 * 2**20)
    half = "held = b'x' * (60 * 2**20); time.sleep(60)"
    ended = run(f"started = subprocess.Popen([sys.executable, '-IS', '-c', {HEAD + half!r}]); {half}")
    assert ended.status is None
    assert ended.how().startswith("was stopped: it held 0.")
    assert ended.how().endswith("GiB of memory, and 0.0977 GiB were left for it")


@pytest.mark.parametrize("session", [True, False], ids=["session of its own", "group"])
def test_what_a_process_leaves_behind_holds_nobody_up_and_is_killed(session):
    """It keeps the output open. In a session of its own, on a system that tells of none, the test ends it."""
    ended = run(f"print(subprocess.Popen(['sleep', '60'], start_new_session={session}).pid)")
    assert (ended.status, ended.stopped) == (0, None)
    if sys.platform == "linux":
        assert ended.left == 1
    elif session:
        with suppress(ProcessLookupError):
            os.kill(int(ended.out), signal.SIGKILL)
    gone(int(ended.out))


@LINUX
def test_an_interrupt_just_as_it_starts_stops_it_as_well(monkeypatch):
    """It runs by then, and nobody has been given its number yet."""
    start, started = subprocess.Popen, []

    def interrupted(command, **how):
        started.append(start(command, **how))
        raise KeyboardInterrupt

    monkeypatch.setattr(child.subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("time.sleep(60)")
    started[-1].communicate()
    gone(started[-1].pid)


def test_a_child_whose_parent_has_ended_before_it_could_look():
    body = "from mlpbench.bench.machine import child; child.end_with_parent(); print('still here')"
    found = python("-c", body, MLPBENCH_PARENT="1")
    assert found.stdout == ("" if sys.platform == "linux" else "still here\n")


#: Starts a process that ends with it, and from there one in a session of its own; says both numbers, and the folder.
PARENT = """
import sys
from mlpbench.bench.machine import child
body = "import os, subprocess, time; from mlpbench.bench.machine import child; child.end_with_parent();"
body += " c = subprocess.Popen(['sleep', '60'], start_new_session=True).pid;"
body += " print(os.getpid(), c, flush=True); time.sleep(60)"
with child.scratch() as folder:
    (folder / "file").touch()
    say = lambda line: print(line, folder, flush=True)
    child.run([sys.executable, "-c", body], {}, 60, within=folder, on_line=say)
"""


@LINUX
def test_a_folder_goes_with_its_block_and_with_it_what_still_runs_there(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with child.scratch() as folder:
        started = subprocess.Popen(["sleep", "60"], env={"TMPDIR": str(folder / "below")}, start_new_session=True)
        wait_until(lambda: child.processes_in(folder) == [started.pid], "its variables")
    assert started.wait() == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@LINUX
def test_what_a_kill_has_left_is_ended_and_removed_at_the_next_start(tmp_path, monkeypatch):
    """What lives stays, and so do links, folders of others, and what was never ours."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], env=env, stdout=subprocess.PIPE, start_new_session=True)
    *numbers, name = parent.stdout.readline().split()
    (started, grandchild), folder = map(int, numbers), Path(name.decode())
    link, kept, stranger = tmp_path / f"mlpbench-tmp-{'c' * 8}", tmp_path / "kept", tmp_path / "mlpbench-x"
    kept.mkdir()
    stranger.mkdir()
    link.symlink_to(kept)

    def start():
        child._sweep.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr("tempfile.tempdir", str(tmp_path))
            with child.scratch():
                pass

    start()
    assert folder.exists(), "its process lives"
    parent.kill()
    parent.communicate()
    gone(started)  # by the system
    assert (folder / "file").exists()
    with monkeypatch.context() as somebody:
        somebody.setattr(child.os, "getuid", lambda: os.geteuid() + 1)
        start()
    assert folder.exists(), "it is not theirs"
    start()
    gone(grandchild)
    assert sorted(tmp_path.iterdir()) == sorted([link, kept, stranger])


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Ask a stand-in for the interpreter, which runs ``body``."""

    def asked(body, timeout_s=300.0, **options):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", interpreter(tmp_path, body))
            return child.ask("some.module", {"a": [1]}, timeout_s=timeout_s, **options)

    return asked


def test_the_last_line_is_the_answer_and_has_a_line_of_its_own(ask, monkeypatch, capsys):
    answer = ask('print("a library greets"); print(json.dumps({"words": words}))')
    assert (answer.found, answer.reason) == ({"words": ["-P", "-m", "some.module", '{"a": [1]}']}, None)
    assert answer.printed.startswith("a library greets\n")
    monkeypatch.setattr(sys, "argv", ["some.module", json.dumps({"a": [1]})])
    sys.stdout.write("a library greets")
    child.tell(child.question())
    assert capsys.readouterr().out.splitlines() == ["a library greets", '{"a": [1]}']


def test_what_the_process_has(ask, tmp_path, monkeypatch):
    """Our variables and those that are said, and a folder for temporary files that goes with it."""
    (temporary := tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("MLPBENCH_TEST", "kept")
    monkeypatch.delenv(child.INDUCTOR_CACHE, raising=False)
    body = 'open(os.environ["TMPDIR"] + "/more", "w").close(); print(json.dumps(dict(os.environ)))'
    found = ask(body, threads=3, variables={"CACHE": "empty"}).found
    assert (found["MLPBENCH_TEST"], found["CACHE"]) == ("kept", "empty")
    assert {found[name] for name in threads.THREAD_VARIABLES} == {"3"}
    assert Path(found["TMPDIR"]).parent == temporary
    assert Path(found[child.INDUCTOR_CACHE]).parent == temporary, "compiled code is not compiled again"
    assert list(temporary.iterdir()) == []
    monkeypatch.setenv(child.INDUCTOR_CACHE, "mine")
    found = ask(body).found
    assert found[child.INDUCTOR_CACHE] == "mine"
    assert found.get("OMP_NUM_THREADS") == os.environ.get("OMP_NUM_THREADS")
    monkeypatch.setenv("PYTHONPATH", "/ours")
    assert child.inherited(None)["PYTHONPATH"] == "/ours"
    assert "PYTHONPATH" not in child.inherited("/other/python"), "it finds its own packages"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("pass", "ended with 0: it gave no answer"),
        ("print('[1]')", "ended with 0: it gave no answer"),
        ("sys.stdout.buffer.write(b'{\\xff\\xfe')", "ended with 0: it gave no answer"),
        ("print('{}'); sys.exit(3)", "ended with 3: it gave no answer"),
        ("sys.exit('first line\\nlast line\\n')", "ended with 1: last line"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "died of SIGKILL: it gave no answer"),
        ("print('so far', flush=True); time.sleep(60)", "was stopped after 300 s"),
    ],
)
def test_without_an_answer_there_is_a_reason(ask, monkeypatch, body, reason):
    if "stopped" in reason:
        over_when_heard(monkeypatch)
    answer = ask(body)
    assert (answer.found, answer.reason) == (None, f"the process {reason}")
    assert ("so far" in answer.printed) == ("so far" in body)
