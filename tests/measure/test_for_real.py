"""Real disturbances, a really false clock, a kernel that really remembers: shares and ratios, never absolute times."""

from pathlib import Path

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.measure import closer
from mlpbench.bench.record import runs
from mlpbench.bench.trust import clock_check
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.processes import python

#: They measure for real, and other tests run beside them: once in a while that spoils one.
pytestmark = pytest.mark.flaky(reruns=2)

SPEC = ForwardSpec((1000, 2))
WATCHED = r"""
import os, subprocess, sys
cpu = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpu})
from mlpbench.bench.cases import Case
from mlpbench.bench.clock import times_s
from mlpbench.bench.machine import spin
from mlpbench.bench.measure import watch
from mlpbench.bench.measure.instruments import NullKernel
observer, kernel = watch.Watch(), NullKernel()
hog = subprocess.Popen(  # on the same processor
    [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
)
hog.stdout.readline()
observer.begin()
try:
    times_s(lambda: spin.best_spin().run(1), 1000)
finally:
    hog.kill()
    hog.wait()
observer.end(kernel, Case("batched", 100))
trust = observer.trust([])
(window,) = trust.windows
print(window.run_delay_s / window.wall_s, *trust.disturbed, sep="\n")
"""
LATE = """
import time
looks = 0

def clock():
    "Gains half a millisecond at every look."
    global looks
    looks += 1
    return time.perf_counter() + 5e-4 * looks
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not show who waits")
def test_a_process_that_shares_its_processor_is_marked():
    ran = python("-c", WATCHED)
    assert ran.returncode == 0, ran.stderr
    share, *reasons = ran.stdout.splitlines()
    assert 0.2 < float(share) < 1, "two programs that always run have about half each"
    assert "batched 100: its threads waited" in reasons[0]


def test_a_false_clock_is_found_by_the_suite_itself(tmp_path):
    (tmp_path / "lateclock.py").write_text(LATE)
    path = tmp_path / "numpy.0.json"
    words = ["--kernel=numpy", "--mode=batched", "--batch-size=1", "--benchmark-max-time=0.01"]
    words += ["--benchmark-timer=lateclock.clock", f"--benchmark-json={path}", "-p", "no:cacheprovider"]
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lateclock, pytest; "
    code += "sys.exit(pytest.main(sys.argv[1:]))"
    ran = python("-c", code, "bench", *words)
    assert ran.returncode == 0, ran.stdout
    found = clock_check.check_clock([runs.read(path).trust])
    assert found.ok is False
    assert found.error < -clock_check.CLOCK_LIMIT, "what is added to each time weighs more on short ones"


class Remembers(Kernel):
    """Gives the last result again if it is given the same array again."""

    backend = "remembers"

    def __init__(self):
        super().__init__(SPEC, seeded(SPEC))
        self.last = self.result = None

    def forward(self, x):
        if x is not self.last:
            self.last, self.result = x, np.sin(np.tile(x, (20, 1)))
        return self.result


class Entrant:
    kernel = Remembers()
    inputs = np.ones((800, 1000), np.float32)


def test_a_kernel_that_remembers_its_input_is_found():
    found = closer.audit(Entrant(), Case("batched", 100))
    # The shortest: other tests may run beside this one, and stretch some blocks of few nanoseconds beyond all measure.
    assert np.min(found.rotating_s) > 5 * np.min(found.same_s)
