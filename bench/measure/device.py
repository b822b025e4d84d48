"""Device time beside host latency, of kernels that name their stream: by events, when all rounds are over.

A call takes the host's time and the device's, and either may be the longer one. `cold` and `hot` are the device's
alone: the stream is held until the host has given it everything, so that no launch is waited for. nvbench measures so
(https://github.com/NVIDIA/nvbench). While the stream is held, nothing here takes memory or waits: both would wait for
the hold to give up. Such a sample is dropped and counted, and so is one that was taken at a lowered clock.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import no_collection, now
from mlpbench.bench.machine.card import Card
from mlpbench.bench.measure import transfers
from mlpbench.bench.measure.case import prepare
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.measure.transfers import Sample
from mlpbench.bench.record.device import MEASURES, PERCENTILES, DeviceCase, DeviceTimes, Lost, Spread
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.cuda.queue import Queue

#: How long a stream is held at most. Giving twelve device kernels to it takes a tenth of a millisecond.
HOLD_S = 0.05
#: Calls before any is timed: libraries load their code at a first call, and then wait for the device.
WARM = 3
#: Calls behind each other in one sample of `hot`: as many as take so long, and so many at most. A driver keeps some
#: thousand launches waiting, and then stops the host.
HOT_S, MOST_HOT = 1e-3, 64
#: p99 needs so many samples (`bench.stats.percentiles`).
OF_LATENCY = 662

#: What a device or its library raises: CUDA's errors are RuntimeErrors.
ERRORS = (ImportError, RuntimeError, MemoryError, TypeError, ValueError)


@dataclass(frozen=True)
class Rule:
    """When a measurement stops: it has enough samples that agree, or all that it may take, or its time is over.

    ``spread``: of the median, as a share of it: the width of the middle half / the median / the root of the samples.
    ``gives_up``: after so many samples in a row that were dropped.
    """

    fewest: int = 30
    most: int = 1000
    least_s: float = 0.01
    spread: float = 0.005
    timeout_s: float = 0.3
    gives_up: int = 10

    def stops(self, kept: Sequence[float], spent_s: float, lost_in_a_row: int, fewest: int) -> str | None:
        """Return the name of the rule that ends a measurement now, None where it goes on."""
        if lost_in_a_row >= self.gives_up:
            return "dropped"
        if len(kept) >= self.most:
            return "samples"
        if spent_s >= self.timeout_s:
            return "timeout"
        if len(kept) < fewest or len(kept) % 10 or sum(kept) < self.least_s:
            return None
        low, middle, high = np.percentile(kept, (25, 50, 75))
        return "spread" if (high - low) / middle / math.sqrt(len(kept)) <= self.spread else None

    @property
    def words(self) -> str:
        """The rule in one sentence."""
        return (
            f"a measurement ends with {self.fewest} samples or more (latency: {OF_LATENCY}) of {self.least_s:g} s in "
            f"all whose median is known within {100 * self.spread:g} %, with {self.most:,} samples, or after "
            f"{self.timeout_s:g} s"
        )


@dataclass(frozen=True)
class Sampler:
    """Takes samples until the rule says stop. ``clock``: the host's seconds; ``is_throttled``: asked after each."""

    rule: Rule
    is_throttled: Callable[[], bool]
    clock: Callable[[], float] = now

    def take(self, one: Sample, fewest: int = 0) -> list[Spread | Lost]:
        """Return what came of each of the measurements that ``one`` samples; the first decides when to stop."""
        kept: list[tuple[float, ...]] = []
        first: list[float] = []
        timed_out = throttled = in_a_row = 0
        stopped = None
        began = self.clock()
        with no_collection():
            while stopped is None:
                found = one()
                in_a_row += 1
                if found is None:
                    timed_out += 1
                elif self.is_throttled():
                    throttled += 1
                else:
                    kept.append(found)
                    first.append(found[0])
                    in_a_row = 0
                stopped = self.rule.stops(first, self.clock() - began, in_a_row, max(fewest, self.rule.fewest))
        if not kept:
            return [Lost(reason=_why_lost(timed_out, throttled), timed_out=timed_out, throttled=throttled)]
        return [spread(one, timed_out, throttled, stopped) for one in zip(*kept, strict=True)]


def _why_lost(timed_out: int, throttled: int) -> str:
    if timed_out >= throttled:
        return f"the device was held for {HOLD_S:g} s and the host was not ready: the call waits, or takes memory"
    return "the card's clock was lowered in every sample"


def spread(samples: Sequence[float], timed_out: int, throttled: int, stopped: str) -> Spread:
    """Return the percentiles of some samples, in seconds."""
    # Events tell half microseconds; of two at the same moment, the time is not known to be none.
    found = np.maximum(samples, 1e-9)
    percentiles = zip(PERCENTILES, np.percentile(found, PERCENTILES).tolist(), strict=True)
    return Spread(
        samples=len(found),
        timed_out=timed_out,
        throttled=throttled,
        stopped=stopped,
        min_s=float(found.min()),
        max_s=float(found.max()),
        **{f"p{percent}_s": value for percent, value in percentiles},
    )


# -- what one sample is


def latency(queue: Queue, call: Callable[[], object], clock: Callable[[], float]) -> Sample:
    """Return a sample of the latency and of the enqueueing of a call."""

    def one() -> tuple[float, float]:
        began = clock()
        call()
        returned = clock()
        queue.wait()
        return clock() - began, returned - began

    return one


def on_device(queue: Queue, call: Callable[[], object], calls: int, *, flushed: bool) -> Sample:
    """Return a sample of the device's time of a call, from ``calls`` behind each other."""

    def one() -> tuple[float] | None:
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

    return one


# -- one case, and all of them


def measure(contestant: Contestant, cases: Sequence[Case], timeout_s: float) -> DeviceTimes | None:
    """Return the device times of a kernel's cases, None where it names no stream. ``timeout_s``: of a measurement."""
    kernel = contestant.kernel
    if kernel.stream() is None:
        return None
    card = Card.of(kernel.describe().device_uuid)
    sampler = Sampler(Rule(timeout_s=min(timeout_s, Rule.timeout_s)), card.is_throttled)
    found = []
    for case in cases:
        if case.mode != "book":
            found.append(of_case(kernel, case, contestant.inputs, sampler))
            card.count_others()
    return DeviceTimes(rule=sampler.rule.words, cases=tuple(found), card=card.facts())


def of_case(kernel: Kernel, case: Case, x: NDArray[Any], sampler: Sampler, *, moves: bool = True) -> DeviceCase:
    """Return what is measured of one case, without ``moves`` no transfers. What goes wrong is told in its own words."""
    rows = 1 if case.mode == "per_sample" else case.batch_size
    times: dict[str, Spread] = {}
    lost: dict[str, Lost] = {}
    try:
        for name, found in _measured(kernel, Case(case.mode, rows), x, sampler, moves=moves):
            if isinstance(found, Spread):
                times[name] = found
            else:
                lost[name] = found
    except ERRORS as error:  # the device is lost, or its memory: what was measured before stays
        reason = " ".join(str(error).split()) or type(error).__name__
        lost |= {name: Lost(reason=reason) for name in MEASURES if name not in times and name not in lost}
    return DeviceCase(mode=case.mode, batch_size=case.batch_size, rows=rows, times=times, lost=lost)


def _measured(
    kernel: Kernel, case: Case, x: NDArray[Any], sampler: Sampler, *, moves: bool
) -> Iterator[tuple[str, Spread | Lost]]:
    queue = Queue(int(kernel.stream() or 0), events=2 + transfers.DEPTH)
    call, inputs = _calls(kernel, case, x)
    first, take = inputs[0], cycle(inputs).__next__
    for _ in range(WARM):
        queue.hold(HOLD_S)
        queue.release()
        call(take())
        queue.wait()
    found = sampler.take(latency(queue, lambda: call(take()), sampler.clock), OF_LATENCY)
    yield from zip(("latency", "enqueue"), found * 2, strict=False)  # one reason is that of both
    footprint = kernel.spec.weight_bytes() + kernel.spec.input_bytes(case.batch_size)
    queue.make_room(max(queue.l2_bytes, 2 * footprint))
    queue.flush()
    queue.wait()
    (cold,) = sampler.take(on_device(queue, lambda: call(take()), 1, flushed=True))
    yield "cold", cold
    one_s = cold.p50_s if isinstance(cold, Spread) else HOT_S
    calls = min(MOST_HOT, max(1, math.ceil(HOT_S / one_s)))
    yield "hot", sampler.take(on_device(queue, lambda: call(first), calls, flushed=False))[0]
    yield "graph", _graph(queue, kernel, lambda: call(first), sampler)
    for name, sample in transfers.samples(kernel, queue, call, case, x, sampler.clock) if moves else ():
        yield name, sampler.take(sample)[0]


def _calls(kernel: Kernel, case: Case, x: NDArray[Any]) -> tuple[Callable[[Any], Any], list[Any]]:
    """Return the call of a case without its wait, and the inputs that it takes."""
    prepared = prepare(kernel, case, x)
    if case.mode == "per_sample":
        return kernel.forward_one, [row for batch in prepared.batches for row in batch]
    return kernel.forward, list(prepared.batches)


def _graph(queue: Queue, kernel: Kernel, call: Callable[[], object], sampler: Sampler) -> Spread | Lost:
    """Return the latency of a replay. It is captured once: the replays read the same inputs."""
    if not kernel.capturable:
        return Lost(reason="the kernel does not say that its calls can be captured")
    try:
        replay = queue.captured(call)
    except ERRORS as error:
        return Lost(reason=f"not captured: {' '.join(str(error).split())}")
    replay()
    queue.wait()
    return sampler.take(latency(queue, replay, sampler.clock))[0]
