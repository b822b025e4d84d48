"""Moving inputs and results between host and device: as the kernel does, pinned, as bytes, end to end, overlapped."""

from collections.abc import Callable, Iterator
from typing import Any

from numpy.typing import NDArray

from mlpbench.bench.cases import Case
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.cuda.queue import Queue, address

#: Batches that are on their way at once: one is copied there, one computed, one copied back.
DEPTH = 3
#: Batches of one overlapped sample: the first and the last overlap with nothing. Fewer where they take so long.
BATCHES, FEWEST, SAMPLE_S = 24, 9, 0.3

Call = Callable[[Any], Any]
#: One sample of one or several measurements, in seconds; None where a hold of the device gave up.
Sample = Callable[[], tuple[float, ...] | None]


def samples(
    kernel: Kernel, queue: Queue, call: Call, case: Case, x: NDArray[Any], clock: Callable[[], float]
) -> Iterator[tuple[str, Sample]]:
    """Yield each measurement, by the names of `bench.record.device.MEASURES`, and its sample, of what one call takes.

    ``queue``: the kernel's stream; its events from 2 on are free. Raises TypeError for arrays that hide where they lie.
    """
    host = x[0] if case.mode == "per_sample" else x[: case.batch_size]
    there = kernel.from_host(host)
    y = call(there)
    queue.wait()
    inputs, outputs = address(there), address(y)
    pinned_in, pinned_out = queue.pinned(inputs[1]), queue.pinned(outputs[1])
    # Whatever a kernel's inputs look like on the device, the pinned ones hold the same.
    queue.copy(pinned_in.ctypes.data, inputs[0], inputs[1], "to host")
    queue.wait()

    def waited(step: Callable[[], object]) -> Sample:
        def sample() -> tuple[float]:
            began = clock()
            step()
            queue.wait()
            return (clock() - began,)

        return sample

    def copied(target: int, source: int, n_bytes: int, way: str) -> Sample:
        return waited(lambda: queue.copy(target, source, n_bytes, way))

    def from_end_to_end() -> None:
        queue.copy(inputs[0], pinned_in.ctypes.data, inputs[1], "to device")
        result = call(there)
        queue.copy(pinned_out.ctypes.data, _place(kernel, result, outputs), outputs[1], "to host")

    yield "to_device", waited(lambda: kernel.from_host(host))
    yield "to_device_pinned", copied(inputs[0], pinned_in.ctypes.data, inputs[1], "to device")
    yield "to_device_uint8", copied(inputs[0], pinned_in.ctypes.data, min(host.size, inputs[1]), "to device")
    queue.copy(inputs[0], pinned_in.ctypes.data, inputs[1], "to device")
    yield "to_host", waited(lambda: kernel.to_host(y))
    yield "to_host_pinned", copied(pinned_out.ctypes.data, outputs[0], outputs[1], "to host")
    yield "to_host_uint8", copied(pinned_out.ctypes.data, outputs[0], case.batch_size, "to host")
    yield "end_to_end", waited(from_end_to_end)
    (once_s,) = waited(from_end_to_end)() or (0.0,)
    batches = BATCHES if once_s * BATCHES <= SAMPLE_S else FEWEST
    slots = [there, *(kernel.from_host(host) for _ in range(DEPTH - 1))]
    yield "overlapped", overlapped(kernel, queue, call, slots, pinned_in.ctypes.data, clock, batches)


def _place(kernel: Kernel, result: Any, known: tuple[int, int]) -> int:
    """Return where a result lies; asking takes microseconds."""
    return known[0] if kernel.returns == "kept" else address(result)[0]


def overlapped(
    kernel: Kernel,
    queue: Queue,
    call: Call,
    slots: list[Any],
    source: int,
    clock: Callable[[], float],
    batches: int,
) -> Sample:
    """Return a sample of the seconds for one of so many ``batches``: copies there, calls and copies back overlap.

    ``slots``: `DEPTH` inputs on the device, filled from ``source``. Results first move on the device, as the next call
    may use a kernel's buffer again.
    """
    inputs, known = [address(slot) for slot in slots], address(call(slots[0]))
    queue.wait()
    coming, leaving = queue.beside(DEPTH), queue.beside(DEPTH)
    taken, rooms = [queue.pinned(known[1]) for _ in slots], [queue.room(known[1]) for _ in slots]
    kept = [address(room)[0] for room in rooms]

    def sample() -> tuple[float]:
        began = clock()
        for number in range(batches):
            slot = number % len(rooms)
            computed = 2 + slot
            coming.after(queue, computed)  # the call before on these inputs
            coming.copy(inputs[slot][0], source, inputs[slot][1], "to device")
            coming.mark(slot)
            queue.after(coming, slot)
            result = call(slots[slot])
            queue.after(leaving, slot)  # the copy before of this result
            queue.copy(kept[slot], _place(kernel, result, known), known[1], "on device")
            queue.mark(computed)
            leaving.after(queue, computed)
            leaving.copy(taken[slot].ctypes.data, kept[slot], known[1], "to host")
            leaving.mark(slot)
        leaving.wait()
        return ((clock() - began) / batches,)

    return sample
