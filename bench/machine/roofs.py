"""The machine's limits, measured at a run's start: arithmetic and read bandwidth, level by level.

Arithmetic is the matrix product through NumPy and multiply-adds in registers through Numba; bandwidth is reading
through arrays that fit half of each cache, and through one that fits none. Each is measured with one thread and with
the run's threads, because some kernels use one. Every round is kept: a roof is work / seconds of the best one. Devices
that kernels of the run compute on are measured by modules of their own (`DEVICES`).
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.clock import elapsed, short_rounds
from mlpbench.bench.machine import child, environment
from mlpbench.bench.record.plan import Binding
from mlpbench.bench.record.roofs import Measured, OfDevice, Roofs, RoofsFile, RoofsHead
from mlpbench.bench.record.runs import ROOFS_FILE
from mlpbench.bench.record.write import write_atomically

#: Rounds are many and short: the best one of them finds a moment when nothing else runs.
ROUND_S = 0.003
FEWEST_ROUNDS = 5
#: All that is measured, and what of it within a repeat: L3 and DRAM can need gigabytes, and networks do not fit L1.
ALL = ("matrix product", "multiply-add", "L1", "L2", "L3", "DRAM")
OF_REPEAT = ("matrix product", "multiply-add", "L2")
#: Seconds for each of these: as long as the profile `limits` measures a case.
REPEAT_S = 0.1
#: So many more rounds must come so close to the best one; else they are measured again, so often at most.
CONFIRMED_BY, CONFIRMED_WITHIN, AGAIN = 2, 1.05, 3
#: A process that takes longer is stuck: it takes two to five seconds.
TIMEOUT_S = 120
#: Rows and columns of the matrices that NumPy multiplies: beyond L2, and a product takes a few milliseconds.
MATRIX_ROWS = 768
#: What reads a memory must not fit into a cache: so many times the largest one.
BEYOND = 4
#: Where no cache can be read.
DRAM_BYTES = 128 * 2**20
#: Milliseconds of multiply-adds: a second thread takes up to one to start.
TURNS = 2_000_000
CPU = "cpu"
#: The modules that measure limits, by the name that kernels give to where they compute.
DEVICES = {CPU: "mlpbench.bench.machine.roofs", "cuda": "mlpbench.bench.machine.cuda_roofs"}
_ALIGNMENT = 64


def write(
    folders: Iterable[Path],
    threads: int,
    dtype: str,
    seconds: float,
    devices: Collection[str] = (),
    binding: Binding | None = None,
) -> str | None:
    """Measure in processes of their own, each roof for ``seconds``, and write ``roofs.json`` into each of the folders.

    ``devices``: where kernels of the run compute besides the CPU. ``binding``: the processors that the processes are
    bound to, as the run's own are; None where they are not. Return why some roofs are not there, else None.
    """
    asked = {"dtype": dtype, "seconds": seconds}
    with elapsed() as took:
        cpu = _ask(CPU, threads, binding, {**asked, "threads": threads})
        others = tuple(_ask(device, threads, binding, asked) for device in devices)
    head = RoofsHead(roofs=cpu.roofs, reason=cpu.reason, devices=others, took_s=took.seconds)
    for folder in folders:
        write_atomically(folder / ROOFS_FILE, RoofsFile(head))
    reasons = [cpu.reason, *(f"{other.device}: {other.reason}" for other in others if other.reason)]
    return "; ".join(filter(None, reasons)) or None


def write_of_repeat(folder: Path, repeat: int, threads: int, dtype: str, binding: Binding | None = None) -> str | None:
    """Measure `OF_REPEAT` in a process of its own, and write ``roofs-<repeat>.json``; return why not, else None.

    ``folder``: that of the run; ``binding`` as for `write`.
    """
    asked = {"dtype": dtype, "seconds": REPEAT_S, "threads": threads, "only": OF_REPEAT}
    with elapsed() as took:
        cpu = _ask(CPU, threads, binding, asked)
    head = RoofsHead(roofs=cpu.roofs, reason=cpu.reason, repeat=repeat, took_s=took.seconds)
    write_atomically(folder / f"roofs-{repeat}.json", RoofsFile(head))
    return cpu.reason


def _ask(device: str, threads: int, binding: Binding | None, asked: dict[str, Any]) -> OfDevice:
    """Run the module of a device with ``threads`` threads; return what it measured, or why it did not."""
    if device not in DEVICES:
        return OfDevice(device, reason="nothing here measures the limits of such a device")
    answer = child.ask(DEVICES[device], asked, threads=threads, binding=binding, timeout_s=TIMEOUT_S)
    if answer.found is None:
        return OfDevice(device, reason=answer.reason)
    return msgspec.convert(answer.found, OfDevice)


def measure(threads: int, dtype: str, seconds: float, only: Collection[str] = ALL) -> Roofs:
    """Return the roofs of this machine for ``dtype``, with one thread and with ``threads``, as the file holds them.

    ``only``: some of `ALL`. A level that this processor has no cache for is left out.
    """
    import threadpoolctl

    caches = environment.machine().caches
    rounds = max(FEWEST_ROUNDS, round(seconds / ROUND_S))
    measured = []
    counts = sorted({1, threads})
    # One memory for all: where the host's third-level cache is large, what does not fit it takes a second to fill.
    memory = _aligned(max((n * size for n in counts for size in _sizes(caches, n, only).values()), default=0))
    for n in counts:
        with threadpoolctl.threadpool_limits(n), ThreadPoolExecutor(n) as pool:
            for name, unit, work, size, call in _calls(pool, n, dtype, _sizes(caches, n, only), memory, only):
                data = _confirmed(partial(_rounds, call, rounds, seconds))
                measured.append(Measured(name=name, threads=n, unit=unit, work=work, bytes=size, data=tuple(data)))
    return Roofs(dtype=dtype, caches=caches, measured=tuple(measured), environment=environment.collect())


def _rounds(call: Callable[[], object], rounds: int, seconds: float) -> list[float]:
    return short_rounds(call, rounds, ROUND_S, most_s=2 * seconds)[1]


def _confirmed(measure: Callable[[], list[float]]) -> list[float]:
    """Return rounds of which the fastest are about as fast: what had no quiet moment is measured again, `AGAIN` times.

    A neighbour comes and goes within 10 ms, and a roof is the best round: one that no other confirms was a glimpse.
    """
    data = measure()
    for _ in range(AGAIN):
        if sorted(data)[min(CONFIRMED_BY, len(data) - 1)] <= CONFIRMED_WITHIN * min(data):
            break
        data += measure()
    return data


def read_sizes(caches: dict[str, int], threads: int) -> dict[str, int]:
    """Return the bytes that each of ``threads`` reads to measure a level: what fits it and not the level below."""
    sizes = {name[:2]: caches[name] // 2 for name in ("L1d", "L2") if name in caches}
    if "L3" in caches:  # shared, unlike the others
        sizes["L3"] = max(caches["L3"] // 2 // threads, 2 * caches.get("L2", 0))
    largest = max([size for name, size in caches.items() if name != "L1i"], default=0)
    sizes["DRAM"] = max(BEYOND * largest, DRAM_BYTES) // threads
    return sizes


def _sizes(caches: dict[str, int], threads: int, only: Collection[str]) -> dict[str, int]:
    """Return what `read_sizes` does, of the levels in ``only``, in whole turns of the loop that reads."""
    from mlpbench.kernels.numba_simd.codegen import peak

    wanted = {name: size for name, size in read_sizes(caches, threads).items() if name in only}
    return {name: max(size // peak.READ_BYTES, 1) * peak.READ_BYTES for name, size in wanted.items()}


def _calls(
    pool: ThreadPoolExecutor,
    threads: int,
    dtype: str,
    sizes: dict[str, int],
    memory: NDArray[np.float64],
    only: Collection[str],
) -> Iterator[tuple[str, str, int, int | None, Callable[[], object]]]:
    """Yield name, unit, work of one call, bytes read through by each thread, and the call; reads are of ``memory``."""
    from mlpbench.kernels.numba_simd.codegen.peak import compiled_peak, flop_per_turn

    item = np.dtype(dtype)
    if "matrix product" in only:
        a = np.random.default_rng(0).random((MATRIX_ROWS, MATRIX_ROWS)).astype(item)
        out = np.empty_like(a)
        yield "matrix product", "flop", 2 * MATRIX_ROWS**3, None, lambda: np.matmul(a, a, out=out)

    if "multiply-add" in only:
        add = compiled_peak(dtype)
        flop = TURNS * flop_per_turn(dtype) * threads
        yield "multiply-add", "flop", flop, None, lambda: _all(pool, threads, lambda _: add(np.zeros(64, item), TURNS))

    for name, size in sizes.items():
        items = size // memory.itemsize
        arrays = [memory[i * items : (i + 1) * items] for i in range(threads)]
        times = max(1, 2**27 // size)  # a call is long beside the start of a thread
        yield name, "byte", size * times * threads, size, _reader(pool, arrays, times)


def _reader(pool: ThreadPoolExecutor, arrays: list[NDArray[Any]], times: int) -> Callable[[], None]:
    from mlpbench.kernels.numba_simd.codegen import peak

    sums = [np.zeros(peak.READ_BYTES // 8) for _ in arrays]
    return lambda: _all(pool, len(arrays), lambda i: peak.read(arrays[i], sums[i], times))


def _all(pool: ThreadPoolExecutor, threads: int, work: Callable[[int], Any]) -> None:
    """Do a piece of work in every thread at once, and wait for all; one thread is our own."""
    if threads == 1:
        work(0)
    else:
        list(pool.map(work, range(threads)))


def _aligned(size: int) -> NDArray[np.float64]:
    """Return ``size`` bytes of float64 that start with a cache line: a load that crosses one counts twice."""
    memory = np.ones(size + _ALIGNMENT, np.uint8)
    skip = -memory.ctypes.data % _ALIGNMENT
    return memory[skip : skip + size].view(np.float64)


if __name__ == "__main__":
    child.tell(OfDevice(CPU, measure(**child.question())).as_dict())
