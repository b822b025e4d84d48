"""Kernels that lie about their time, each in one way, and the name of the check that refuses each.

All of them pass the gate. ``caught_by`` names the check; docs/evidence/honesty.md has the same table in words.
"""

import multiprocessing
import os
import threading
import time
import zlib
from types import SimpleNamespace

import numpy as np

from mlpbench.kernels.base import Kernel
from mlpbench.kernels.mlp_numpy import NumpyKernel

GATE_ROWS = 101


class Liar(Kernel):
    """Right where `answer` does nothing else. ``forward`` and ``forward_one`` lie alike."""

    backend = "numpy"
    caught_by = "values"

    def __init__(self, spec, params):
        super().__init__(spec, params)
        self.right, self.kept = NumpyKernel(spec, params), {}

    def forward(self, x):
        return self.answer(x, self.right.forward)

    def forward_one(self, x):
        return self.answer(x, self.right.forward_one)

    def answer(self, x, right):
        return right(x)


class MemoByChecksum(Liar):
    """Keeps results under a key of the inputs: right always, and fast only on what it has seen."""

    caught_by = "memory"

    def answer(self, x, right):
        key = (x.shape, self.key(x))
        if key not in self.kept:
            self.kept[key] = right(x), x  # else another array could come to lie at its address
        return self.kept[key][0].copy()

    def key(self, x):
        return zlib.adler32(x.data if x.flags.c_contiguous else x.tobytes())


class MemoByAddress(MemoByChecksum):
    caught_by = "values"

    def key(self, x):
        return x.ctypes.data


class MemoByFewValues(MemoByAddress):
    """Two numbers of the inputs tell those of the gate apart; they are all that changes between its batches."""

    def key(self, x):
        return float(x.ravel()[0]), float(x.ravel()[-1]), x.ctypes.data


class WrongInLargeBatches(Liar):
    """Every thousandth row of large batches is the one before it."""

    def answer(self, x, right):
        y = right(x)
        if x.ndim == 2 and len(x) > 4096:
            y[999::1000] = y[998::1000]
        return y


def every_other(x, right):
    """Compute one row in two."""
    return np.repeat(right(np.ascontiguousarray(x[::2])), 2, axis=0)[: len(x)]


class RightForTheGateOnly(Liar):
    """Right at the sizes of the gate."""

    def answer(self, x, right):
        return right(x) if x.ndim == 1 or len(x) in (*range(6), 10, 37, GATE_ROWS, 100) else every_other(x, right)


class FirstResultForEver(Liar):
    """Of a shape. The gate has other shapes than the cases, and its own instance."""

    def answer(self, x, right):
        y = right(x)
        return y if x.ndim == 1 else self.kept.setdefault(x.shape, y).copy()


class WorksInFromHost(Liar):
    """Computes before the clock starts."""

    def from_host(self, x):
        return SimpleNamespace(x=x, y=self.right.forward(x))

    def to_host(self, y):
        return y if isinstance(y, np.ndarray) else y.x

    def forward(self, x):
        return x.y.copy()

    forward_one = forward


class WorksInFromHostReadOnly(WorksInFromHost):
    """The same, in arrays of NumPy that say that they cannot be written to."""

    def from_host(self, x):
        there = x.copy().view(type("ReadOnly", (np.ndarray,), {}))
        there.flags.writeable = False
        there.y = self.right.forward_one(x) if x.ndim == 1 else self.right.forward(x)
        return there

    def to_host(self, y):
        return y


class WorksInToHost(Liar):
    """Computes when the clock has stopped, on a copy, so that writing over the inputs does not show."""

    caught_by = "transfers"

    def to_host(self, y):
        return y if isinstance(y, np.ndarray) else self.right.forward(y.x)  # inputs are asked for, too

    def forward(self, x):
        return SimpleNamespace(x=x.copy())

    forward_one = forward


class WorksInToHostOnOneRow(WorksInToHost):
    """Puts single calls off alone: microseconds."""

    def forward(self, x):
        return self.right.forward(x)


class WorksInAThread(Liar):
    """Returns an array that a thread has yet to fill. `to_host`, of which the gate makes use, waits for it."""

    thread = None

    def forward(self, x):
        self.to_host(x)
        y = np.zeros((len(x), self.spec.n_out), self.spec.np_dtype)
        self.thread = threading.Thread(target=self.fill, args=(x, y))
        self.thread.start()
        return y

    def fill(self, x, y):
        time.sleep(0.0005)
        with np.errstate(all="ignore"):  # of the thread that asks, it is not that of this one
            y[:] = self.right.forward(x)

    def forward_one(self, x):
        return self.forward(x[None])[0]

    def to_host(self, y):
        if self.thread is not None:
            self.thread.join()
        return y


class OverwritesItsInputs(Liar):
    """Saves the allocation of a large batch's first layer; the gate's batches are smaller."""

    caught_by = "inputs"

    def answer(self, x, right):
        y = right(x)
        if x.ndim == 2 and len(x) > GATE_ROWS:
            x[:, :50] *= x.dtype.type(0.5)
        return y


class ReturnsKeptBuffers(Liar):
    """Says "new", and gives the same array again, or ``buffers`` of them in turn."""

    caught_by = "aliasing"
    buffers, calls = 1, 0

    def answer(self, x, right):
        y = right(x)
        self.calls += 1
        kept = self.kept.setdefault((x.shape, self.calls % self.buffers), y)
        kept[:] = y
        return kept


class ReturnsKeptBuffersInTurn(ReturnsKeptBuffers):
    buffers = 2


#: Those that the checks of one case refuse.
BY_VALUES = [MemoByAddress, MemoByFewValues, MemoByChecksum, WrongInLargeBatches, RightForTheGateOnly]
BY_VALUES += [FirstResultForEver, WorksInFromHost, WorksInFromHostReadOnly, WorksInToHost, WorksInToHostOnOneRow]
BY_VALUES += [WorksInAThread, OverwritesItsInputs, ReturnsKeptBuffers, ReturnsKeptBuffersInTurn]


class Tampers(Liar):
    """Changes the process that times it, which is one of its own (`tests/run`), as it is made."""

    def __init__(self, spec, params):
        super().__init__(spec, params)
        self.tamper()


class MoreThreads(Tampers):
    """Computes on a thread of its own too, whatever it was given."""

    caught_by = "threads"

    def tamper(self):
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        a = np.ones((300, 300))
        while True:
            a @ a


class MoreProcesses(Tampers):
    """Gives each batch to a process of its own."""

    caught_by = "threads"

    def tamper(self):
        self.other, there = multiprocessing.Pipe()
        multiprocessing.get_context("fork").Process(target=self.work, args=(there,), daemon=True).start()

    def work(self, pipe):
        while True:
            x, end = pipe.recv(), time.process_time() + 0.02  # enough to be counted in few rounds
            while time.process_time() < end:
                y = self.right.forward(x)
            pipe.send(y)

    def answer(self, x, right):
        if x.ndim == 1:
            return right(x)
        self.other.send(x)
        return self.other.recv()


class AffinityTakenBack(Liar):
    caught_by = "affinity"

    def answer(self, x, right):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        return right(x)


class Preferred(Tampers):
    """Asks the system for processors before others (as root), or else behind them: both are changes."""

    caught_by = "priority"

    def tamper(self):
        os.setpriority(os.PRIO_PROCESS, 0, -5 if os.geteuid() == 0 else 5)


class ChangesTheGate(Tampers):
    """Computes one row in two when it has replaced what would find that."""

    caught_by = "functions"

    def tamper(self):
        from mlpbench.kernels import conformance

        conformance.compare = lambda *_: conformance.Conformance(0.0, 0.0)

    def answer(self, x, right):
        return right(x) if x.ndim == 1 else every_other(x, right)


class TimerThatSteals(Tampers):
    """Takes three tenths off every round that pytest-benchmark times."""

    caught_by = "timer"

    def tamper(self):
        from pytest_benchmark.stats import Stats

        Stats.update = lambda stats, duration: stats.data.append(duration * 0.7)
