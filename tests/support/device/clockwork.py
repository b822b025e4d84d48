"""A simulated GPU under CuPy's names: streams, events, copies and a host's clock, all in seconds that nobody waits for.

What is given to a stream begins when the stream is free, some time after the host gave it, and takes the time that a
test injected. While a stream is held, taking memory and waiting raise: on a GPU they would wait for the hold.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from types import ModuleType, SimpleNamespace

import numpy as np

from mlpbench.kernels.base import Kernel
from mlpbench.kernels.params import hand_worked
from mlpbench.kernels.spec import ForwardSpec

L2_BYTES = 2**20


class DeviceError(RuntimeError):
    """What CUDA would say."""


class World:
    """One host and one device. ``now``: the host's clock in seconds; every launch costs it ``launch_s``."""

    def __init__(self, launch_s=2e-6, wait_s=3e-6, bandwidth=1e10):
        self.now = 0.0
        self.launch_s, self.wait_s, self.bandwidth = launch_s, wait_s, bandwidth
        self.streams = {}
        self.current = None
        self.flags = []
        self.taken = []
        self.copies = []
        #: Begin and end, in the order given: of calls by "call", of copies by their kind.
        self.spans = defaultdict(list)
        #: Copies of one direction share the link.
        self.link = {}

    def spend(self, seconds):
        self.now += seconds

    @property
    def held(self):
        return any(stream.pending is not None for stream in self.streams.values())

    def take_memory(self, what):
        if self.held:
            raise AssertionError(f"{what} while the stream is held")
        self.taken.append(what)


class Flag(np.ndarray):
    """Pinned memory: the device sees what the host writes."""

    world = None

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if self.world is not None and self[0]:
            for stream in self.world.streams.values():
                stream.released()


class Stream:
    """``tail``: when all that it was given is done; unknown while it is held: what comes then is ``pending``."""

    def __init__(self, world, number):
        self.world, self.ptr, self.before = world, number, []
        self.tail, self.pending, self.flushed, self.capture = 0.0, None, False, None
        world.streams[number] = self

    def __enter__(self):
        self.before.append(self.world.current)
        self.world.current = self
        return self

    def __exit__(self, *_):
        self.world.current = self.before.pop()

    def give(self, seconds, cost=None):
        """Give work to the stream; ``seconds``: how long it takes, or a function that says so when it begins."""
        if self.capture is not None:
            self.capture.append(seconds)
            return
        self.world.spend(self.world.launch_s if cost is None else cost)
        given = self.world.now
        if self.pending is not None:
            self.pending.append((given, seconds))
        else:
            self.do(given, seconds)

    def do(self, given, seconds):
        start = max(self.tail, given)
        took = seconds(start) if callable(seconds) else seconds
        self.tail = start + took

    def hold(self, flag, most_s):
        self.world.spend(self.world.launch_s)
        self.flag, self.began, self.most_s = flag, max(self.tail, self.world.now), most_s
        self.pending = []

    def released(self):
        if self.pending is None:
            return
        if self.world.now > self.began + self.most_s:
            np.ndarray.__setitem__(self.flag, 1, 1)
        self.tail = min(max(self.began, self.world.now), self.began + self.most_s)
        pending, self.pending = self.pending, None
        for given, seconds in pending:
            self.do(given, seconds)

    def synchronize(self):
        if self.pending is not None:
            raise AssertionError("a wait while the stream is held")
        self.world.now = max(self.world.now, self.tail) + self.world.wait_s

    def wait_event(self, event):
        self.give(lambda start: max(0.0, (event.time or 0.0) - start), cost=0.0)

    def begin_capture(self):
        self.capture = []

    def end_capture(self):
        work, self.capture = self.capture, None
        return SimpleNamespace(upload=lambda _stream: None, launch=lambda stream: replay(stream, work))


def replay(stream, work):
    def all_of_it(start):
        end = start
        for seconds in work:
            end += seconds(end) if callable(seconds) else seconds
        return end - start

    stream.give(all_of_it)


class Event:
    def __init__(self, world):
        world.take_memory("an event")
        self.world, self.time = world, None

    def record(self, stream):
        def done(start):
            self.time = start
            return 0.0

        stream.give(done, cost=0.0)


class Array(np.ndarray):
    """An array on the device."""

    @property
    def __cuda_array_interface__(self):
        return {"data": (self.ctypes.data, False), "shape": self.shape, "typestr": self.dtype.str, "version": 3}


class Names:
    """What CuPy calls them."""

    def __init__(self, world):
        self.world = world

    def empty(self, shape, dtype):
        self.world.take_memory("memory of the device")
        found = np.zeros(shape, dtype).view(Array)
        return SimpleNamespace(
            data=SimpleNamespace(ptr=found.ctypes.data),
            nbytes=found.nbytes,
            array=found,
            __cuda_array_interface__=found.__cuda_array_interface__,
        )

    def empty_pinned(self, shape, dtype):
        self.world.take_memory("pinned memory")
        return np.zeros(shape, dtype)

    def zeros_pinned(self, shape, dtype):
        flag = self.empty_pinned(shape, dtype).view(Flag)
        flag.world = self.world
        self.world.flags.append(flag)
        return flag

    def spin(self, grid, block, arguments):
        assert grid == block == (1,)
        assert [type(one) for one in arguments] == [np.uint64, np.int64], "CuPy passes them as they are"
        (flag,) = (flag for flag in self.world.flags if flag.ctypes.data == arguments[0])
        self.world.current.hold(flag, arguments[1] * 1e-9)

    def memset(self, pointer, value, size, number):
        stream = self.world.streams[number]

        def flushing(start):
            stream.flushed = size >= L2_BYTES
            return size / 1e12

        stream.give(flushing)

    def memcpy(self, target, source, size, kind, number):
        def moving(start):
            if kind == ON_DEVICE:
                self.world.spans[kind].append((start, start))
                return 0.0
            end = max(start, self.world.link.get(kind, 0.0)) + size / self.world.bandwidth
            self.world.link[kind] = end
            self.world.copies.append((kind, size))
            self.world.spans[kind].append((start, end))
            return end - start

        self.world.streams[number].give(moving)

    def stream(self, *, non_blocking):
        assert non_blocking
        self.world.take_memory("a stream")
        return Stream(self.world, 1 + len(self.world.streams))

    def elapsed(self, first, last):
        if None in (first.time, last.time) or last.time > self.world.now:
            raise DeviceError("cudaErrorNotReady")
        return (last.time - first.time) * 1e3


TO_DEVICE, TO_HOST, ON_DEVICE = 1, 2, 3


def install(monkeypatch, world):
    """Put the simulated device where CuPy would be."""
    cupy, cupyx, names = ModuleType("cupy"), ModuleType("cupyx"), Names(world)
    cupy.empty, cupyx.empty_pinned, cupyx.zeros_pinned = names.empty, names.empty_pinned, names.zeros_pinned
    cupy.RawModule = lambda code: SimpleNamespace(get_function={"hold": names.spin}.__getitem__)
    cupy.cuda = SimpleNamespace(
        ExternalStream=world.streams.__getitem__,
        Stream=names.stream,
        Event=lambda: Event(world),
        Device=lambda: SimpleNamespace(id=0),
        get_elapsed_time=names.elapsed,
        runtime=SimpleNamespace(
            getDeviceProperties=lambda _: {"l2CacheSize": L2_BYTES},
            memsetAsync=names.memset,
            memcpyAsync=names.memcpy,
            memcpyHostToDevice=TO_DEVICE,
            memcpyDeviceToHost=TO_HOST,
            memcpyDeviceToDevice=ON_DEVICE,
        ),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)


class SimulatedKernel(Kernel):
    """A kernel whose times are injected: of the host ``enqueue_s``, of the device ``cold_s`` and ``hot_s``."""

    backend = "simulated"
    device = "cuda"
    returns = "kept"
    capturable = True

    def __init__(self, world, enqueue_s=30e-6, cold_s=50e-6, hot_s=20e-6, launches=6):
        spec = ForwardSpec((2, 3, 2, 2))
        super().__init__(spec, hand_worked())
        self.world, self.enqueue_s, self.cold_s, self.hot_s, self.launches = world, enqueue_s, cold_s, hot_s, launches
        self.own = Stream(world, 1)
        self.calls = 0
        #: By the number of a call: seconds that the host is held up in it.
        self.stalls = {}
        self.y = np.zeros((1, 2), np.float32).view(Array)

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
        return self.forward(x)[0].view(Array)

    def from_host(self, x):
        self.world.take_memory("memory of the device")
        self.own.give(x.nbytes / (self.world.bandwidth / 4))
        self.own.synchronize()
        return np.array(x).view(Array)

    def to_host(self, y):
        self.own.give(y.nbytes / (self.world.bandwidth / 4))
        self.own.synchronize()
        return np.array(y)

    def synchronize(self, y):
        self.own.synchronize()
