"""What tests compare: runs of two kernels, on a machine where whole runs do not wander."""

from mlpbench.bench.stats.estimates import NO_WANDER
from support import simulate

TIMES = {
    ("numpy", "per_sample", 100): 2e-5,
    ("numpy", "batched", 100): 2e-6,
    ("numba", "per_sample", 100): 4e-6,
    ("numba", "batched", 100): 1e-6,
}
STEADY = NO_WANDER


def run(folder, times=TIMES, **settings):
    """Write and read a run."""
    return simulate.read(simulate.write_run(folder, times, **settings))
