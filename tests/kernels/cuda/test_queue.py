"""A stream as the clock needs it: the spinning kernel run on a CPU, and copies under the stand-in."""

import numpy as np
import pytest
from on_cpu.raw import CpuRawKernel, compiler

from mlpbench.kernels.cuda import queue
from mlpbench.kernels.cuda.queue import Queue, address
from support import fake_cupy


@pytest.mark.heavy
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
def test_the_spinning_kernel_ends_when_it_is_told_and_by_itself_and_says_so():
    spin = CpuRawKernel(queue.SOURCE, "hold")
    for flag, most_ns, after in (([1, 0], 10**12, [1, 0]), ([0, 0], 10**6, [0, 1])):
        flags = np.array(flag, np.int32)
        spin((1,), (1,), (flags, np.int64(most_ns)))
        assert flags.tolist() == after, "flag[1] is raised where nobody raised flag[0] in time"


def test_copies_go_where_they_are_sent(monkeypatch):
    cupy = fake_cupy.install(monkeypatch)
    stream = cupy.cuda.Stream(non_blocking=True)
    found = Queue(stream.ptr, events=3)
    with stream:
        there = cupy.asarray(np.arange(10, dtype=np.float32))
    pinned, room = found.pinned(40), found.room(40)
    found.copy(pinned.ctypes.data, *address(there), "to host")
    found.wait()
    assert pinned.view(np.float32).tolist() == list(range(10))
    pinned.view(np.float32)[3] = 99
    found.copy(address(room)[0], pinned.ctypes.data, 40, "to device")
    found.copy(address(there)[0], address(room)[0], 40, "on device")
    found.wait()
    assert there[3] == 99
    assert address(there[2:5]) == (there.ctypes.data + 8, 12), "a part of an array begins where it begins"
