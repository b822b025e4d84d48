"""Transfers under the simulated device: each way by its bytes, and three streams that overlap."""

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.wings.gpu import transfers
from mlpbench.kernels.cuda.queue import Queue, address
from support import clockwork, fake_cupy
from support.streams import ON_DEVICE, TO_DEVICE, TO_HOST

ROWS = 50_000
X = np.zeros((ROWS, 2), np.float32)
IN, OUT = X.nbytes, 8
ALL = Case("batched", ROWS)


@pytest.fixture
def world(monkeypatch):
    world = clockwork.World(launch_s=1e-7, wait_s=1e-7)
    fake_cupy.install(monkeypatch, world=world)
    return world


def seconds(world, kernel, case=ALL):
    call = kernel.forward_one if case.mode == "per_sample" else kernel.forward
    found = transfers.samples(kernel, Queue(1, 2 + transfers.DEPTH), call, case, X, lambda: world.now)
    return {name: sample()[0] for name, sample in found}


def test_each_way_takes_what_its_bytes_take(world):
    kernel = clockwork.SimulatedKernel(world, enqueue_s=1e-6, cold_s=1e-5, hot_s=1e-5)
    found = seconds(world, kernel)
    near = lambda s: pytest.approx(s, rel=0.03)  # noqa: E731
    assert found["to_device"] == near(4 * IN / world.bandwidth), "the kernel's own way is slower here"
    assert found["to_device_pinned"] == near(IN / world.bandwidth)
    assert found["to_device_uint8"] == near(IN / 4 / world.bandwidth)
    assert found["end_to_end"] == near(IN / world.bandwidth + 1e-5)
    assert {size for kind, size in world.copies if kind == 1} == {IN, IN // 4}
    assert {size for kind, size in world.copies if kind == 2} >= {OUT}


@pytest.mark.parametrize("device_s", [1e-5, 4e-5, 1e-3])
def test_copies_and_calls_overlap(world, device_s):
    """A batch of many takes what the slowest of its stages takes."""
    kernel = clockwork.SimulatedKernel(world, enqueue_s=1e-6, cold_s=device_s, hot_s=device_s)
    found = seconds(world, kernel)
    slowest, all_of_them = max(device_s, IN / world.bandwidth), device_s + IN / world.bandwidth
    assert slowest <= found["overlapped"] <= slowest + all_of_them / transfers.BATCHES + 1e-5
    assert found["end_to_end"] == pytest.approx(all_of_them, rel=0.2)


@pytest.mark.parametrize("slowest", ["call", "copy back"])
def test_nothing_is_overwritten_that_is_still_needed(world, slowest):
    """Whichever of both is slow: inputs stay until they are read, results until they have left."""
    device_s = 1e-2 if slowest == "call" else 1e-6
    kernel = clockwork.SimulatedKernel(world, enqueue_s=1e-6, cold_s=device_s, hot_s=device_s)
    if slowest == "copy back":
        kernel.y = np.zeros((100 * ROWS, 2), np.float32).view(fake_cupy.DeviceArray)
    call, queue = kernel.forward, Queue(1, 2 + transfers.DEPTH)
    slots = [kernel.from_host(X) for _ in range(transfers.DEPTH)]
    one = transfers.overlapped(kernel, queue, call, slots, slots[0].ctypes.data, lambda: world.now, 9)
    queue.wait()
    world.spans.clear()
    one()
    there, calls, kept, back = (world.spans[what] for what in (TO_DEVICE, "call", ON_DEVICE, TO_HOST))
    assert len(there) == len(calls) == len(kept) == len(back) == 9
    for now in range(9):
        assert there[now][1] <= calls[now][0], "inputs are there when they are read"
        assert calls[now][1] <= kept[now][0] <= back[now][0], "a result is computed when it leaves"
        if (before := now - transfers.DEPTH) >= 0:
            assert calls[before][1] <= there[now][0], "inputs have been read when the next come"
            assert back[before][1] <= kept[now][0], "a result has left when the next takes its place"


def test_of_batches_that_take_long_there_are_fewer_and_one_at_a_time_moves_one_row(world):
    kernel = clockwork.SimulatedKernel(world, enqueue_s=1e-6, cold_s=0.1, hot_s=0.1)
    seconds(world, kernel)
    assert kernel.calls == 1 + 1 + 1 + 1 + transfers.FEWEST, "two that warm, one alone before and one that is timed"
    world.copies.clear()
    seconds(world, clockwork.SimulatedKernel(world), Case("per_sample", 1))
    assert {size for kind, size in world.copies if kind == 1} == {8, 2}


def test_a_result_that_is_new_each_time_is_asked_where_it_lies(world):
    kernel = clockwork.SimulatedKernel(world)
    asked = []

    class Asked(fake_cupy.DeviceArray):
        @property
        def __cuda_array_interface__(self):
            asked.append(1)
            return super().__cuda_array_interface__

    kernel.y = kernel.y.view(Asked)
    seconds(world, kernel)
    kept = len(asked)
    kernel.returns = "new"
    seconds(world, kernel)
    assert len(asked) - 2 * kept == 2 + transfers.BATCHES


def test_an_array_that_hides_where_it_lies_is_refused():
    with pytest.raises(TypeError, match="list does not say where"):
        address([1])
