"""The limits of a CUDA device, measured through CuPy in a separate process, as `bench.wings.why.roofs` the CPU's.

Arithmetic is measured in each way that a kernel may compute in (fp32, tf32, fp16, or fp64), by cuBLAS's product and by
multiply-adds in registers. Bandwidth is copying, of which the bytes read and written count, and reading, through arrays
that fit half of the L2 cache and through larger ones. The fastest way is the roof. A launch that does nothing, and the
wait for it, is the least that a call takes.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from mlpbench.bench.cases import CUDA
from mlpbench.bench.clock import short_rounds
from mlpbench.bench.machine import child
from mlpbench.bench.record.device import LAUNCH_AND_WAIT, DeviceRoofs, Measured
from mlpbench.kernels.cuda import device, peak
from mlpbench.kernels.cuda.queue import Queue
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_cupy import CupyKernel

DEVICE = CUDA
#: Longer than on the CPU: a wait for a device takes longer than a look at the clock.
ROUND_S = 0.01
#: A device that was idle runs at a low clock, and raises it when it has work.
WARM_S = 0.5
#: Rows and columns of the products: tiles are dealt to the multiprocessors in turns, and the last turn is not full.
MATRIX_ROWS = 8192
#: What is copied in the device's memory at least.
DRAM_BYTES = 256 * 2**20
#: A device kernel goes through its array again and again until so many bytes are read: far longer than its launch.
BYTES_A_LAUNCH = 2**30
#: A launch of multiply-adds takes so many turns: a millisecond or so on the largest card.
TURNS = 2000
#: Blocks for each multiprocessor: so many fit on every one that CUDA 12 knows, all at once.
BLOCKS = 4

#: Name, way, work of a call, arithmetic, and the call, which gives work to the current stream.
Limit = tuple[str, str, int, str | None, Callable[[], object]]


def answer(dtype: str, seconds: float) -> DeviceRoofs:
    """Return the roofs of the current device, or why they cannot be measured."""
    try:
        CupyKernel.probe()
        import cupy

        try:
            return measure(dtype, seconds)
        except (RuntimeError, MemoryError, cupy.cuda.compiler.CompileException) as error:  # CUDA's are RuntimeErrors
            reason = device.words(error)
    except KernelUnavailable as error:
        reason = str(error)
    return DeviceRoofs(device=CUDA, reason=reason)


def measure(dtype: str, seconds: float) -> DeviceRoofs:
    """Return the roofs of the current device for ``dtype``, each measured for about ``seconds``."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    l2_bytes = int(properties.get("l2CacheSize", 0))
    caches = {"L2": l2_bytes} if l2_bytes > 0 else {}
    stream = cupy.cuda.Stream(non_blocking=True)
    rounds = max(5, round(seconds / ROUND_S))
    measured: list[Measured] = []
    blocks = BLOCKS * properties["multiProcessorCount"]
    limits = chain(  # each makes its arrays when it is its turn
        _products(cupy, dtype),
        _in_registers(cupy, dtype, blocks),
        _launches(cupy, stream, dtype),
        _bandwidths(cupy, caches, blocks),
    )
    with stream:
        for name, how, work, arithmetic, call in limits:
            call()  # compiles, and loads cuBLAS
            if not measured:
                short_rounds(call, round(WARM_S / ROUND_S), ROUND_S, most_s=WARM_S, wait=stream.synchronize)
            wait = None if name == LAUNCH_AND_WAIT else stream.synchronize
            _, data = short_rounds(call, rounds, ROUND_S, most_s=2 * seconds, wait=wait)
            measured.append(Measured(name=name, how=how, work=work, arithmetic=arithmetic, data=tuple(data)))
    facts = {**device.device_facts(dtype), "cupy": CupyKernel.version()}
    texts = {name: None if value is None else str(value) for name, value in facts.items()}
    return DeviceRoofs(device=CUDA, facts=texts, caches=caches, measured=tuple(measured))


def array_sizes(caches: dict[str, int]) -> dict[str, int]:
    """Return the bytes of each array, by level: both arrays of a copy fill half of L2, and neither fits beyond it."""
    l2_bytes, width = caches.get("L2", 0), peak.LOAD_BYTES
    sizes = {"L2": l2_bytes // 4 // width * width, "DRAM": max(4 * l2_bytes, DRAM_BYTES) // width * width}
    return {level: size for level, size in sizes.items() if size}


def _products(cupy: Any, dtype: str) -> Iterator[Limit]:
    """Yield cuBLAS's product of square matrices: in the dtype itself, and of float32 what tensor cores make of it.

    CuPy looks at the compute type when it is called.
    """
    device.multiply_in(dtype)()
    wanted = [(dtype, dtype, device.arithmetic(dtype))]
    if dtype == "float32":
        wanted += [("float16", dtype, "fp16"), (dtype, "tf32", "tf32")]
    random = np.random.default_rng(0).random((MATRIX_ROWS, MATRIX_ROWS), np.float32)
    for stored, computed, arithmetic in wanted:
        device.multiply_in(computed)()
        numbers = random.astype(stored)
        a, out = cupy.asarray(numbers), cupy.empty(numbers.shape, numbers.dtype)
        yield "matrix product", "cuBLAS", 2 * MATRIX_ROWS**3, arithmetic, partial(cupy.matmul, a, a, out=out)
    device.multiply_in(dtype)()


def _in_registers(cupy: Any, dtype: str, blocks: int) -> Iterator[Limit]:
    """Yield multiply-adds that wait for no memory, one kernel for each arithmetic that the card has."""
    module = cupy.RawModule(code=peak.source(dtype))
    out = cupy.empty((blocks * peak.THREADS,), np.dtype(dtype))
    for kernel in peak.peaks(dtype):
        if int(cupy.cuda.Device().compute_capability) >= kernel.capability:
            work = kernel.flop * TURNS * blocks * peak.THREADS
            run = module.get_function(kernel.entry)
            call = partial(run, (blocks,), (peak.THREADS,), kernel.arguments(out, TURNS))
            yield "multiply-add", kernel.how, work, kernel.arithmetic, call


def _launches(cupy: Any, stream: Any, dtype: str) -> Iterator[Limit]:
    """Yield what a launch that does nothing takes with its wait, by itself and as a graph."""
    launch = partial(cupy.RawModule(code=peak.source(dtype)).get_function(peak.NOTHING), (1,), (1,), ())
    launch()  # before it is captured, it has to be loaded
    for how, begin in (("empty kernel", launch), ("empty graph", Queue(stream.ptr).captured(launch))):

        def waited(begin: Callable[[], None] = begin) -> None:
            begin()
            stream.synchronize()

        yield LAUNCH_AND_WAIT, how, 1, None, waited


def _bandwidths(cupy: Any, caches: dict[str, int], blocks: int) -> Iterator[Limit]:
    """Yield copying and reading through the arrays of each level."""
    module = cupy.RawModule(code=peak.bandwidth_source())
    copy, read = module.get_function("copy_all"), module.get_function("read_all")
    grid = (blocks,), (peak.THREADS,)
    for level, size in array_sizes(caches).items():
        times = max(1, BYTES_A_LAUNCH // size)
        counts = np.int64(size // peak.LOAD_BYTES), np.int32(times)
        numbers = np.random.default_rng(0).integers(0, 2**32, size // 4, np.uint32)
        source, target = cupy.asarray(numbers), cupy.empty(numbers.shape, np.uint32)
        sums = cupy.empty((blocks * peak.THREADS,), np.uint32)
        yield level, "copy", 2 * size * times, None, partial(copy, *grid, (source, target, *counts))
        if level == "DRAM":  # a separate launch for each: in L2 that would take longer than the copy
            yield level, "copyto", 2 * size, None, partial(cupy.copyto, target, source)
        yield level, "read", size * times, None, partial(read, *grid, (source, sums, *counts))


if __name__ == "__main__":
    child.tell(answer(**child.question()).as_dict())
