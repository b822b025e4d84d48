"""Device kernels that keep the time, run on a CPU: as many operations are done as are counted, and a hold ends."""

import numpy as np
import pytest
from on_cpu.raw import SANITIZERS, CpuRawKernel, CpuRawModule, compiler, sanitized

from mlpbench.kernels.cuda import peak, queue

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler"),
]
TURNS, CHAINS = 3, peak.CHAINS
#: What one thread adds up when every product is one: to the numbers of its chains, one a step, or the inner length.
STEPS = TURNS * peak.STEPS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_so_many_operations_are_done_as_are_counted(dtype):
    module = CpuRawModule(code=peak.source(dtype))
    begins = sum(range(CHAINS))
    for one in peak.peaks(dtype):
        out = np.full(2 * peak.THREADS, np.nan, dtype)
        module.get_function(one.entry)((2,), (peak.THREADS,), one.arguments(out, TURNS))
        if one.entry == "multiply_adds":
            assert (out == begins + CHAINS * STEPS).all()
            assert one.flop * TURNS == 2 * CHAINS * STEPS
        else:
            inner = {"tf32": 8, "fp16": 16}[one.arithmetic]
            assert (out == 4 * (begins + CHAINS * STEPS * inner)).all(), "four sums of a tile are one thread's"
            assert one.flop * TURNS == 2 * 4 * CHAINS * STEPS * inner
    module.get_function(peak.NOTHING)((1,), (1,), ())


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sanitizers_find_nothing(dtype, sanitizer):
    """In one warp, whose threads write next to each other."""
    module = CpuRawModule(code=peak.source(dtype))
    for one in peak.peaks(dtype):
        out = np.full(32, np.nan, dtype)
        kernel = module.get_function(one.entry)
        assert sanitized(kernel, sanitizer, (1,), (32,), one.arguments(out, 1)) == ""
        assert not np.isnan(out).any()


def test_the_spinning_kernel_ends_when_it_is_told_and_by_itself_and_says_so():
    spin = CpuRawKernel(queue.SOURCE, "hold")
    for flag, most_ns, after in (([1, 0], 10**12, [1, 0]), ([0, 0], 10**6, [0, 1])):
        flags = np.array(flag, np.int32)
        spin((1,), (1,), (flags, np.int64(most_ns)))
        assert flags.tolist() == after, "flag[1] is raised where nobody raised flag[0] in time"
