"""Device time beside host latency, of kernels that name their stream: by events, when all rounds are over.

`cold` and `hot` are the device's alone: as nvbench does (https://github.com/NVIDIA/nvbench), the stream is held until
the host has given it everything. What waits meanwhile makes the hold give up: such a sample is dropped and counted, as
is one at a lowered clock. Transfers are the kernel's own, pinned, and as bytes; batches end to end, and overlapped.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import no_collection, now
from mlpbench.bench.machine.card import Card
from mlpbench.bench.measure.case import Contestant, prepare
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record.device import MEASURES, QUANTILES, DeviceCase, DeviceTimes, Spread
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.cuda.queue import Queue, address

#: How long a stream is held at most. Giving twelve device kernels to it takes a tenth of a millisecond.
HOLD_S = 0.05
#: A measurement ends with so many samples, which a p99 needs, or after so long; where none was kept, after longer.
MOST_SAMPLES, TIMEOUT_S, GIVE_UP_S = 700, 0.2, 1.0
#: Calls before the first sample of a case: a card that was idle takes as long to raise its clock.
WARM_S = 0.3
#: How often the card is asked for its clock: an answer may take a millisecond. After a bad one, at each sample.
ASK_S = 0.005
#: Calls behind each other in one sample of `hot` take so long, and are so many at most: a driver's queue has an end.
HOT_S, MOST_HOT = 1e-3, 64
#: What a device or its library raises: CUDA's errors are RuntimeErrors.
ERRORS = (ImportError, RuntimeError, MemoryError, TypeError, ValueError)
#: Batches that are on their way at once: one is copied there, one computed, one copied back.
DEPTH = 3
#: Batches of one overlapped sample: the first and the last overlap with nothing. Fewer where they take so long.
BATCHES, FEWEST, SAMPLE_S = 24, 9, 0.3

Call = Callable[[Any], Any]
#: One sample of one or several measurements, in seconds; None where a hold of the device gave up.
Sample = Callable[[], tuple[float, ...] | None]


@dataclass(frozen=True)
class Sampler:
    """Takes samples of a measurement. ``is_throttled``: asked meanwhile; ``clock``: the host's seconds."""

    is_throttled: Callable[[], bool]
    timeout_s: float = TIMEOUT_S
    clock: Callable[[], float] = now

    def take(self, sample: Sample) -> list[Spread | str]:
        """Return each of the measurements that ``sample`` makes: its percentiles, or why none was left."""
        kept: list[tuple[float, ...]] = []
        timed_out = throttled = 0
        began, asked, is_low = self.clock(), -math.inf, False
        with no_collection():
            while True:
                seconds = sample()
                if is_low or self.clock() - asked >= ASK_S:
                    asked, is_low = self.clock(), self.is_throttled()
                if seconds is None:
                    timed_out += 1
                elif is_low:
                    throttled += 1
                else:
                    kept.append(seconds)
                if len(kept) >= MOST_SAMPLES or self.clock() - began >= (self.timeout_s if kept else GIVE_UP_S):
                    break
        if kept:
            return [spread(seconds, timed_out, throttled) for seconds in zip(*kept, strict=True)]
        reason = "the card's clock was lowered in every sample"
        if timed_out >= throttled:
            reason = f"the device was held for {HOLD_S:g} s and the host was not ready: the call waits, or takes memory"
        return [reason]


def spread(samples: Sequence[float], timed_out: int, throttled: int) -> Spread:
    """Return the percentiles of some samples, in seconds."""
    # Events tell half microseconds; of two at the same moment, the time is not known to be none.
    seconds = np.maximum(samples, 1e-9)
    quantiles = np.percentile(seconds, list(QUANTILES.values())).tolist()
    return Spread(
        samples=len(seconds),
        timed_out=timed_out,
        throttled=throttled,
        seconds=dict(zip(QUANTILES, quantiles, strict=True)),
    )


# -- what one sample is


def latency(queue: Queue, call: Callable[[], object], clock: Callable[[], float]) -> Callable[[], tuple[float, float]]:
    """Return a sample of the latency and of the enqueueing of a call."""

    def sample() -> tuple[float, float]:
        began = clock()
        call()
        returned = clock()
        queue.wait()
        return clock() - began, returned - began

    return sample


def on_device(queue: Queue, call: Callable[[], object], calls: int, *, flushed: bool) -> Sample:
    """Return a sample of the device's time of a call, from ``calls`` behind each other."""

    def sample() -> tuple[float] | None:
        if flushed:
            queue.flush()
        queue.hold(HOLD_S)
        try:
            queue.mark(0)
            for _ in range(calls):
                call()
            queue.mark(1)
        finally:
            queue.release()
        queue.wait()
        return None if queue.gave_up else (queue.between_s(0, 1) / calls,)

    return sample


# -- one case, and all of them


def of_kernel(suite: Suite, contestant: Contestant, option: Callable[[str], Any]) -> dict[str, Any]:
    """Return the field ``device_times`` of the record, with the times of a kernel's cases if it names its stream."""
    kernel, measured = contestant.kernel, []
    if kernel.stream() is None:
        return {}
    card = Card.of(kernel.describe().device_uuid)
    sampler = Sampler(card.is_throttled, min(float(option("benchmark_max_time")), TIMEOUT_S))
    for case in suite.cases:
        if case.mode != "book":
            measured.append(measure_case(kernel, case, contestant.inputs, sampler))
            card.count_others()
    return {"device_times": DeviceTimes(cases=tuple(measured), card=card.facts())}


def measure_case(kernel: Kernel, case: Case, x: NDArray[Any], sampler: Sampler, *, moves: bool = True) -> DeviceCase:
    """Return what is measured of one case, without ``moves`` no transfers, or what goes wrong in its own words."""
    rows = 1 if case.mode == "per_sample" else case.batch_size
    times: dict[str, Spread] = {}
    lost: dict[str, str] = {}
    try:
        for name, measured in _measured(kernel, Case(case.mode, rows), x, sampler, moves=moves):
            if isinstance(measured, Spread):
                times[name] = measured
            else:
                lost[name] = measured
    except ERRORS as error:  # the device is lost, or its memory: what was measured before stays
        reason = " ".join(str(error).split()) or type(error).__name__
        lost |= {name: reason for name in MEASURES if name not in times and name not in lost}
    return DeviceCase(mode=case.mode, batch_size=case.batch_size, times=times, lost=lost)


def _measured(
    kernel: Kernel, case: Case, x: NDArray[Any], sampler: Sampler, *, moves: bool
) -> Iterator[tuple[str, Spread | str]]:
    queue = Queue(int(kernel.stream() or 0), events=2 + DEPTH)
    batches = prepare(kernel, case, x).batches
    single = case.mode == "per_sample"
    forward = kernel.forward_one if single else kernel.forward
    inputs = [row for batch in batches for row in batch] if single else list(batches)
    first, take = inputs[0], cycle(inputs).__next__
    queue.hold(HOLD_S)
    queue.release()
    began = sampler.clock()
    while sampler.clock() - began < WARM_S:  # a first call loads a library's code, and waits for the device
        forward(take())
        queue.wait()
    of_host = sampler.take(latency(queue, lambda: forward(take()), sampler.clock))
    yield from zip(("latency", "enqueue"), of_host * 2, strict=False)  # one reason is that of both
    footprint = kernel.spec.weight_bytes() + kernel.spec.input_bytes(case.batch_size)
    # Twice, for a cache of two halves; a batch of more than four caches leaves nothing of the one before.
    queue.make_room(min(2 * max(queue.l2_bytes, footprint), 4 * queue.l2_bytes))
    queue.flush()
    queue.wait()
    (cold,) = sampler.take(on_device(queue, lambda: forward(take()), 1, flushed=True))
    yield "cold", cold
    cold_s = cold.seconds["p50"] if isinstance(cold, Spread) else HOT_S
    calls = min(MOST_HOT, max(1, math.ceil(HOT_S / cold_s)))
    (hot,) = sampler.take(on_device(queue, lambda: forward(first), calls, flushed=False))
    while isinstance(hot, str) and queue.gave_up and calls > 1:  # a driver's queue may be full before a deep network is
        calls = math.ceil(calls / 4)
        (hot,) = sampler.take(on_device(queue, lambda: forward(first), calls, flushed=False))
    yield "hot", hot
    yield "graph", _graph(queue, kernel, lambda: forward(first), sampler)
    for name, sample in transfers(kernel, queue, forward, first, case, x, sampler.clock) if moves else ():
        yield name, sampler.take(sample)[0]


def _graph(queue: Queue, kernel: Kernel, call: Callable[[], object], sampler: Sampler) -> Spread | str:
    """Return the latency of a replay. It is captured once: the replays read the same inputs."""
    if not kernel.capturable:
        return "the kernel does not say that its calls can be captured"
    try:
        replay = queue.captured(call)
    except ERRORS as error:
        return f"not captured: {' '.join(str(error).split())}"
    replay()
    queue.wait()
    return sampler.take(latency(queue, replay, sampler.clock))[0]


# -- transfers


def transfers(
    kernel: Kernel, queue: Queue, call: Call, there: Any, case: Case, x: NDArray[Any], clock: Callable[[], float]
) -> Iterator[tuple[str, Sample]]:
    """Yield each measurement, by the names of `bench.record.device.MEASURES`, and its sample, of what one call takes.

    ``there``: the first inputs of ``x`` on the device. ``queue``: the kernel's stream; its events from 2 on are free.
    Raises TypeError for arrays that hide where they lie.
    """
    host, timed = x[0] if case.mode == "per_sample" else x[: case.batch_size], partial(latency, queue, clock=clock)
    y = call(there)
    queue.wait()
    inputs, outputs = address(there), address(y)
    pinned_in, pinned_out = queue.pinned(inputs[1]), queue.pinned(outputs[1])
    # Whatever a kernel's inputs look like on the device, the pinned ones hold the same.
    queue.copy(pinned_in.ctypes.data, inputs[0], inputs[1], "to host")
    queue.wait()

    def copied(target: int, source: int, n_bytes: int, way: str) -> Sample:
        return timed(lambda: queue.copy(target, source, n_bytes, way))

    def from_end_to_end() -> None:
        queue.copy(inputs[0], pinned_in.ctypes.data, inputs[1], "to device")
        result = call(there)
        queue.copy(pinned_out.ctypes.data, _place(kernel, result, outputs), outputs[1], "to host")

    yield "to_device", timed(lambda: kernel.from_host(host))
    yield "to_device_pinned", copied(inputs[0], pinned_in.ctypes.data, inputs[1], "to device")
    yield "to_device_uint8", copied(inputs[0], pinned_in.ctypes.data, min(host.size, inputs[1]), "to device")
    queue.copy(inputs[0], pinned_in.ctypes.data, inputs[1], "to device")
    yield "to_host", timed(lambda: kernel.to_host(y))
    yield "to_host_pinned", copied(pinned_out.ctypes.data, outputs[0], outputs[1], "to host")
    yield "to_host_uint8", copied(pinned_out.ctypes.data, outputs[0], case.batch_size, "to host")
    yield "end_to_end", timed(from_end_to_end)
    once_s, _ = timed(from_end_to_end)()
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
