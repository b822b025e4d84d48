"""A folder for temporary files: it goes with its block, or at the next start, and so does what runs in it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlpbench.bench.machine import scratch
from support.processes import gone, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process sees another's variables")
#: Starts a process that ends with it, and from there one in a session of its own; says both numbers, and the folder.
PARENT = """
import sys
from mlpbench.bench.machine import child, scratch
body = "import os, subprocess, time; from mlpbench.bench.machine import child; child.end_with_parent();"
body += " c = subprocess.Popen(['sleep', '60'], start_new_session=True).pid;"
body += " print(os.getpid(), c, flush=True); time.sleep(60)"
with scratch.scratch() as folder:
    (folder / "file").touch()
    say = lambda line: print(line, folder, flush=True)
    child.run([sys.executable, "-c", body], {}, 60, within=folder, on_line=say)
"""


def test_a_folder_goes_with_its_block_and_with_it_what_still_runs_there(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch.scratch() as folder:
        (folder / "file").touch()
        started = subprocess.Popen(["sleep", "60"], env={"TMPDIR": str(folder / "below")}, start_new_session=True)
        wait_until(lambda: scratch.processes_in(folder) == [started.pid], "its variables")
    assert started.wait() == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_has_left_is_ended_and_removed_at_the_next_start(tmp_path, monkeypatch):
    """What lives stays, and so do links, folders of others, and what was never ours."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], env=env, stdout=subprocess.PIPE, start_new_session=True)
    *numbers, name = parent.stdout.readline().split()
    (child, grandchild), folder = map(int, numbers), Path(name.decode())
    link, kept, stranger = tmp_path / f"mlpbench-tmp-{'c' * 8}", tmp_path / "kept", tmp_path / "mlpbench-x"
    kept.mkdir()
    stranger.mkdir()
    link.symlink_to(kept)

    def start():
        scratch._sweep.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr("tempfile.tempdir", str(tmp_path))
            with scratch.scratch():
                pass

    start()
    assert folder.exists(), "its process lives"
    parent.kill()
    parent.communicate()
    gone(child)  # by the system
    assert (folder / "file").exists()
    with monkeypatch.context() as somebody:
        somebody.setattr(scratch.os, "getuid", lambda: os.geteuid() + 1)
        start()
    assert folder.exists(), "it is not theirs"
    start()
    gone(grandchild)
    assert sorted(tmp_path.iterdir()) == sorted([link, kept, stranger])
