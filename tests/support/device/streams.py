"""Streams of the stand-in for CuPy: who is the current one, what it was given, waits, events and graphs."""

import ctypes
import time


class Stream:
    """A stream that knows whether it is the current one, and how often it was waited for."""

    current = None
    made: list["Stream"] = []  # noqa: RUF012 - reset by `install`

    def __init__(self, *, non_blocking=False):
        self.non_blocking = non_blocking
        self.waits = 0
        self._before = []  # it may be entered within itself
        self.graph = None
        self.launched = []
        self.ptr = 1000 + len(Stream.made)
        Stream.made.append(self)

    def __enter__(self):
        self._before.append(Stream.current)
        Stream.current = self
        return self

    def __exit__(self, *_):
        Stream.current = self._before.pop()

    def synchronize(self):
        self.waits += 1

    def wait_event(self, event):
        assert isinstance(event, Event)

    def begin_capture(self):
        self.graph = Graph()

    def end_capture(self):
        found, self.graph = self.graph, None
        return found

    @staticmethod
    def external(pointer):
        """Return the stream of that number: ``ExternalStream``."""
        return next(stream for stream in Stream.made if stream.ptr == pointer)


class Graph:
    """What a stream was given while it was captured: nothing of it is done before `launch`."""

    def __init__(self):
        self.calls = []
        self.uploaded = False

    def upload(self, stream):
        self.uploaded = True

    def launch(self, stream):
        assert self.uploaded
        stream.launched.append("graph")
        for call in self.calls:
            call()


class Event:
    """An event that is over when it is recorded: here everything is done when it is given to a stream."""

    def record(self, stream):
        assert isinstance(stream, Stream)
        self.s = time.perf_counter()


def memcpy(target, source, size, kind, stream):
    """Copy between two addresses, on a stream that is there."""
    Stream.external(stream)
    ctypes.memmove(target, source, size)


def memset(pointer, value, size, stream):
    """Fill the memory at an address."""
    Stream.external(stream)
    ctypes.memset(pointer, value, size)


def on_stream(function):
    """Return the function, refusing to run on the default stream."""

    def run(*args, **kwargs):
        assert Stream.current is not None, f"{function.__name__} outside of the kernel's stream"
        assert Stream.current.graph is None, f"{function.__name__} cannot be captured"
        return function(*args, **kwargs)

    return run


def launched(function, name=None):
    """Return the function as a device kernel of a stream, which counts it, or captures it."""

    def run(*args, **kwargs):
        stream = Stream.current
        assert stream is not None, f"{name or function.__name__} outside of the kernel's stream"
        if stream.graph is not None:
            assert name is not None, "CuPy refuses cuBLAS under capture"
            stream.graph.calls.append(lambda: function(*args, **kwargs))
            return None
        stream.launched.append(name or function.__name__)
        return function(*args, **kwargs)

    return run
