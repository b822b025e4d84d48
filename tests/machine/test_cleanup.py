"""A folder for temporary files: it goes with its block and with whoever made it, and so does what runs in it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlpbench.bench.machine import cleanup
from support.processes import gone, is_alive, wait_until

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process sees another's variables")
#: Starts a process and what that starts, makes a file, says their numbers, and waits.
PARENT = """
import os, pathlib, sys
from mlpbench.bench.machine import child
body = "import os, subprocess, time; c = subprocess.Popen(['sleep', '60'], start_new_session=True).pid;"
body += " print(os.getpid(), c, flush=True); time.sleep(60)"
with child.scratch() as made:
    (made.folder / "file").touch()
    guard = pathlib.Path("/proc/self/task").joinpath(str(os.getpid()), "children").read_text().split()[0]
    say = lambda line: print(line, guard, made.folder, flush=True)
    child.run([sys.executable, "-IS", "-c", body], {}, 60, within=made, on_line=say)
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


@LINUX
def test_a_folder_goes_with_its_block_and_with_it_what_still_runs_there(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with cleanup.scratch() as made:
        (made.folder / "file").touch()
        started = subprocess.Popen(["sleep", "60"], env={"TMPDIR": str(made.folder / "below")}, start_new_session=True)
        wait_until(lambda: cleanup.processes_in(made.folder) == [started.pid], "its variables")
    assert started.wait() == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@LINUX
@pytest.mark.parametrize("whom", ["the parent", "its group"])
def test_what_a_killed_parent_leaves_is_ended_and_removed(parent, whom):
    started, child, grandchild, guard, folder = parent
    assert all(map(is_alive, (child, grandchild, guard)))
    assert (folder / "file").exists()
    if whom == "the parent":
        started.kill()
    else:
        os.killpg(started.pid, signal.SIGKILL)
    gone(child, grandchild, guard)
    wait_until(lambda: not folder.exists(), "the end of the folder")


def test_a_folder_goes_although_somebody_has_ended_its_guard(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    start, guards = subprocess.Popen, []
    monkeypatch.setattr(subprocess, "Popen", lambda *at, **how: guards.append(start(*at, **how)) or guards[-1])
    with cleanup.scratch() as made:
        guards[0].kill()
        guards[0].wait()
        made.watch(2**30)
    assert list(tmp_path.iterdir()) == []


@LINUX
def test_folders_that_a_kill_of_the_whole_tree_left_are_removed_at_the_next_start(parent, tmp_path, monkeypatch):
    """Those of live processes stay, and so do links, folders of others, and what was never ours."""
    started, child, grandchild, guard, folder = parent
    link, kept, stranger = tmp_path / f"mlpbench-tmp-{'c' * 16}", tmp_path / "kept", tmp_path / "mlpbench-x"
    kept.mkdir()
    stranger.mkdir()
    link.symlink_to(kept)

    def start():
        cleanup._sweep.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr("tempfile.tempdir", str(tmp_path))
            with cleanup.scratch():
                pass

    start()
    assert folder.exists(), "its process lives"
    for number in (guard, started.pid, child, grandchild):
        os.kill(number, signal.SIGKILL)
    started.wait()
    gone(child, grandchild, guard)
    assert (folder / "file").exists(), "nobody was left to remove it"
    with monkeypatch.context() as somebody:
        somebody.setattr(cleanup.os, "getuid", lambda: os.geteuid() + 1)
        start()
    assert folder.exists(), "it is not theirs"
    start()
    assert sorted(tmp_path.iterdir()) == sorted([link, kept, stranger])
