"""The timer of a device under a simulated stream and clock: what is injected comes back, what is wrong is dropped."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.machine.card import Card
from mlpbench.bench.record.device import MEASURES, Spread
from mlpbench.bench.wings.gpu import measurement as device
from mlpbench.bench.wings.gpu.measurement import Sampler
from mlpbench.kernels.cuda.queue import Queue
from support import clockwork, fake_cupy

X = np.random.default_rng(0).random((40, 2), np.float32)
FELL = "a clock below that of the first second"
BATCH, ROW = Case("batched", 10), Case("per_sample", 10)


@pytest.fixture
def world(monkeypatch):
    world = clockwork.World()
    fake_cupy.install(monkeypatch, world=world)
    return world


def on_device(kernel, call=None):
    """Return the kernel's queue, and a sample of its time on the device."""
    queue = Queue(kernel.stream())
    queue.make_room(2**20)
    return queue, device.on_device(queue, call or (lambda: kernel.forward(X)), 1, flushed=True)


def sampler(world, throttled=lambda: False, timeout_s=0.3):
    return Sampler(throttled, timeout_s, lambda: world.now)


def of_case(world, kernel, case=BATCH, **options):
    return device.measure_case(kernel, case, X, sampler(world, **options))


def near(seconds):
    return pytest.approx(seconds, rel=0.01)


@pytest.mark.parametrize("case", [BATCH, ROW])
@pytest.mark.parametrize(
    ("enqueue_s", "cold_s", "hot_s"), [(30e-6, 50e-6, 20e-6), (200e-6, 5e-6, 4e-6), (5e-6, 3e-3, 2e-3)]
)
def test_what_is_injected_comes_back(world, case, enqueue_s, cold_s, hot_s):
    """Whichever is longer, the host's time or the device's."""
    kernel = clockwork.SimulatedKernel(world, enqueue_s, cold_s, hot_s)
    found = of_case(world, kernel, case)
    assert not found.lost
    assert list(found.times) == list(MEASURES)
    times = {name: one.seconds["p50"] for name, one in found.times.items()}
    assert times["enqueue"] == near(enqueue_s)
    assert times["cold"] == near(cold_s)
    assert times["hot"] == near(hot_s)
    # The first of six device kernels begins when it has been given; after that either side may be the slower one.
    parts = (enqueue_s / 6 + max(hot_s, 5 / 6 * enqueue_s + hot_s / 6)) + world.wait_s
    assert times["latency"] == near(parts)
    assert times["graph"] == near(world.launch_s + hot_s + world.wait_s)
    assert found.rows == (1 if case is ROW else 10)
    assert found.dropped == 0


def test_spread_comes_back_too(world, monkeypatch):
    """Of samples that differ: the percentiles of what was injected."""
    kernel, random_ = clockwork.SimulatedKernel(world), random.Random(1)
    injected = []

    def jitter():
        injected.append(random_.uniform(40e-6, 60e-6))
        kernel.cold_s = injected[-1]

    forward = kernel.forward
    monkeypatch.setattr(kernel, "forward", lambda x: (jitter(), forward(x))[1])
    (found,) = sampler(world).take(on_device(kernel)[1])
    assert found.samples == len(injected) == device.MOST_SAMPLES
    for percent in (5, 50, 95, 99):
        assert found.seconds[f"p{percent}"] == near(np.percentile(injected, percent))
    assert (found.seconds["min"], found.seconds["max"]) == (near(min(injected)), near(max(injected)))


def test_a_host_that_is_held_up_costs_the_sample_and_one_that_waits_for_its_own_stream_the_measurement(world):
    """Shorter than the hold, the device does not notice; longer, the sample is dropped and counted."""
    kernel = clockwork.SimulatedKernel(world)
    queue, one = on_device(kernel)
    kernel.stalls = {5: device.HOLD_S / 2, 7: 2 * device.HOLD_S, 9: 3 * device.HOLD_S}
    (found,) = sampler(world, timeout_s=10).take(one)
    assert (found.timed_out, found.throttled, found.samples) == (2, 0, device.MOST_SAMPLES)
    assert (found.seconds["min"], found.seconds["max"]) == (near(50e-6), near(50e-6))

    def waits():
        kernel.forward(X)
        world.spend(device.HOLD_S * 1.01)

    (found,) = sampler(world, timeout_s=10).take(device.on_device(queue, waits, 1, flushed=True))
    assert "the call waits" in found


def test_samples_at_a_lowered_clock_are_dropped_and_counted(world, monkeypatch):
    monkeypatch.setattr(device, "GIVE_UP_S", 0.01)
    looks = iter([True, False, True, *[False] * 1000])
    kernel = clockwork.SimulatedKernel(world)
    (found,) = sampler(world, throttled=lambda: next(looks)).take(on_device(kernel)[1])
    assert (found.throttled, found.timed_out, found.samples) == (2, 0, device.MOST_SAMPLES)
    found = of_case(world, kernel, throttled=lambda: True)
    assert not found.times
    assert found.lost["cold"] == "the card's clock was lowered in every sample"
    assert found.lost["latency"] == found.lost["enqueue"]


#: By what happens to a card that could run at 2,000 MHz: its clock, and NVML's reasons for it, second by second.
CLOCKS = {
    "idle at first": lambda at: (300 if at < 0.2 else 1900, 0),
    "locked": lambda at: (740, 0),
    "falling under load": lambda at: (max(1300, 1900 - 200 * at), 0x4),
    "braked for a moment": lambda at: (600, 0x80) if 0.5 < at < 0.6 else (1900, 0),
}


@pytest.mark.parametrize("happens", CLOCKS)
def test_no_clock_costs_a_case_its_device_times(world, happens):
    nvml = SimpleNamespace(NVMLError=RuntimeError, NVML_CLOCK_SM=1)
    nvml.nvmlDeviceGetClockInfo = lambda *_: CLOCKS[happens](world.now)[0]
    nvml.nvmlDeviceGetCurrentClocksThrottleReasons = lambda _: CLOCKS[happens](world.now)[1]
    card = Card(most_mhz=2000, clock=lambda: world.now, _nvml=nvml, _handle="GPU-1")
    kernel = clockwork.SimulatedKernel(world)
    cases = [of_case(world, kernel, throttled=card.is_throttled) for _ in range(3)]
    assert [list(case.times) for case in cases] == [list(MEASURES)] * 3
    assert [case.times["cold"].seconds["p50"] for case in cases] == [near(50e-6)] * 3
    assert bool(sum(case.throttled for case in cases)) == (happens == "braked for a moment")
    told = {"falling under load": ("power cap", FELL), "braked for a moment": ("power brake", FELL)}
    assert card.facts().slowed == told.get(happens, ())


def test_a_queue_of_the_driver_that_is_full_makes_samples_shorter(world, monkeypatch):
    """64 calls of 6 launches do not fit in here; the host then waits until the hold gives up."""
    kernel = clockwork.SimulatedKernel(world)
    forward = kernel.forward

    def waits_for_room(x):
        if len(kernel.own.pending or ()) > 100:
            world.spend(2 * device.HOLD_S)
        return forward(x)

    monkeypatch.setattr(kernel, "forward", waits_for_room)
    found = of_case(world, kernel)
    assert found.times["hot"].seconds["p50"] == near(20e-6)
    assert not found.lost


# When it stops


@pytest.mark.parametrize(("seconds", "samples"), [(1e-6, device.MOST_SAMPLES), (9e-3, 34), (1.0, 1)])
def test_it_stops_when_it_has_enough_samples_or_its_time_is_over(world, seconds, samples):
    (found,) = sampler(world).take(lambda: (world.spend(seconds), (seconds,))[1])
    assert found.samples == samples
    assert world.now < 0.31 + seconds


def test_calls_are_warm_and_memory_is_taken_before_the_samples(world):
    """A first call waits for the device, to load its code: here for longer than a stream is held."""
    kernel = clockwork.SimulatedKernel(world)
    kernel.stalls = {1: 2 * device.HOLD_S}
    found = of_case(world, kernel)
    latency = found.times["latency"]
    assert (found.dropped, latency.seconds["max"]) == (0, near(latency.seconds["min"]))
    samples = device.transfers.samples(kernel, Queue(1, 5), kernel.forward, BATCH, X, lambda: world.now)
    for name, sample in samples:
        before = len(world.taken)
        sample()
        own = len(world.taken) - before
        assert own == (1 if name == "to_device" else 0), f"{name}: the kernel's own `from_host` alone"


def test_an_error_of_a_call_lets_the_stream_go(world):
    def fails():
        raise fake_cupy.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")

    _, one = on_device(clockwork.SimulatedKernel(world), fails)
    with pytest.raises(RuntimeError):
        one()
    assert not world.held


# A whole kernel


def test_all_cases_but_the_books_of_a_kernel_with_a_stream(world, monkeypatch):
    monkeypatch.setattr(device.Sampler, "clock", staticmethod(lambda: world.now))
    contestant = SimpleNamespace(kernel=clockwork.SimulatedKernel(world), inputs=X)
    found = device.measure(contestant, [ROW, Case("book", 1), BATCH], 0.1)
    assert [(one.mode, one.batch_size, one.rows) for one in found.cases] == [("per_sample", 10, 1), ("batched", 10, 10)]
    assert found.card.reason == "the kernel does not say which card it uses"
    assert found.of("batched", 10) is found.cases[1]
    assert found.of("batched", 11) is None
    contestant.kernel.stream = lambda: None
    assert device.measure(contestant, [BATCH], 0.3) is None


def test_what_goes_wrong_is_told_and_what_was_measured_stays(world, monkeypatch):
    kernel = clockwork.SimulatedKernel(world)
    monkeypatch.setattr(Queue, "make_room", lambda *_: (_ for _ in ()).throw(MemoryError("Out of memory")))
    found = of_case(world, kernel)
    assert list(found.times) == ["latency", "enqueue"]
    assert found.lost["cold"] == "Out of memory"
    assert found.times.keys() | found.lost.keys() == MEASURES.keys()


def test_a_kernel_that_cannot_be_captured_has_no_graph(world):
    kernel = clockwork.SimulatedKernel(world)
    kernel.capturable = False
    assert "captured" in of_case(world, kernel).lost["graph"]
    kernel.capturable = True
    kernel.own.begin_capture = lambda: (_ for _ in ()).throw(fake_cupy.CUDARuntimeError("not permitted"))
    found = of_case(world, kernel)
    assert found.lost["graph"] == "not captured: not permitted"
    assert isinstance(found.times["end_to_end"], Spread)
