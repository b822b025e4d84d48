"""Ctrl-C in the middle of a run, and a request to end: what is finished stays, and the exit says so."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from mlpbench.bench.record import runs
from support.doubles import offer
from support.processes import gone, wait_until
from support.terminal import TIMEOUT_S, argv, variables

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc to find processes"),
]

#: Six processes, of which the first alone can end: how many have ended when a signal comes is no matter of pace.
RUN = ("run", "waits", "waits-too", "--profile", "smoke", "--repeats", "3", "--seed", "1")
#: Every process waits for good but the one whose number is in a file, or that finds no such file.
WAITS = """
import os
import threading
from pathlib import Path

from mlpbench.kernels.mlp_numpy import NumpyKernel


class Waits(NumpyKernel):
    def __init__(self, spec, params):
        super().__init__(spec, params)
        first, this = Path(__file__).with_name("first"), str(os.getpid())
        if not first.exists():
            first.write_text(this)
        if first.read_text() != this:
            threading.Event().wait()
"""


class Typed:
    """A run that was typed in a folder of its own, in a process group of its own as a shell gives it."""

    def __init__(self, folder, path, *words, shell=(), also=""):
        self.results, self.temporary = folder / "results", folder / "tmp"
        self.temporary.mkdir()
        env = variables(TMPDIR=self.temporary, PYTHONPATH=f"{path}{os.pathsep}{also}")
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([*shell, *argv(*words)], cwd=folder, env=env, start_new_session=True, **piped)

    def measuring(self):
        """Return the process ids of what the run has started and is still there."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode(errors="replace")
            except OSError:  # it has just ended
                continue
            if f"--benchmark-json={self.temporary}" in words:
                found.append(int(path.parent.name))
        return found

    def finished(self):
        """Return the result files that are there."""
        return sorted(path for path in self.results.glob("*/*/*.json") if path.name not in {"run.json", "roofs.json"})

    def ends(self, signum):
        """Send a signal to the group, as Ctrl-C does; return (status, stdout, stderr)."""
        os.killpg(self.process.pid, signum)
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, out, err

    def no_trace_is_left(self):
        wait_until(lambda: not self.measuring(), "the end of what was measuring")
        assert list(self.temporary.iterdir()) == []
        hidden = [path for path in self.results.rglob("*") if path.name.startswith(".") or "partial" in path.name]
        assert hidden == []


@pytest.fixture
def start(tmp_path, quicker):
    """Type a run; end it whatever happens. Ctrl-C reaches it, also where these tests run in a script's background."""
    started, before = [], signal.signal(signal.SIGINT, signal.default_int_handler)

    def type_it(*words, **how):
        started.append(Typed(tmp_path, quicker, *words, **how))
        return started[-1]

    yield type_it
    signal.signal(signal.SIGINT, before)
    for typed_run in started:
        if typed_run.process.poll() is None:
            os.killpg(typed_run.process.pid, signal.SIGKILL)
        typed_run.process.communicate()


#: What a script's shell does to the jobs that it starts with "&".
IN_THE_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$0" "$@"')


@pytest.mark.parametrize(
    ("signum", "shell", "words"),
    [(signal.SIGINT, (), ()), (signal.SIGTERM, (), ("--json",)), (signal.SIGTERM, IN_THE_BACKGROUND, ())],
    ids=["Ctrl-C", "a request to end", "a request to end to a job in a script's background"],
)
def test_what_is_finished_stays_and_the_exit_says_so(start, tmp_path, signum, shell, words):
    (tmp_path / "waiting.py").write_text(WAITS, encoding="utf-8")
    offer(tmp_path, waits="waiting:Waits", waits_too="waiting:Waits")
    run = start(*RUN, *words, shell=shell, also=tmp_path)
    wait_until(lambda: run.finished() or run.process.poll() is not None, "the first result")
    wait_until(lambda: run.measuring() or run.process.poll() is not None, "the next process")
    status, out, err = run.ends(signum)

    assert status == 130
    assert "Traceback" not in out + err
    kept = run.finished()
    assert len(kept) == 1, err
    last = err.splitlines()[-1]
    assert last.startswith("mlpbench: interrupted: 1 of 6 processes finished, kept in results/")
    told = json.loads(out)["headline"]["sentences"][0] if words else out
    assert "per sample" in told.lower(), "what is finished is told, and JSON stays JSON"
    run.no_trace_is_left()
    found = runs.read_run(kept[0].parent)
    assert ([len(one.cases) for one in found.records], len(found.missing)) == ([3], 5)


def test_ctrl_c_elsewhere_is_no_traceback_either(start, tmp_path):
    """While kernels are asked, in processes that Ctrl-C does not reach: nothing has been written yet."""
    asked = tmp_path / "asked"
    (tmp_path / "hanging.py").write_text(
        "import os, threading\nfrom mlpbench.kernels.mlp_numpy import NumpyKernel\n\n\nclass Hangs(NumpyKernel):\n"
        f"    @classmethod\n    def probe(cls):\n        open({str(asked)!r}, 'w').write(str(os.getpid()))\n"
        "        threading.Event().wait()\n"
    )
    offer(tmp_path, hangs="hanging:Hangs", hangs_too="hanging:Hangs")
    run = start("run", "hangs", "hangs-too", "numpy", also=tmp_path)
    wait_until(lambda: (asked.exists() and asked.read_text()) or run.process.poll() is not None, "the probe")
    status, out, err = run.ends(signal.SIGINT)
    assert (status, out, err) == (130, "", "mlpbench: interrupted\n")
    assert not run.results.exists()
    gone(int(asked.read_text()))
