"""The stand-in for CuPy in seconds that nobody waits for, and a kernel whose times are injected."""

from collections import defaultdict

import numpy as np

from mlpbench.kernels.base import Kernel
from mlpbench.kernels.params import hand_worked
from mlpbench.kernels.spec import ForwardSpec
from support import streams
from support.fake_cupy import DeviceArray
from support.streams import ON_DEVICE, Stream


class World(streams.World):
    """One host and one device. ``now``: the host's clock in seconds; every launch costs it ``launch_s``."""

    can_hold = True
    now = 0.0

    def __init__(self, launch_s=2e-6, wait_s=3e-6, bandwidth=1e10):
        super().__init__()
        self.launch_s, self.wait_s, self.bandwidth = launch_s, wait_s, bandwidth
        self.copies = []
        #: Begin and end, in the order given: of calls by "call", of copies by their kind.
        self.spans = defaultdict(list)
        #: Copies of one direction share the link.
        self.link = defaultdict(float)

    def spend(self, seconds):
        self.now += seconds

    def copy(self, target, source, size, kind, start):
        """Move nothing, but take the time that the bytes take."""
        end = start
        if kind != ON_DEVICE:
            end = self.link[kind] = max(start, self.link[kind]) + size / self.bandwidth
            self.copies.append((kind, size))
        self.spans[kind].append((start, end))
        return end - start


class SimulatedKernel(Kernel):
    """A kernel whose times are injected: of the host ``enqueue_s``, of the device ``cold_s`` and ``hot_s``."""

    backend, device, returns, capturable = "simulated", "cuda", "kept", True
    launches, calls = 6, 0

    def __init__(self, world, enqueue_s=30e-6, cold_s=50e-6, hot_s=20e-6):
        super().__init__(ForwardSpec((2, 3, 2, 2)), hand_worked())
        self.world, self.enqueue_s, self.cold_s, self.hot_s = world, enqueue_s, cold_s, hot_s
        self.own, self.y = Stream(), np.zeros((1, 2), np.float32).view(DeviceArray)
        #: By the number of a call: seconds that the host is held up in it.
        self.stalls = {}

    def stream(self):
        return self.own.ptr

    def forward(self, x):
        self.calls += 1
        self.world.spend(self.stalls.get(self.calls, 0.0))
        cold, began = [], []

        def part(start):
            if not cold:
                cold.append(self.own.flushed)
                self.own.flushed = False
            took = (self.cold_s if cold[0] else self.hot_s) / self.launches
            began.append(start)
            if len(began) == self.launches:
                self.world.spans["call"].append((began[0], start + took))
            return took

        for _ in range(self.launches):
            self.own.give(part, cost=self.enqueue_s / self.launches)
        return self.y

    def forward_one(self, x):
        return self.forward(x)[0].view(DeviceArray)

    def _moved(self, array):
        self.own.give(array.nbytes / (self.world.bandwidth / 4))
        self.own.synchronize()
        return np.array(array)

    def from_host(self, x):
        self.world.take_memory("memory of the device")
        return self._moved(x).view(DeviceArray)

    def to_host(self, y):
        return self._moved(y)

    def synchronize(self, y):
        self.own.synchronize()
