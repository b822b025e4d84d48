"""Checks of a kernel's times and of what it returns, when its rounds are over (docs/evidence/honesty.md).

New values are written over the inputs: a kernel that keeps results then answers for the old ones, and one that puts
work off is too late. How processors were used beside the rounds stands in Linux's schedstat, for each thread.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.cases import CPU, Case
from mlpbench.bench.clock import elapsed, processor_s, raw_s
from mlpbench.bench.machine import look
from mlpbench.bench.measure.case import Prepared, memory, prepare
from mlpbench.bench.record.trust import Refusal
from mlpbench.kernels import conformance
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import NonConforming
from mlpbench.kernels.params import Params

#: A time is tried so often before a kernel is refused for it: something else may have run just then.
TRIES = 45
#: Threads that work at a time may be above those that were given by so much: some spin on.
SPARE_THREADS = 0.3

_Array = NDArray[Any]


@dataclass
class Calls:
    """Single calls of a case: ``inputs``, where the kernel reads them, hold ``rows`` during the rounds."""

    kernel: Kernel
    case: Case
    forward: Callable[[Any], Any]
    inputs: list[Any]
    rows: _Array
    rng: np.random.Generator

    def new_values(self) -> _Array:
        """Return rows that no call has seen; zeros stay zeros."""
        factors = self.rng.uniform(0.75, 1, (1, self.rows.shape[1])).astype(self.rows.dtype)
        return self.kernel.nearest(self.rows * factors)

    def split(self, rows: _Array) -> list[_Array]:
        """Return rows as one array for each input."""
        return list(rows) if self.case.mode == "per_sample" else np.split(rows, len(self.inputs))

    def put(self, rows: _Array) -> None:
        """Write rows over the inputs; those that cannot be written to, as JAX's, become others."""
        for number, x in enumerate(self.split(rows)):
            if not self.write(self.inputs[number], x):
                self.inputs[number] = self.kernel.from_host(x)

    def write(self, there: Any, values: _Array) -> bool:
        """Write values over one input; return whether that can be done."""
        host = memory(self.kernel, there)
        if host is not None and host.dtype == values.dtype:
            np.copyto(host, values)
            return True
        try:
            self.kernel.overwrite(there, values)
        except (TypeError, ValueError, RuntimeError):  # it cannot be written to
            return False
        self.kernel.synchronize(there)
        return True

    def call(self, there: Any) -> Any:
        """Return the result for one input, when it is there."""
        y = self.forward(there)
        self.kernel.synchronize(y)
        return y


@dataclass
class Checks:
    """The checks of one kernel in one process. ``x``: the timed inputs, (rows, n_in)."""

    kernel: Kernel
    params: Params
    x: _Array
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    refusals: list[Refusal] = field(default_factory=list)
    _last: dict[Case, tuple[_Array, _Array]] = field(default_factory=dict, repr=False)

    def keep(self, case: Case, prepared: Prepared, result: Any) -> None:
        """Keep what the last timed call of a case returned, just after it, and its inputs."""
        following = prepared.take()
        last = next(n for n, batch in enumerate(prepared.batches) if batch is following) - 1
        x = self._rows(case, last % len(prepared.batches), 1)
        self._last[case] = x[-1] if case.mode == "per_sample" else x, snapshot(self.kernel, result)

    def examine(self, case: Case, prepared: Prepared) -> None:
        """Check a case when all rounds are over: its last timed result, and calls on values that are new."""
        if not prepared.batches:
            self._examine_book(case)
            return
        if case in self._last:
            self._judge(case, "the last timed result", [self._last.pop(case)])
        calls = self.calls(case, prepared)
        self._call_on_new_values(calls)
        if reason := _puts_off(calls):
            self._refuse(case, "transfers", reason)
        calls.put(calls.rows)

    def calls(self, case: Case, prepared: Prepared) -> Calls:
        """Return calls on a hundred rows of a case, or a batch, drawn at random."""
        first = int(self.rng.integers(len(prepared.batches)))
        batches = prepared.batches[first : first + math.ceil(100 / case.batch_size)]
        inputs = [row for batch in batches for row in batch] if case.mode == "per_sample" else list(batches)
        rows = self._rows(case, first, len(batches)).copy()
        return Calls(self.kernel, case, prepared.forward, inputs, rows, self.rng)

    def _examine_book(self, case: Case) -> None:
        """Call as the book's cell does: its batches may be of a size of their own."""
        kernel, x = self.kernel, self.x[: case.batch_size].copy()
        if case.batch_size == 1:
            x = x[0]
        y = (kernel.forward_one if x.ndim == 1 else kernel.forward)(kernel.from_host(x))
        kernel.synchronize(y)
        self._judge(case, "a call after the rounds", [(x, snapshot(kernel, y))])

    def _rows(self, case: Case, first: int, batches: int) -> _Array:
        return self.x[first * case.batch_size : (first + batches) * case.batch_size]

    def _call_on_new_values(self, calls: Calls) -> None:
        """Check results whose inputs are written over before they are fetched, and that calls write to nothing else."""
        new, results, copies = calls.new_values(), list[Any](), list[tuple[_Array, _Array]]()
        calls.put(new)
        for there, x in zip(calls.inputs, calls.split(new), strict=True):
            y = calls.call(there)
            host = memory(self.kernel, there)
            if host is not None and not np.array_equal(host, x, equal_nan=True):
                self._refuse(calls.case, "inputs", "a call wrote to its inputs")
            calls.write(there, x[::-1].copy())
            results.append(y)
            copies.append((x, snapshot(self.kernel, y)))
        self._judge(calls.case, "a call after the rounds", copies, most=1000)
        for _ in range(2):  # a kernel may use two buffers in turn
            calls.put(calls.new_values())
            calls.call(calls.inputs[0])
        is_same = (
            np.array_equal(snapshot(self.kernel, y), kept, equal_nan=True)
            for y, (_, kept) in zip(results, copies, strict=True)
        )
        if self.kernel.returns == "new" and not all(is_same):
            reason = 'it says that it returns new arrays, and a later call changed one ("kept")'
            self._refuse(calls.case, "aliasing", reason)

    def _judge(self, case: Case, what: str, results: Sequence[tuple[_Array, _Array]], most: int | None = None) -> None:
        """Hold pairs of inputs and outputs against the reference; draw ``most`` rows, or as many as take a second."""
        spec = self.kernel.spec
        for x, y in results:
            shape = (*x.shape[:-1], spec.n_out)
            if (y.shape, y.dtype) != (shape, spec.np_dtype):
                its = "no array of numbers" if y.dtype == np.bool_ else f"{y.dtype} of shape {y.shape}"
                self._refuse(case, "values", f"{what} is {its}, expected {spec.dtype} of shape {shape}")
                return
        x, y = (np.vstack(part) for part in zip(*results, strict=True))
        affordable = max(100, int(1e9 / spec.flop(1)))  # a second or so of the reference, and a hundred rows at least
        drawn = min(most or affordable, affordable)
        if len(x) > drawn:
            chosen = self.rng.choice(len(x), drawn, replace=False)
            x, y = x[chosen], y[chosen]
        params = self.params.astype(spec.dtype)
        try:
            for start in range(0, len(x), 1000):  # parts that stay in a cache
                part = slice(start, start + 1000)
                right = conformance.expected(spec, params, x[part], self.kernel.arithmetic)
                conformance.compare(*right, y[part], what)
        except NonConforming as reason:
            self._refuse(case, "values", f"{reason}, for values that it had not seen when it was warmed")

    def _refuse(self, case: Case, check: str, reason: str) -> None:
        refusal = Refusal.of(case, check, reason)
        if refusal not in self.refusals:
            self.refusals.append(refusal)


def _puts_off(calls: Calls) -> str | None:
    """Return how long `to_host` of a kernel on the CPU takes, where it does more than copy a result; else None."""
    kernel = calls.kernel
    if kernel.device != CPU or type(kernel).to_host is Kernel.to_host:
        return None
    call_s = back_s = copy_s = math.inf
    for tried in range(TRIES):
        with elapsed() as call:
            y = calls.call(calls.inputs[0])
        with elapsed() as back:
            host = kernel.to_host(y)
        with elapsed() as copy:
            _ = host.copy() if isinstance(host, np.ndarray) else None
        call_s, back_s, copy_s = min(call_s, call.seconds), min(back_s, back.seconds), min(copy_s, copy.seconds)
        # Three copies of the result, a call of Python and a quarter of a call of the kernel are no work.
        if tried > 1 and back_s <= 3 * copy_s + 2e-6 + call_s / 4:
            return None
    return f"to_host takes {1e6 * back_s:.3g} us, a copy {1e6 * copy_s:.2g} us, a call {1e6 * call_s:.3g} us"


def snapshot(kernel: Kernel, y: Any) -> _Array:
    """Return a copy of a result, of NumPy's arrays without `to_host`, which could still work on it.

    What is no array on the host, as a list, becomes an empty array of bool.
    """
    host = y if isinstance(y, np.ndarray) else kernel.to_host(y)
    return np.array(host, ndmin=1) if isinstance(host, np.ndarray) else np.empty(0, np.bool_)


def wrong(kernel: Kernel, params: Params, x: _Array, cases: Sequence[Case]) -> list[Refusal]:
    """Return what a run would refuse a kernel for, but for what rests on a time; causes first."""
    checks = Checks(kernel, params, x.copy())
    prepared = {case: prepare(kernel, case, checks.x) for case in cases}
    for case, ready in prepared.items():
        for _ in range(6):  # what it remembers, it remembers by then
            y = ready.call()
        checks.keep(case, ready, y)
    for case, ready in prepared.items():
        checks.examine(case, ready)
    refusals = [refusal for refusal in checks.refusals if not refusal.by_time]
    # Where there are others, that inputs are written to is their cause.
    return sorted(refusals, key=lambda refusal: refusal.check != "inputs")


def rounds_off(rounds_s: Sequence[float], spans_s: Sequence[float]) -> str | None:
    """Return how rounds do not fit the spans of the raw clock around them; None where they do.

    A round may be off by 2 % and 0.1 ms, in which pytest-benchmark does its own work; two, and one in four, by more:
    somebody else has the processor now and then.
    """
    pairs = zip(rounds_s, spans_s, strict=True)
    off = sum(not -1e-4 - 0.02 * span <= seconds - span <= 0.02 * span for seconds, span in pairs)
    if off <= max(2, len(rounds_s) / 4):
        return None
    share = sum(rounds_s) / sum(spans_s)
    return f"{off} of {len(rounds_s)} rounds are off: together they say {share:.0%} of the time on the raw clock"


@contextmanager
def waiting(*, every: bool) -> Iterator[Callable[[], int | None]]:
    """Yield what returns how many nanoseconds this thread has waited for a processor, or ``every`` thread has.

    Those that look for us do not count. It returns None where the system keeps no such count.
    """
    files = []
    for task in _tasks() if every else [Path("/proc/thread-self")]:
        with suppress(OSError):  # it has just ended
            files.append(os.open(task / "schedstat", os.O_RDONLY))

    def waited_ns() -> int | None:
        total = None
        for file in files:
            with suppress(OSError, IndexError, ValueError):  # the thread has just ended
                total = (total or 0) + int(os.pread(file, 64, 0).split()[1])
        return total

    try:
        yield waited_ns
    finally:
        for file in files:
            os.close(file)


@dataclass
class Usage:
    """How long threads, but those that look for us, worked or waited to in the timed blocks of a case.

    Threads that take turns do both no longer than the wall clock says. ``children_s``: of processes that it started.
    """

    wall_s: float = 0.0
    used_s: float = 0.0
    waited_s: float = 0.0
    children_s: float = 0.0

    @contextmanager
    def of_block(self) -> Iterator[None]:
        """Add what is used meanwhile."""
        wall_s, used_s, waiting_s, of_children_s = raw_s(), processor_s() - look.helpers_s(), waited_s(), children_s()
        yield
        self.wall_s += raw_s() - wall_s
        self.used_s += processor_s() - look.helpers_s() - used_s
        self.waited_s += waited_s() - waiting_s
        self.children_s += children_s() - of_children_s

    def too_many(self, given: int) -> str | None:
        """Return how many threads worked at a time, or could have, where it is more than so many; else None."""
        # The system counts the time of children in hundredths of a second: a tenth tells something.
        if self.children_s > SPARE_THREADS * max(self.used_s, 0.1):
            return f"processes that it started worked for {self.children_s:.2g} s, it itself for {self.used_s:.2g} s"
        ready_s = self.used_s + self.waited_s
        if ready_s <= (given + SPARE_THREADS) * self.wall_s:
            return None
        return f"its threads work as {ready_s / self.wall_s:.1f} do, of {given} that were given"


def _tasks() -> Iterator[Path]:
    """Yield the folder of each thread of this process but those that look for us."""
    ours = {str(number) for number in look.helpers()}
    yield from (task for task in Path("/proc/self/task").glob("[0-9]*") if task.name not in ours)


def waited_s() -> float:
    """Return how long the threads of this process, but those that look for us, have waited for a processor."""
    with waiting(every=True) as waited_ns:
        return (waited_ns() or 0) / 1e9


def children_s() -> float:
    """Return the processor time of the processes that this one has started and that still run."""
    seconds = 0.0
    for task in _tasks():
        with suppress(OSError, ValueError, IndexError):
            for child in (task / "children").read_text().split():
                words = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return seconds
