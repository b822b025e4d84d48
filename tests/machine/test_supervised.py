"""A process under limits: whatever it does, it ends, it is told how, and nothing that it started is left."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mlpbench.bench.machine import guard, supervised
from mlpbench.bench.machine.supervised import Limits
from support.processes import gone, is_alive, over_when_heard, python, wait_until

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
HEAD = "import os, signal, subprocess, sys, time\n"


def run(body, *, seconds=30.0, memory_bytes=None, **how):
    command = [sys.executable, "-IS", "-c", HEAD + body]
    return supervised.run(command, os.environ, Limits(seconds, memory_bytes), **how)


def test_what_it_says_and_how_it_ended():
    ended = run("print('a'); print('b', file=sys.stderr); sys.exit(3)")
    assert (ended.status, ended.stopped, ended.out, ended.err) == (3, None, "a\n", "b\n")
    assert ended.how() == "ended with 3"


def test_lines_are_told_as_they_come():
    lines = []
    body = "os.write(1, b'on'); time.sleep(0.05); os.write(1, b'e\\ntwo\\n'); os.write(1, b'rest')"
    ended = run(body, merged=True, on_line=lines.append)
    assert (lines, ended.out) == (["one", "two"], "one\ntwo\nrest")


@pytest.mark.parametrize(("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (50, "signal 50")])
def test_a_signal_has_its_name_or_its_number(number, name):
    assert run(f"os.kill(os.getpid(), {int(number)})").how() == f"died of {name}"


def test_a_program_that_is_gone(tmp_path):
    """As an environment may be that was there when the run began."""
    ended = supervised.run([str(tmp_path / "python")], {}, Limits(30.0))
    assert (ended.status, ended.late) == (None, False)
    assert ended.how() == f"could not be started: {tmp_path}/python: No such file or directory"


def test_one_that_takes_too_long(monkeypatch):
    over_when_heard(monkeypatch)
    ended = run("print(os.getpid(), flush=True); time.sleep(60)", seconds=50)
    assert (ended.status, ended.late, ended.how()) == (None, True, "was stopped after 50 s")
    gone(int(ended.out))


def test_one_that_takes_too_long_and_says_nothing_more():
    ended = run("os.close(1); os.close(2); time.sleep(60)", seconds=0.5)
    assert ended.how() == "was stopped after 0.5 s"


@LINUX
def test_one_that_takes_all_memory_and_so_does_what_it_starts(monkeypatch):
    monkeypatch.setattr(supervised, "TICK_S", 0.1)
    leak = "held = []\nfor _ in range(400):\n    held.append(b'x' * 2**20); time.sleep(0.001)\ntime.sleep(60)"
    for body in (leak, f"subprocess.run([sys.executable, '-IS', '-c', {HEAD + leak!r}])"):
        ended = run(body, memory_bytes=100 * 2**20)
        assert ended.status is None
        assert ended.how().startswith("was stopped: it held 0.")
        assert ended.how().endswith("GiB of memory, and 0.0977 GiB were left for it")


def test_one_that_prints_without_end():
    ended = run("while True: os.write(1, b'x' * 65536)")
    assert ended.how() == "was stopped: it printed more than 16 MiB"
    assert len(ended.out) < 17 * 2**20


def test_a_grandchild_that_keeps_the_output_open_holds_nobody_up():
    """It has a session of its own: where the system does not tell whose it is, the test ends it."""
    ended = run("print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)")
    with suppress(ProcessLookupError):
        os.kill(int(ended.out), signal.SIGKILL)
    assert (ended.status, ended.stopped) == (0, None)


def test_what_it_leaves_running_is_stopped():
    ended = run("print(subprocess.Popen(['sleep', '60']).pid)")
    gone(int(ended.out))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_just_as_it_starts_stops_it_as_well(monkeypatch, signum):
    """It runs by then, and nobody has been given its number yet."""
    start, started = supervised._start, []

    def interrupted(*args, **how):
        started.append(start(*args, **how))
        os.kill(os.getpid(), signum)
        return started[-1]

    monkeypatch.setattr(supervised, "_start", interrupted)
    before = signal.signal(signum, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run("time.sleep(60)")
        assert signal.getsignal(signum) is signal.default_int_handler
    finally:
        signal.signal(signum, before)
    gone(started[0].pid)


@LINUX
def test_the_memory_that_is_left_is_told():
    free = supervised.memory_limit()
    assert 0 < free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert supervised.resident_bytes(os.getpid()) > 10 * 2**20


@LINUX
@pytest.mark.parametrize("session", ["True", "False"], ids=["session of its own", "group"])
def test_what_a_process_leaves_behind_is_killed_and_counted(session):
    leaves = f"import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session={session}).pid)"
    found = run(leaves)
    assert (found.status, found.left) == (0, 1)
    gone(int(found.out))
    assert run("print()").left == 0


#: Starts a process and what that starts, makes a folder, says their numbers, and waits.
PARENT = """
import sys, threading
from mlpbench.bench.machine import guard, supervised
from mlpbench.bench.machine.supervised import Limits
body = "import os, subprocess, time; c = subprocess.Popen(['sleep', '60']).pid; print(os.getpid(), c, flush=True)"
with guard.OURS.folder() as folder:
    (folder / "file").touch()
    say = lambda line: print(line, guard.OURS._process.pid, folder, flush=True)
    supervised.run([sys.executable, "-IS", "-c", body + "; time.sleep(60)"], {}, Limits(60), on_line=say)
"""


@pytest.fixture
def parent(tmp_path):
    """Start a parent of a process; return it, its child, its grandchild, its guard and its folder."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    started = subprocess.Popen([sys.executable, "-c", PARENT], env=env, stdout=subprocess.PIPE, start_new_session=True)
    *numbers, folder = started.stdout.readline().split()
    yield started, *map(int, numbers), Path(folder.decode())
    started.kill()
    started.communicate()


@pytest.mark.parametrize("whom", ["the parent", "its group"])
def test_what_a_killed_parent_leaves_is_ended_and_removed(parent, whom):
    started, child, grandchild, guarding, folder = parent
    assert all(map(is_alive, (child, grandchild, guarding)))
    assert (folder / "file").exists()
    if whom == "the parent":
        started.kill()
    else:
        os.killpg(started.pid, signal.SIGKILL)
    gone(child, grandchild, guarding)
    wait_until(lambda: not folder.exists(), "the end of the folder")


def test_folders_that_a_kill_of_the_whole_tree_left_are_removed_at_the_next_start(parent, tmp_path, monkeypatch):
    """Those of live processes stay, and so do links, folders of others, and what was never ours."""
    started, child, grandchild, guarding, folder = parent
    used, stranger, elsewhere = (tmp_path / f"mlpbench-{digit * 16}" for digit in "abc")
    for other in (used, stranger, tmp_path / "kept"):
        other.mkdir()
    (tmp_path / "kept" / "lock").touch()
    elsewhere.symlink_to(tmp_path / "kept")
    lock = guard._lock(used)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with guard.Guard().folder():
        assert folder.exists(), "its process lives"
    for number in (guarding, started.pid, child, grandchild):
        os.kill(number, signal.SIGKILL)
    started.wait()
    gone(child, grandchild, guarding)
    assert (folder / "file").exists(), "nobody was left to remove it"
    with monkeypatch.context() as somebody:
        somebody.setattr(guard.os, "getuid", lambda: os.geteuid() + 1)
        guard.sweep(tmp_path)
        assert folder.exists(), "it is not theirs"
    with guard.Guard().folder():
        assert not folder.exists()
    assert all(one.exists() for one in (used, stranger, elsewhere, tmp_path / "kept" / "lock"))
    os.close(lock)
    guard.sweep(tmp_path)
    assert not used.exists()


def test_one_whose_work_is_done_has_a_moment_to_end(monkeypatch):
    monkeypatch.setattr(supervised, "TICK_S", 0.05)
    monkeypatch.setattr(supervised, "GRACE_S", 0.3)
    ended = run("time.sleep(60)", seconds=50, is_done=lambda: True)
    assert (ended.status, ended.late, ended.how()) == (None, False, "was stopped 0.3 s after its work was done")
    ended = run("time.sleep(60)", seconds=0.2, is_done=lambda: True)
    assert (ended.late, ended.how()) == (True, "was stopped after 0.2 s")


def test_a_guard_that_was_ended_is_replaced(tmp_path):
    ours = guard.Guard()
    with ours.folder() as first:
        before = ours._process
        before.kill()
        before.wait()
        with ours.folder() as second:
            assert ours._process.pid != before.pid
            ours.close()
            assert not first.exists()
            assert not second.exists()


@LINUX
def test_a_child_without_a_guard_ends_with_its_parent(tmp_path):
    """The system does it: as far as it goes, whatever has ended the guard."""
    body = (
        "import os, subprocess, sys, time\n"
        "child = 'from mlpbench.bench.machine import supervised; import time; supervised.end_with_parent();"
        " print(1, flush=True); time.sleep(60)'\n"
        "env = {**os.environ, 'MLPBENCH_PARENT': str(os.getpid())}\n"
        "started = subprocess.Popen([sys.executable, '-c', child], env=env, stdout=subprocess.PIPE)\n"
        "started.stdout.readline(); print(started.pid, flush=True); os._exit(0)"
    )
    ran = python("-c", body)
    gone(int(ran.stdout))


def test_a_child_whose_parent_has_ended_before_it_could_look(monkeypatch):
    body = "from mlpbench.bench.machine import supervised; supervised.end_with_parent(); print('still here')"
    found = python("-c", body, MLPBENCH_PARENT="1")
    assert found.stdout == ("" if sys.platform == "linux" else "still here\n")
