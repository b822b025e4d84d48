"""A GPU's streams, events, graphs and copies under CuPy's names, in real time or in seconds that nobody waits for.

What a stream is given begins when the stream is free, and takes as long as it says.
"""

import ctypes
import math
import time
import weakref

import numpy as np

#: What the device's second-level cache holds, and CUDA's numbers of the ways of a copy.
L2_BYTES = 2**16
TO_DEVICE, TO_HOST, ON_DEVICE = 1, 2, 3


class CUDARuntimeError(RuntimeError):
    """What CUDA would say."""


class World:
    """One host and one device in real time: what is given to a stream is done at once, and nothing holds a stream."""

    launch_s = wait_s = 0.0
    can_hold = False
    #: Bytes of arrays on the device: the most so far, and the most that there are.
    peak_bytes, most_bytes = 0, math.inf

    def __init__(self):
        self.taken, self.flags, self.streams, self.staged = [], [], [], {}
        self.arrays = weakref.WeakValueDictionary()

    @property
    def now(self):
        """The host's clock in seconds."""
        return time.perf_counter()

    def spend(self, seconds):
        """Let seconds of the host go by."""

    def copy(self, target, source, size, kind, start):
        """Copy bytes between two addresses; return how long it takes from its start on."""
        ctypes.memmove(target, source, size)
        return 0.0

    @property
    def held(self):
        return any(stream.pending is not None for stream in self.streams)

    def on_device(self, array):
        """Return an array of the device, which counts for as long as there is anything of it."""
        self.arrays[id(array)] = array
        self.peak_bytes = max(self.peak_bytes, sum(one.nbytes for one in self.arrays.values()))
        if self.peak_bytes > self.most_bytes:
            raise MemoryError(f"Out of memory allocating {array.nbytes:,} bytes")
        return array

    def take_memory(self, what):
        assert not self.held, f"{what} while the stream is held"
        self.taken.append(what)


def seconds_of(work, start):
    """Return the seconds that work takes which begins at ``start``: a number, or a function that does it."""
    return (work(start) or 0.0) if callable(work) else work


class Stream:
    """A stream that knows what it launched, and how often it was waited for.

    ``tail``: when all that it was given is done; unknown while it is held: what comes then is ``pending``.
    """

    world = current = None

    def __init__(self, *, non_blocking=False):
        self.world.take_memory("a stream")
        self.non_blocking, self.waits, self.launched = non_blocking, 0, []
        self.tail, self.pending, self.flushed, self.graph = 0.0, None, False, None
        self._before = []  # it may be entered within itself
        self.world.streams.append(self)
        self.ptr = len(self.world.streams)

    @staticmethod
    def external(pointer):
        """Return the stream of that number."""
        return Stream.world.streams[pointer - 1]

    @staticmethod
    def from_external(foreign):
        """Return the stream that an object of CUDA's protocol has."""
        version, pointer = foreign.__cuda_stream__()
        assert version == 0
        return Stream.external(pointer)

    def __enter__(self):
        self._before.append(Stream.current)
        Stream.current = self
        return self

    def __exit__(self, *_):
        Stream.current = self._before.pop()

    def give(self, work, cost=None):
        """Give work to the stream; it costs the host ``cost`` seconds, a launch's if it is None."""
        if self.graph is not None:
            self.graph.append(work)
            return
        self.world.spend(self.world.launch_s if cost is None else cost)
        if self.pending is None:
            self._do(self.world.now, work)
        else:
            self.pending.append((self.world.now, work))

    def _do(self, given, work):
        start = max(self.tail, given)
        self.tail = start + seconds_of(work, start)

    def hold(self, flag, most_s):
        """Hold the stream until the host raises ``flag[0]``, at most so long; then ``flag[1]`` is raised."""
        self._flag, self._began, self._most_s = flag, max(self.tail, self.world.now), most_s
        self.pending = []

    def release(self):
        if self.pending is None:
            return
        ends = self._began + self._most_s
        if self.world.now > ends:
            np.ndarray.__setitem__(self._flag, 1, 1)
        self.tail = min(max(self._began, self.world.now), ends)
        pending, self.pending = self.pending, None
        for given, work in pending:
            self._do(given, work)

    def synchronize(self):
        assert self.pending is None, "a wait while the stream is held"
        self.waits += 1
        self.world.spend(max(0.0, self.tail - self.world.now) + self.world.wait_s)

    def wait_event(self, event):
        self.give(lambda start: max(0.0, (event.time or 0.0) - start), cost=0.0)

    def begin_capture(self):
        self.graph = Graph()

    def end_capture(self):
        graph, self.graph = self.graph, None
        return graph


class Graph(list):
    """What a stream was given while it was captured: nothing of it is done before `launch`."""

    uploaded = False

    def upload(self, stream):
        self.uploaded = True

    def launch(self, stream):
        assert self.uploaded

        def whole(start):
            end = start
            for work in self:
                end += seconds_of(work, end)
            return end - start

        stream.launched.append("graph")
        stream.give(whole)


class Event:
    """An event that is over when its stream has done what it was given before."""

    time = None

    def __init__(self):
        Stream.world.take_memory("an event")

    def record(self, stream):
        stream.give(lambda start: setattr(self, "time", start), cost=0.0)

    @staticmethod
    def elapsed(first, last):
        """Return the milliseconds between two events: ``get_elapsed_time``."""
        if None in (first.time, last.time) or last.time > Stream.world.now:
            raise CUDARuntimeError("cudaErrorNotReady")
        return (last.time - first.time) * 1e3


def block(size):
    """Return pinned memory as CuPy's pool has it for so many bytes: a power of two, from 512 on."""
    return np.zeros(1 << max(size - 1, 511).bit_length(), np.uint8)


def empty_pinned(shape, dtype):
    Stream.world.take_memory("pinned memory")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return block(size)[:size].view(dtype).reshape(shape)


class Flag(np.ndarray):
    """Pinned memory that the device sees the host write to: then a stream that waits for it goes on."""

    @classmethod
    def zeros_pinned(cls, shape, dtype):
        Stream.world.flags.append(empty_pinned(shape, dtype).view(cls))
        return Stream.world.flags[-1]

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if self[0]:
            for stream in Stream.world.streams:
                stream.release()


def hold(_grid, _block, arguments):
    """Hold the current stream: the device kernel of `kernels.cuda.queue`."""
    assert [type(number) for number in arguments] == [np.uint64, np.int64], "CuPy passes them as they are"
    if Stream.world.can_hold:
        (flag,) = (flag for flag in Stream.world.flags if flag.ctypes.data == arguments[0])
        Stream.current.hold(flag, arguments[1] * 1e-9)


def memcpy(target, source, size, kind, stream):
    world = Stream.world
    Stream.external(stream).give(lambda start: world.copy(target, source, size, kind, start))


def memset(pointer, value, size, number):
    """Fill the memory at an address; what is large leaves nothing of before in the cache."""
    stream = Stream.external(number)

    def fill(_start):
        ctypes.memset(pointer, value, size)
        stream.flushed = size >= L2_BYTES

    stream.give(fill)


def on_stream(function):
    """Return the function, refusing to run on the default stream."""

    def run(*args, **kwargs):
        assert Stream.current is not None, f"{function.__name__} outside of the kernel's stream"
        assert Stream.current.graph is None, f"{function.__name__} cannot be captured"
        return function(*args, **kwargs)

    return run


def launched(function, name=None):
    """Return the function as a device kernel of a stream, which counts it, or captures it where it has a ``name``."""

    def run(*args, **kwargs):
        stream, called = Stream.current, name or function.__name__
        assert stream is not None, f"{called} outside of the kernel's stream"
        assert stream.graph is None or name is not None, "CuPy refuses cuBLAS under capture"
        if stream.graph is None:
            stream.launched.append(called)
        stream.give(lambda _start: function(*args, **kwargs) and None)

    return run
