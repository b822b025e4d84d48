"""The clock. No other module looks at one, and pytest-benchmark alone times a case."""

import gc
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: Seconds on the clock that everything here is timed by; only differences mean something.
now = time.perf_counter
#: The number of the system's clock that only goes forward, and of the hardware's own; None where there is none.
MONOTONIC: int | None = getattr(time, "CLOCK_MONOTONIC", None)
_RAW: int | None = getattr(time, "CLOCK_MONOTONIC_RAW", None)
#: The processor time of all threads of this process, and of the calling one, in seconds.
processor_s, own_s = time.process_time, time.thread_time
#: The time of day: seconds since 1970 in UTC. For the order of things, never for durations.
utc_s = time.time


@dataclass
class Elapsed:
    """Seconds that a block took; filled when the block ends."""

    seconds: float = 0.0


@contextmanager
def elapsed() -> Iterator[Elapsed]:
    """Time a block that runs once: an import, a construction, a first call."""
    result = Elapsed()
    start = time.perf_counter()
    yield result
    result.seconds = max(time.perf_counter() - start, 0.0)  # a clock that jumps back shows elsewhere (`raw_s`)


def raw_s() -> float:
    """Return seconds on the hardware's own clock; on the usual one where the system does not show it."""
    return time.perf_counter() if _RAW is None else time.clock_gettime(_RAW)


def others_s() -> float:
    """Return the processor time that all threads of this process but the calling one have used."""
    return time.process_time() - time.thread_time()


def used_s(threads: Iterable[threading.Thread]) -> float:
    """Return the processor time that some threads of this process have used."""
    clocks = (time.pthread_getcpuclockid(thread.ident) for thread in threads if thread.ident is not None)
    return sum(map(time.clock_gettime, clocks))


def wait_for_others(limit_s: float, idle_s: float = 0.02) -> None:
    """Wait until other threads have used less than a tenth of a processor for ``idle_s``, at most ``limit_s``.

    A pool that spins on behind a call lets go of its processor for 5 to 10 ms in between.
    """
    idle_since = began = time.perf_counter()
    while idle_since + idle_s > (now := time.perf_counter()) < began + limit_s:
        used = others_s()
        time.sleep(0.002)
        if others_s() - used >= 0.1 * (time.perf_counter() - now):
            idle_since = time.perf_counter()


def times_s(call: Callable[[], object], times: int) -> list[float]:
    """Return the seconds of each of ``times`` calls: of work far longer than a look at the clock."""
    seconds = []
    for _ in range(times):
        with elapsed() as took:
            call()
        seconds.append(took.seconds)
    return seconds


def single_calls_ns(call: Callable[[], object], limit_s: float, most: int) -> list[int]:
    """Return the nanoseconds of single calls, ``most`` or as many as begin within ``limit_s``; each has two looks."""
    look, calls_ns = time.perf_counter_ns, list[int]()
    with no_collection():
        end = look() + round(limit_s * 1e9)
        stop = 0
        while len(calls_ns) < most and stop <= end:
            start = look()
            call()
            stop = look()
            calls_ns.append(stop - start)
    return calls_ns


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from running in a block."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def short_rounds(
    call: Callable[[], object],
    rounds: int,
    round_s: float,
    most_s: float = math.inf,
    wait: Any = None,
    between: Callable[[], object] = lambda: None,
) -> tuple[int, list[float]]:
    """Warm and time a call: return how many calls fill a round of ``round_s``, and the seconds per call of each round.

    After ``most_s`` fewer ``rounds`` are made, but one at least. ``wait()``, if given, ends each round, for a device.
    ``between()`` is called before the first round and after each.
    """
    with elapsed() as warming:
        calls = 0
        end = time.perf_counter() + 2 * round_s
        while time.perf_counter() < end:
            call()
            if wait is not None:
                wait()
            calls += 1
    iterations = max(1, round(calls * round_s / warming.seconds))
    seconds: list[float] = []
    between()
    while not seconds or (len(seconds) < rounds and sum(seconds) * iterations < most_s):
        with elapsed() as took:
            for _ in range(iterations):
                call()
            if wait is not None:
                wait()
        seconds.append(took.seconds / iterations)
        between()
    return iterations, seconds
