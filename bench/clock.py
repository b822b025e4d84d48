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
#: The number of the system's clock that only goes forward, None where there is none.
MONOTONIC: int | None = getattr(time, "CLOCK_MONOTONIC", None)


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
    result.seconds = max(time.perf_counter() - start, 0.0)  # a clock that jumps back is told elsewhere (`raw_s`)


_HAS_RAW = hasattr(time, "CLOCK_MONOTONIC_RAW")


def raw_s() -> float:
    """Return seconds on the hardware's own clock; on the usual one where the system does not show it."""
    return time.clock_gettime(time.CLOCK_MONOTONIC_RAW) if _HAS_RAW else time.perf_counter()


def processor_s() -> float:
    """Return the processor time of all threads of this process, in seconds."""
    return time.process_time()


def others_s() -> float:
    """Return the processor time that all threads of this process but the calling one have used."""
    return time.process_time() - time.thread_time()


def own_s() -> float:
    """Return the processor time that the calling thread has used."""
    return time.thread_time()


def used_s(threads: Iterable[threading.Thread]) -> float:
    """Return the processor time that some threads of this process have used."""
    clocks = (time.pthread_getcpuclockid(thread.ident) for thread in threads if thread.ident is not None)
    return sum(map(time.clock_gettime, clocks))


def wait_for_others(limit_s: float, idle_s: float = 0.02) -> None:
    """Wait until this process's other threads have been idle for ``idle_s`` in a row, at most ``limit_s``.

    They are idle when they use less than a tenth of a processor. A pool that spins on behind a call lets go of its
    processor for 5 to 10 ms in between.
    """
    idle_since = began = time.perf_counter()
    while idle_since + idle_s > (now := time.perf_counter()) < began + limit_s:
        used = others_s()
        time.sleep(0.002)
        if others_s() - used >= 0.1 * (time.perf_counter() - now):
            idle_since = time.perf_counter()


def utc_s() -> float:
    """Return the time of day: seconds since 1970 in UTC. For the order of things, never for durations."""
    return time.time()


def times_s(call: Callable[[], object], times: int) -> list[float]:
    """Return the seconds of each of ``times`` calls: of work that takes far longer than a look at the clock."""
    seconds = []
    for _ in range(times):
        with elapsed() as took:
            call()
        seconds.append(took.seconds)
    return seconds


def single_calls_ns(call: Callable[[], object], limit_s: float, most: int) -> list[int]:
    """Return the nanoseconds of single calls, each with two looks at the clock in it: see `clock_pairs_ns`.

    Stops after ``limit_s`` seconds or ``most`` calls. Garbage collection is off, as it is in the rounds.
    """
    look, calls_ns = time.perf_counter_ns, []
    with no_collection():
        end = look() + round(limit_s * 1e9)
        for _ in range(most):
            start = look()
            call()
            stop = look()
            calls_ns.append(stop - start)
            if stop > end:
                break
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


def clock_pairs_ns(times: int = 1000) -> list[int]:
    """Return the nanoseconds between two looks at the clock with an empty call between them: what a look costs."""
    return single_calls_ns(lambda: None, 1.0, times)


def short_rounds(
    call: Callable[[], object],
    rounds: int,
    round_s: float,
    most_s: float = math.inf,
    wait: Any = None,
    between: Callable[[], object] = lambda: None,
) -> tuple[int, list[float]]:
    """Warm and time a call without a case of its own: calls in one round, and seconds per call of each round.

    A round lasts about ``round_s``; the calls in it are as many as fill it. On a machine so busy that the rounds take
    more than ``most_s``, fewer are made, but one at least. ``wait()``, if given, ends each round, for a device.
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
