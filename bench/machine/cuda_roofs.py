"""The limits of a CUDA device, measured through CuPy in a process of its own, as `bench.machine.roofs` does the CPU's.

Arithmetic is measured in each way that a kernel may compute in (fp32, tf32, fp16, or fp64), by cuBLAS's matrix product
and by multiply-adds in registers, on tensor cores ``mma.sync``. Bandwidth is copying, of which the bytes read and the
bytes written count, and reading alone, each through arrays that fit half of the L2 cache, and through arrays that do
not fit it. Nothing nearer counts: from one device kernel to the next only L2 and memory keep anything. Of all ways the
fastest is the roof: a roof may be too high, never too low. A launch that does nothing, and the wait for it, is the
least that a call takes. Calls only give work to the device; each round waits for it once, at its end, but for launches
with their wait. Copies from and to the host are told, and no roof.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mlpbench.bench.clock import short_rounds
from mlpbench.bench.machine import child
from mlpbench.bench.machine.roofs import BEYOND, FEWEST_ROUNDS
from mlpbench.bench.record.roofs import COPIES, LAUNCH, LAUNCH_AND_WAIT, Measured, OfDevice, Roofs
from mlpbench.kernels.cuda import device, peak
from mlpbench.kernels.cuda.queue import Queue
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_cupy import CupyKernel

#: Longer than on the CPU: a wait for a device takes longer than a look at the clock.
ROUND_S = 0.01
#: A device that was idle runs at a low clock, and raises it when it has work.
WARM_S = 0.5
#: Rows and columns of the products. Tiles are dealt to the multiprocessors in turns, and the last turn is not full: the
#: 1,024 tiles of 128 rows and columns of the smaller one take 108 multiprocessors 10 turns for the work of 9.5.
MATRIX_ROWS = (4096, 8192)
#: What is copied in the device's memory at least, and where its L2 cache is not known; and from and to the host.
DRAM_BYTES = 256 * 2**20
HOST_BYTES = 64 * 2**20
#: A device kernel goes through its array again and again until so many bytes are read: far longer than its launch.
BYTES_A_LAUNCH = 2**30

#: A launch of multiply-adds takes so many turns: a millisecond or so on the largest card.
TURNS = 2000

#: Threads of a block, and blocks for each multiprocessor: so many fit on every one that CUDA 12 knows, all at once.
THREADS, BLOCKS = 256, 4
#: Bytes that a thread loads at once: the widest load there is, of the type in `SOURCE`.
WIDTH = 16
#: ``__ldcg`` and ``__stcg`` pass by L1. Four loads are under way at once where the array is long enough, and the sum
#: depends on each, so that none can be left out.
SOURCE = """
#define START (long long)blockIdx.x * blockDim.x + threadIdx.x
#define STEP (long long)gridDim.x * blockDim.x

extern "C" __global__ __launch_bounds__(256, 4)
void copy_all(const uint4* source, uint4* target, long long n, int times) {
    const long long step = STEP;
    for (int turn = 0; turn < times; turn++) {
        long long i = START;
        for (; i + 3 * step < n; i += 4 * step) {
            uint4 a = __ldcg(source + i), b = __ldcg(source + i + step);
            uint4 c = __ldcg(source + i + 2 * step), d = __ldcg(source + i + 3 * step);
            __stcg(target + i, a);
            __stcg(target + i + step, b);
            __stcg(target + i + 2 * step, c);
            __stcg(target + i + 3 * step, d);
        }
        for (; i < n; i += step) {
            __stcg(target + i, __ldcg(source + i));
        }
    }
}

__device__ unsigned mixed(uint4 item) {
    return item.x ^ item.y ^ item.z ^ item.w;
}

extern "C" __global__ __launch_bounds__(256, 4)
void read_all(const uint4* source, unsigned* sums, long long n, int times) {
    const long long step = STEP;
    unsigned sum = 0;
    for (int turn = 0; turn < times; turn++) {
        long long i = START;
        for (; i + 3 * step < n; i += 4 * step) {
            uint4 a = __ldcg(source + i), b = __ldcg(source + i + step);
            uint4 c = __ldcg(source + i + 2 * step), d = __ldcg(source + i + 3 * step);
            sum = 3 * sum + (mixed(a) ^ mixed(b) ^ mixed(c) ^ mixed(d));
        }
        for (; i < n; i += step) {
            sum = 3 * sum + mixed(__ldcg(source + i));
        }
    }
    sums[START] = sum;
}
"""


@dataclass(frozen=True)
class _Call:
    """One measurement, as `bench.record.roofs.Measured` has it; ``waits``: each call waits for the device itself."""

    name: str
    how: str
    unit: str
    work: int
    call: Callable[[], None]
    size: int | None = None
    arithmetic: str | None = None
    waits: bool = False


def answer(dtype: str, seconds: float) -> OfDevice:
    """Return the roofs of the current device, or why they cannot be measured."""
    try:
        CupyKernel.probe()
    except KernelUnavailable as error:
        return OfDevice("cuda", reason=str(error))
    import cupy

    try:
        return OfDevice("cuda", measure(dtype, seconds))
    except KernelUnavailable as error:
        return OfDevice("cuda", reason=str(error))
    except (RuntimeError, MemoryError, cupy.cuda.compiler.CompileException) as error:  # CUDA's errors are RuntimeErrors
        return OfDevice("cuda", reason=device.words(error))


def measure(dtype: str, seconds: float) -> Roofs:
    """Return the roofs of the current device for ``dtype``, each measured for about ``seconds``."""
    import cupy

    device.multiply_in(dtype)()
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    l2_bytes = int(properties.get("l2CacheSize", 0))
    caches = {"L2": l2_bytes} if l2_bytes > 0 else {}
    stream = cupy.cuda.Stream(non_blocking=True)
    rounds = max(FEWEST_ROUNDS, round(seconds / ROUND_S))
    measured: list[Measured] = []
    blocks = BLOCKS * properties["multiProcessorCount"]
    for one in _all(cupy, stream, dtype, caches, blocks):
        one.call()  # compiles, and loads cuBLAS
        if not measured:
            short_rounds(one.call, round(WARM_S / ROUND_S), ROUND_S, most_s=WARM_S, wait=stream.synchronize)
        wait = None if one.waits else stream.synchronize
        _, data = short_rounds(one.call, rounds, ROUND_S, most_s=2 * seconds, wait=wait)
        told = {name: getattr(one, name) for name in ("name", "how", "arithmetic", "unit", "work")}
        measured.append(Measured(**told, bytes=one.size, data=tuple(data)))
    device.multiply_in(dtype)()
    facts = {**device.device_facts(dtype), "cupy": CupyKernel.version()}
    texts = {name: None if value is None else str(value) for name, value in facts.items()}
    return Roofs(dtype=dtype, facts=texts, caches=caches, measured=tuple(measured))


def array_sizes(caches: dict[str, int]) -> dict[str, int]:
    """Return the bytes of each array, by level: both arrays of a copy fill half of L2, and neither fits beyond it."""
    l2_bytes = caches.get("L2", 0)
    sizes = {"L2": l2_bytes // 4 // WIDTH * WIDTH, "DRAM": max(BEYOND * l2_bytes, DRAM_BYTES) // WIDTH * WIDTH}
    return {level: size for level, size in sizes.items() if size}


def _all(cupy: Any, stream: Any, dtype: str, caches: dict[str, int], blocks: int) -> Iterator[_Call]:
    """Yield everything that is measured, its arrays made when it is its turn."""
    yield from _products(cupy, stream, dtype)
    yield from _in_registers(cupy, stream, dtype, blocks)
    yield from _launches(cupy, stream, dtype)
    module = cupy.RawModule(code=SOURCE)
    copy, read = module.get_function("copy_all"), module.get_function("read_all")
    grid = (blocks,), (THREADS,)
    for level, size in array_sizes(caches).items():
        times = max(1, BYTES_A_LAUNCH // size)
        counts = np.int64(size // WIDTH), np.int32(times)
        numbers = np.random.default_rng(0).integers(0, 2**32, size // 4, np.uint32)
        with stream:
            source = cupy.asarray(numbers)
            target = cupy.empty(numbers.shape, np.uint32)
            sums = cupy.empty((blocks * THREADS,), np.uint32)
        copied = _on(stream, copy, *grid, (source, target, *counts))
        yield _Call(level, "copy", "byte", 2 * size * times, copied, size)
        if level == "DRAM":  # a launch of its own for each: in L2 that would take longer than the copy
            yield _Call(level, "copyto", "byte", 2 * size, _on(stream, cupy.copyto, target, source), size)
        yield _Call(level, "read", "byte", size * times, _on(stream, read, *grid, (source, sums, *counts)), size)
    yield from _transfers(cupy, stream)


def _transfers(cupy: Any, stream: Any) -> Iterator[_Call]:
    """Yield copies from and to the host: as CuPy makes them of any array, and with pinned memory, by the device alone.

    CuPy copies an array of the host into a pinned block first, with one thread, and results into fresh memory.
    """
    queue, host = Queue(stream.ptr), np.ones(HOST_BYTES, np.uint8)
    with stream:
        there = cupy.asarray(host)
    memory = queue.pinned(HOST_BYTES)
    pinned = memory.ctypes.data
    for name, function, array in ((COPIES[0], cupy.asarray, host), (COPIES[1], cupy.asnumpy, there)):
        yield _Call(name, "copy", "byte", HOST_BYTES, _on(stream, function, array), HOST_BYTES)
    for name, way in zip(COPIES, ("to device", "to host"), strict=True):
        target, source = (there.data.ptr, pinned) if way == "to device" else (pinned, there.data.ptr)
        call = partial(queue.copy, target, source, HOST_BYTES, way)
        yield _Call(name, "pinned", "byte", HOST_BYTES, call, HOST_BYTES)


def _products(cupy: Any, stream: Any, dtype: str) -> Iterator[_Call]:
    """Yield cuBLAS's product in the dtype itself and, of float32, what tensor cores make of it and of halves."""
    device.multiply_in(dtype)()
    for rows in MATRIX_ROWS:
        yield _product(cupy, stream, dtype, rows, device.arithmetic(dtype))
    if dtype == "float32":
        yield _product(cupy, stream, "float16", MATRIX_ROWS[-1], "fp16")
        device.multiply_in("tf32")()
        yield _product(cupy, stream, dtype, MATRIX_ROWS[-1], "tf32")
        device.multiply_in(dtype)()


def _in_registers(cupy: Any, stream: Any, dtype: str, blocks: int) -> Iterator[_Call]:
    """Yield multiply-adds that wait for no memory, one kernel for each arithmetic that the card has."""
    module = cupy.RawModule(code=peak.source(dtype))
    with stream:
        out = cupy.empty((blocks * peak.THREADS,), np.dtype(dtype))
    for one in peak.peaks(dtype):
        if int(cupy.cuda.Device().compute_capability) >= one.capability:
            run = module.get_function(one.entry)
            call = _on(stream, run, (blocks,), (peak.THREADS,), one.arguments(out, TURNS))
            work = one.flop * TURNS * blocks * peak.THREADS
            yield _Call("multiply-add", one.how, "flop", work, call, arithmetic=one.arithmetic)


def _launches(cupy: Any, stream: Any, dtype: str) -> Iterator[_Call]:
    """Yield what a launch takes that does nothing: launches behind each other, and each with its wait; as a graph."""
    run = cupy.RawModule(code=peak.source(dtype)).get_function(peak.NOTHING)
    launch = _on(stream, run, (1,), (1,), ())
    launch()  # before it is captured, it has to be loaded
    replay = Queue(stream.ptr).captured(launch)

    def waited(begin: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            begin()
            stream.synchronize()

        return call

    yield _Call(LAUNCH, "empty kernel", "launch", 1, launch)
    yield _Call(LAUNCH_AND_WAIT, "empty kernel", "launch", 1, waited(launch), waits=True)
    yield _Call(LAUNCH_AND_WAIT, "empty graph", "launch", 1, waited(replay), waits=True)


def _on(stream: Any, function: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[], None]:
    """Return a call that gives ``function`` to the device on ``stream``."""

    def call() -> None:
        with stream:
            function(*arguments, **options)

    return call


def _product(cupy: Any, stream: Any, dtype: str, rows: int, arithmetic: str) -> _Call:
    """Return cuBLAS's product of square matrices. CuPy looks at the compute type when it is called."""
    numbers = np.random.default_rng(0).random((rows, rows), np.float32).astype(dtype)
    with stream:
        a = cupy.asarray(numbers)
        out = cupy.empty(numbers.shape, numbers.dtype)
    call = _on(stream, cupy.matmul, a, a, out=out)
    return _Call("matrix product", "cuBLAS", "flop", 2 * rows**3, call, arithmetic=arithmetic)


if __name__ == "__main__":
    child.tell(answer(**child.question()).as_dict())
