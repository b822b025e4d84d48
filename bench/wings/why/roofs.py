"""The CPU's limits, measured in a separate process at a run's end: arithmetic and read bandwidth, level by level.

Arithmetic is NumPy's matrix product and Numba's multiply-adds in registers; bandwidth is reading arrays that fit half
of each cache, and one that fits none. A roof is work / seconds of the best round, if others between two quiet looks
confirm it. If not, it is measured again, and at last refused.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mlpbench.bench import words
from mlpbench.bench.cases import CPU
from mlpbench.bench.clock import short_rounds
from mlpbench.bench.machine import child, environment, look
from mlpbench.bench.machine.look import Look
from mlpbench.bench.record.device import DeviceRoofs, Measured
from mlpbench.bench.record.trust import BestLook, LookFacts, best_look, fastest

DEVICE = CPU
#: Rounds are many and short: the best one of them finds a moment when nothing else runs.
ROUND_S, FEWEST_ROUNDS = 0.003, 5
#: A limit that is in doubt is measured again so often at most, and then refused.
AGAIN = 3
#: Where half of the quiet rounds take so many times as long as the best, something else ran that looks do not feel:
#: multiply-adds in registers wait for nothing, and what all cores share is what a neighbour's reads take away.
HALF_WITHIN = {"multiply-add": 1.15, "L3": 1.3, "DRAM": 1.3}
BUSY = "the machine was busy"
#: Of the matrices that NumPy multiplies: beyond L2, and a product takes a few milliseconds.
MATRIX_ROWS = 768
#: What reads a memory must not fit into a cache: so many times the largest one, or this where no cache can be read.
BEYOND, DRAM_BYTES = 4, 128 * 2**20
#: Milliseconds of multiply-adds: a second thread takes up to one to start.
TURNS = 2_000_000
#: The rounds of a limit of which nothing has been measured.
_NONE = (math.inf,)


def measure(threads: int, dtype: str, seconds: float, best: Iterable[BestLook] = ()) -> DeviceRoofs:
    """Return the roofs of this machine, with one thread and with ``threads``; ``best``: the fastest known looks."""
    import threadpoolctl

    caches = environment.machine().caches
    rounds, counts = max(FEWEST_ROUNDS, round(seconds / ROUND_S)), sorted({1, threads})
    taken, measured = list[Look](), list[Measured]()
    # One memory for all: where the host's third-level cache is large, what does not fit it takes a second to fill.
    memory = _aligned(max((n * size for n in counts for size in read_sizes(caches, n).values()), default=0))
    for n in counts:
        kind = look.here() if n == 1 else look.everywhere()
        taken += [kind] if kind else []
        with threadpoolctl.threadpool_limits(n), ThreadPoolExecutor(n) as pool:
            limits = list(_limits(pool, n, dtype, read_sizes(caches, n), memory))
            for _ in range(1 + AGAIN):
                for limit in limits:
                    if limit.doubt(look.facts(taken, best)) is not None:
                        best = fastest([*best, *limit.take(rounds, seconds, kind)])
        measured += [replace(limit.measured, refused=limit.doubt(look.facts(taken, best))) for limit in limits]
    facts = look.facts(taken, best)
    return DeviceRoofs(caches=caches, measured=tuple(measured), look=facts)


@dataclass
class _Limit:
    """One limit while it is measured: the call, and what was ``measured`` so far."""

    call: Callable[[], object]
    measured: Measured

    def take(self, rounds: int, seconds: float, kind: Look | None) -> list[BestLook]:
        """Measure some more rounds, with a look of a ``kind`` before and after each; return the best look."""
        seen: list[int] = []
        between = (lambda: seen.append(kind.take())) if kind else (lambda: None)
        data = short_rounds(self.call, rounds, ROUND_S, most_s=2 * seconds, between=between)[1]
        self.measured = replace(
            self.measured,
            data=(*(() if self.measured.data is _NONE else self.measured.data), *data),
            looks_ns=(*self.measured.looks_ns, *pairwise(seen)),
            look_processors=kind.processors if kind else None,
        )
        return [BestLook(name=kind.name, processors=kind.processors, best_ns=int(best_look(seen)))] if kind else []

    def doubt(self, looks: LookFacts) -> str | None:
        """Return why it cannot be believed, None where it can: two more rounds come close to the best, all quiet."""
        more, close = 2, 1.05
        every, quiet = self.measured.data, sorted(self.measured.quiet_s(looks))
        if len(every) <= more:
            return f"{BUSY}: there was no time for more than {words.things(len(every), 'round')}"
        if len(quiet) <= more:
            return f"{BUSY}: {len(quiet)} of {len(every)} rounds were between two quiet looks"
        if quiet[more] > close * quiet[0]:
            return f"{BUSY}: no {more} of {len(every)} rounds came near the best"
        half = median(quiet) / quiet[0]
        if half > HALF_WITHIN.get(self.measured.name, math.inf):
            return f"{BUSY}: half of its quiet rounds took {half:.1f} times as long as the best"
        return None


def read_sizes(caches: dict[str, int], threads: int) -> dict[str, int]:
    """Return the bytes, in whole turns of the loop, that each thread reads to measure a level and not the one below."""
    from mlpbench.kernels.numba_simd.codegen import peak

    sizes = {name[:2]: caches[name] // 2 for name in ("L1d", "L2") if name in caches}
    if "L3" in caches:  # shared, unlike the others
        sizes["L3"] = max(caches["L3"] // 2 // threads, 2 * caches.get("L2", 0))
    largest = max([size for name, size in caches.items() if name != "L1i"], default=0)
    sizes["DRAM"] = max(BEYOND * largest, DRAM_BYTES) // threads
    return {name: max(size // peak.READ_BYTES, 1) * peak.READ_BYTES for name, size in sizes.items()}


def _limits(
    pool: ThreadPoolExecutor, threads: int, dtype: str, sizes: dict[str, int], memory: NDArray[np.float64]
) -> Iterator[_Limit]:
    """Yield what is to be measured with so many threads; ``sizes``: bytes of ``memory`` for each, by level."""
    from mlpbench.kernels.numba_simd.codegen import peak

    def limit(name: str, work: int, call: Callable[[], object]) -> _Limit:
        return _Limit(call, Measured(name=name, threads=threads, work=work, data=_NONE))

    def in_each(work: Callable[[int], object]) -> None:
        """Do a piece of work in every thread at once, and wait for all; one thread is our own."""
        _ = work(0) if threads == 1 else list(pool.map(work, range(threads)))

    item = np.dtype(dtype)
    a = np.random.default_rng(0).random((MATRIX_ROWS, MATRIX_ROWS)).astype(item)
    out = np.empty_like(a)
    yield limit("matrix product", 2 * MATRIX_ROWS**3, lambda: np.matmul(a, a, out=out))
    add, flop = peak.compiled_peak(dtype), TURNS * peak.flop_per_turn(dtype) * threads
    yield limit("multiply-add", flop, partial(in_each, lambda _: add(np.zeros(64, item), TURNS)))

    def read(items: int, times: int, thread: int) -> None:
        peak.read(memory[thread * items : (thread + 1) * items], np.zeros(peak.READ_BYTES // 8), times)

    for name, size in sizes.items():
        times = max(1, 2**27 // size)  # a call is long beside the start of a thread
        call = partial(in_each, partial(read, size // memory.itemsize, times))
        yield limit(name, size * times * threads, call)


def _aligned(size: int) -> NDArray[np.float64]:
    """Return ``size`` bytes of float64 that start with a cache line: a load that crosses one counts twice."""
    line_bytes = 64
    memory = np.ones(size + line_bytes, np.uint8)
    skip = -memory.ctypes.data % line_bytes
    return memory[skip : skip + size].view(np.float64)


if __name__ == "__main__":
    asked = child.question()
    known = msgspec.convert(asked.pop("best"), list[BestLook])
    child.tell(measure(**asked, best=known).as_dict())
