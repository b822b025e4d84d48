"""The timer of a device, and transfers, under a simulated stream and clock: what is injected comes back."""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.record.device import MEASURES
from mlpbench.bench.wings.gpu import measurement as device
from mlpbench.bench.wings.gpu.measurement import Sampler
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.cuda.queue import Queue, address
from mlpbench.kernels.params import hand_worked
from mlpbench.kernels.spec import ForwardSpec
from support import fake_cupy, streams
from support.fake_cupy import DeviceArray
from support.streams import L2_BYTES, ON_DEVICE, TO_DEVICE, TO_HOST, Stream
from support.terminal import refusal

X = np.random.default_rng(0).random((40, 2), np.float32)
BATCH, ROW = Case("batched", 10), Case("per_sample", 10)


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


@pytest.fixture
def world(monkeypatch):
    world = World()
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
    kernel = SimulatedKernel(world, enqueue_s, cold_s, hot_s)
    found = of_case(world, kernel, case)
    assert not found.lost
    assert list(found.times) == list(MEASURES)
    times = {name: one.seconds["p50"] for name, one in found.times.items()}
    assert [times[name] for name in ("enqueue", "cold", "hot")] == near([enqueue_s, cold_s, hot_s])
    # The first of six device kernels begins when it has been given; after that either side may be the slower one.
    assert times["latency"] == near(enqueue_s / 6 + max(hot_s, 5 / 6 * enqueue_s + hot_s / 6) + world.wait_s)
    assert times["graph"] == near(world.launch_s + hot_s + world.wait_s)
    assert (found.rows, found.dropped) == (1 if case is ROW else 10, 0)


def test_a_spread_has_the_percentiles_of_its_samples():
    found = device.spread(np.arange(101) * 1e-6, 1, 2)
    assert (found.samples, found.timed_out, found.throttled) == (101, 1, 2)
    assert [found.seconds[name] for name in ("p5", "p50", "p99", "max")] == near([5e-6, 5e-5, 99e-6, 1e-4])


def test_a_host_that_is_held_up_costs_the_sample_and_one_that_waits_for_its_own_stream_the_measurement(world):
    """Shorter than the hold, the device does not notice; longer, the sample is dropped and counted."""
    kernel = SimulatedKernel(world)
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
    kernel = SimulatedKernel(world)
    (found,) = sampler(world, throttled=lambda: next(looks)).take(on_device(kernel)[1])
    assert (found.throttled, found.timed_out, found.samples) == (2, 0, device.MOST_SAMPLES)
    found = of_case(world, kernel, throttled=lambda: True)
    assert not found.times
    assert found.lost["cold"] == "the card's clock was lowered in every sample"
    assert found.lost["latency"] == found.lost["enqueue"]


def test_a_queue_of_the_driver_that_is_full_makes_samples_shorter(world, monkeypatch):
    """64 calls of 6 launches do not fit in here; the host then waits until the hold gives up."""
    kernel = SimulatedKernel(world)
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
    kernel = SimulatedKernel(world)
    kernel.stalls = {1: 2 * device.HOLD_S}
    found = of_case(world, kernel)
    latency = found.times["latency"]
    assert (found.dropped, latency.seconds["max"]) == (0, near(latency.seconds["min"]))
    there = kernel.from_host(X[:10])
    samples = device.transfers(kernel, Queue(1, 5), kernel.forward, there, BATCH, X, lambda: world.now)
    for name, sample in samples:
        before = len(world.taken)
        sample()
        own = len(world.taken) - before
        assert own == (1 if name == "to_device" else 0), f"{name}: the kernel's own `from_host` alone"


def test_an_error_of_a_call_lets_the_stream_go(world):
    error = fake_cupy.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
    _, one = on_device(SimulatedKernel(world), lambda: (_ for _ in ()).throw(error))
    assert refusal(one, kind=RuntimeError) == str(error)
    assert not world.held


# A whole kernel


def test_all_cases_but_the_books_of_a_kernel_with_a_stream(world, monkeypatch):
    monkeypatch.setattr(device.Sampler, "clock", staticmethod(lambda: world.now))
    contestant = SimpleNamespace(kernel=SimulatedKernel(world), inputs=X)
    asked = SimpleNamespace(cases=[ROW, Case("book", 1), BATCH]), contestant, {"benchmark_max_time": "0.1"}.get
    found = device.of_kernel(*asked)["device_times"]
    assert [(one.mode, one.batch_size, one.rows) for one in found.cases] == [("per_sample", 10, 1), ("batched", 10, 10)]
    assert found.card.reason == "the kernel does not say which card it uses"
    contestant.kernel.stream = lambda: None
    assert device.of_kernel(*asked) == {}


def test_what_goes_wrong_is_told_and_what_was_measured_stays(world):
    kernel = SimulatedKernel(world)
    kernel.capturable = False
    assert "captured" in of_case(world, kernel).lost["graph"]
    kernel.capturable = True
    kernel.own.begin_capture = lambda: (_ for _ in ()).throw(fake_cupy.CUDARuntimeError("not permitted"))
    found = of_case(world, kernel)
    assert (found.lost["graph"], "end_to_end" in found.times) == ("not captured: not permitted", True)
    world.most_bytes = 1000
    found = of_case(world, kernel)
    assert list(found.times) == ["latency", "enqueue"]
    lost = f"Out of memory allocating {2 * L2_BYTES:,} bytes"
    assert found.lost == {name: lost for name in MEASURES if name not in found.times}


# Transfers: each way by its bytes, and three streams that overlap

ROWS = 50_000
MANY = np.zeros((ROWS, 2), np.float32)
IN, OUT = MANY.nbytes, 8
ALL = Case("batched", ROWS)


@pytest.fixture
def light(monkeypatch):
    """A host whose launches and waits take nearly nothing."""
    world = World(launch_s=1e-7, wait_s=1e-7)
    fake_cupy.install(monkeypatch, world=world)
    return world


def seconds(light, kernel, case=ALL):
    single = case.mode == "per_sample"
    call, there = (kernel.forward_one if single else kernel.forward), kernel.from_host(MANY[0] if single else MANY)
    found = device.transfers(kernel, Queue(1, 2 + device.DEPTH), call, there, case, MANY, lambda: light.now)
    return {name: sample()[0] for name, sample in found}


def test_each_way_takes_what_its_bytes_take(light):
    kernel = SimulatedKernel(light, enqueue_s=1e-6, cold_s=1e-5, hot_s=1e-5)
    found = seconds(light, kernel)
    near = lambda s: pytest.approx(s, rel=0.03)  # noqa: E731
    assert found["to_device"] == near(4 * IN / light.bandwidth), "the kernel's own way is slower here"
    assert found["to_device_pinned"] == near(IN / light.bandwidth)
    assert found["to_device_uint8"] == near(IN / 4 / light.bandwidth)
    assert found["end_to_end"] == near(IN / light.bandwidth + 1e-5)
    assert {size for kind, size in light.copies if kind == 1} == {IN, IN // 4}
    assert {size for kind, size in light.copies if kind == 2} >= {OUT}


@pytest.mark.parametrize("device_s", [1e-5, 4e-5, 1e-3])
def test_copies_and_calls_overlap(light, device_s):
    """A batch of many takes what the slowest of its stages takes."""
    kernel = SimulatedKernel(light, enqueue_s=1e-6, cold_s=device_s, hot_s=device_s)
    found = seconds(light, kernel)
    slowest, all_of_them = max(device_s, IN / light.bandwidth), device_s + IN / light.bandwidth
    assert slowest <= found["overlapped"] <= slowest + all_of_them / device.BATCHES + 1e-5
    assert found["end_to_end"] == pytest.approx(all_of_them, rel=0.2)


@pytest.mark.parametrize("slowest", ["call", "copy back"])
def test_nothing_is_overwritten_that_is_still_needed(light, slowest):
    """Whichever of both is slow: inputs stay until they are read, results until they have left."""
    device_s = 1e-2 if slowest == "call" else 1e-6
    kernel = SimulatedKernel(light, enqueue_s=1e-6, cold_s=device_s, hot_s=device_s)
    if slowest == "copy back":
        kernel.y = np.zeros((100 * ROWS, 2), np.float32).view(DeviceArray)
    call, queue = kernel.forward, Queue(1, 2 + device.DEPTH)
    slots = [kernel.from_host(MANY) for _ in range(device.DEPTH)]
    one = device.overlapped(kernel, queue, call, slots, slots[0].ctypes.data, lambda: light.now, 9)
    queue.wait()
    light.spans.clear()
    one()
    there, calls, kept, back = (light.spans[what] for what in (TO_DEVICE, "call", ON_DEVICE, TO_HOST))
    assert len(there) == len(calls) == len(kept) == len(back) == 9
    for now in range(9):
        assert there[now][1] <= calls[now][0], "inputs are there when they are read"
        assert calls[now][1] <= kept[now][0] <= back[now][0], "a result is computed when it leaves"
        if (before := now - device.DEPTH) >= 0:
            assert calls[before][1] <= there[now][0], "inputs have been read when the next come"
            assert back[before][1] <= kept[now][0], "a result has left when the next takes its place"


def test_of_batches_that_take_long_there_are_fewer_and_one_at_a_time_moves_one_row(light):
    kernel = SimulatedKernel(light, enqueue_s=1e-6, cold_s=0.1, hot_s=0.1)
    seconds(light, kernel)
    assert kernel.calls == 1 + 1 + 1 + 1 + device.FEWEST, "two that warm, one alone before and one that is timed"
    light.copies.clear()
    seconds(light, SimulatedKernel(light), Case("per_sample", 1))
    assert {size for kind, size in light.copies if kind == 1} == {8, 2}


def test_a_result_that_is_new_each_time_is_asked_where_it_lies(light, monkeypatch):
    asked, kernel = [], SimulatedKernel(light)
    monkeypatch.setattr(device, "address", lambda array: asked.append(array is kernel.y) or address(array))
    for kernel.returns in ("kept", "new"):
        seconds(light, kernel)
    assert sum(asked) == 2 + (2 + 2 + device.BATCHES)


def test_an_array_that_hides_where_it_lies_is_refused():
    assert "list does not say where" in refusal(address, [1], kind=TypeError)
