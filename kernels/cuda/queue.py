"""A CUDA stream as a clock needs it, through CuPy: events, a held stream, a flushed cache, graphs, pinned copies.

Nothing here looks at a clock of the host. Memory is taken in `Queue.make_room` and `Queue.pinned`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: One thread spins until the host raises ``flag[0]``: what is given to the stream meanwhile waits behind it, and then
#: follows without a gap. A host that is held up, or waits for this very stream, must not wait for ever: after
#: ``most_ns`` the thread gives up and says so in ``flag[1]``.
SOURCE = r"""
extern "C" __global__ void hold(volatile int* flag, long long most_ns) {
    long long began, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(began));
    do {
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    } while (flag[0] == 0 && now - began < most_ns);
    if (flag[0] == 0) flag[1] = 1;
}
"""


def captured(stream: Any, call: Callable[[], object]) -> Any:
    """Return what a call gives to CuPy's ``stream`` as a `cupy.cuda.Graph`, ready on the device: nothing is computed.

    Raises RuntimeError (CUDA's errors are such) where it cannot be captured.
    """
    with stream:
        stream.begin_capture()
        try:
            call()
        except BaseException:
            with suppress(RuntimeError):  # the capture is lost already, and why is raised below
                stream.end_capture()
            raise
        graph = stream.end_capture()
    graph.upload(stream)
    stream.synchronize()
    return graph


class _Numbered:
    """A stream as CUDA's protocol for streams shows it to other libraries."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __cuda_stream__(self) -> tuple[int, int]:
        """Return the version of the protocol, and the stream's number."""
        return 0, self._number


class Queue:
    """One stream by its number (``cudaStream_t``). Events are numbered from 0, and used again.

    Raises ImportError without CuPy, RuntimeError (CUDA's errors are such) where the device is not there.
    """

    def __init__(self, stream: int, events: int = 2) -> None:
        import cupy
        import cupyx

        self._cupy, self._cupyx = cupy, cupyx
        self._stream = cupy.cuda.Stream.from_external(_Numbered(stream))
        self._events = [cupy.cuda.Event() for _ in range(events)]
        properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        self.l2_bytes = int(properties.get("l2CacheSize", 0))
        self._flag = cupyx.zeros_pinned((2,), np.int32)  # the device reads it at the host's own address
        self._spin = cupy.RawModule(code=SOURCE).get_function("hold")
        self._room: Any = None

    # -- time

    def mark(self, event: int) -> None:
        """Have the device note when it has done all that the stream was given so far."""
        self._events[event].record(self._stream)

    def wait(self) -> None:
        """Wait for the stream."""
        self._stream.synchronize()

    def after(self, other: Queue, event: int) -> None:
        """Let what comes next begin only when the other stream has come to its event."""
        self._stream.wait_event(other._events[event])

    def between_s(self, first: int, last: int) -> float:
        """Return the seconds on the device between two events that have been waited for."""
        milliseconds: float = self._cupy.cuda.get_elapsed_time(self._events[first], self._events[last])
        return milliseconds * 1e-3

    # -- a stream that is held

    def hold(self, most_s: float) -> None:
        """Hold the stream until `release`, at most so long."""
        self._flag[:] = 0
        with self._stream:
            self._spin((1,), (1,), (np.uint64(self._flag.ctypes.data), np.int64(most_s * 1e9)))

    def release(self) -> None:
        """Let the stream go on."""
        self._flag[0] = 1

    @property
    def gave_up(self) -> bool:
        """Whether the last hold ended by itself: what came behind it may have had gaps. Asked after `wait`."""
        return bool(self._flag[1])

    # -- what stands around a call

    def make_room(self, n_bytes: int) -> None:
        """Take the memory that `flush` writes to. Raises MemoryError where the device has not so much."""
        with self._stream:
            self._room = self._cupy.empty((max(n_bytes, 1),), np.uint8)

    def flush(self) -> None:
        """Write to so much memory that nothing of before is left in the device's cache."""
        self._cupy.cuda.runtime.memsetAsync(self._room.data.ptr, 0, self._room.nbytes, self._stream.ptr)

    def captured(self, call: Callable[[], object]) -> Callable[[], None]:
        """Return what replays a call as a CUDA graph. Raises RuntimeError where it cannot be captured."""
        graph = captured(self._stream, call)

        def replay() -> None:
            graph.launch(self._stream)

        return replay

    # -- copies

    def pinned(self, n_bytes: int) -> NDArray[np.uint8]:
        """Return memory of the host that the device copies from and to by itself."""
        memory: NDArray[np.uint8] = self._cupyx.empty_pinned((max(n_bytes, 1),), np.uint8)
        return memory

    def room(self, n_bytes: int) -> Any:
        """Return an array of so many bytes on the device."""
        with self._stream:
            return self._cupy.empty((max(n_bytes, 1),), np.uint8)

    def copy(self, target: int, source: int, n_bytes: int, way: str) -> None:
        """Give a copy to the stream, between two addresses: ``way`` is "to device", "to host" or "on device"."""
        runtime = self._cupy.cuda.runtime
        kinds = {
            "to device": runtime.memcpyHostToDevice,
            "to host": runtime.memcpyDeviceToHost,
            "on device": runtime.memcpyDeviceToDevice,
        }
        runtime.memcpyAsync(target, source, n_bytes, kinds[way], self._stream.ptr)

    def beside(self, events: int) -> Queue:
        """Return another stream on the same device, with so many events."""
        stream = self._cupy.cuda.Stream(non_blocking=True)
        queue = Queue(stream.ptr, events)
        queue._owner = stream
        return queue

    _owner: Any = None


def address(array: Any) -> tuple[int, int]:
    """Return where an array of a device begins, and its bytes. Raises TypeError where it does not tell (CUDA's way)."""
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is None:
        raise TypeError(f"{type(array).__name__} does not say where on the device it lies (__cuda_array_interface__)")
    return int(interface["data"][0]), int(np.prod(interface["shape"], dtype=np.int64)) * np.dtype(
        interface["typestr"]
    ).itemsize
