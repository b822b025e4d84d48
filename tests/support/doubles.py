"""Kernels that record what is done with them, cannot run, or go wrong late; a clock and a benchmark."""

import os
import signal
import sys
from types import SimpleNamespace

import numpy as np

from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_numpy import NumpyKernel
from support import venvs


class RecordingKernel(Kernel):
    """Notes each call in ``events``. A row is known by its first number; a result is its rows' numbers, negated."""

    backend = "recording"

    def __init__(self, spec, params):
        super().__init__(spec, params)
        self.events = []

    def forward(self, x):
        self.events.append(("forward", *map(int, x[:, 0])))
        return -x[:, :1] * np.ones(self.spec.n_out, x.dtype)

    def forward_one(self, x):
        self.events.append(("forward_one", int(x[0])))
        return -x[:1] * np.ones(self.spec.n_out, x.dtype)

    def from_host(self, x):
        self.events.append(("from_host", x.shape))
        return x

    def to_host(self, y):
        self.events.append(("to_host", y.shape))
        return y


class AbsentKernel(NumpyKernel):
    """Has no driver."""

    @classmethod
    def probe(cls):
        raise KernelUnavailable("no driver [/bold] :x: of this kind")


class OnlyReluKernel(NumpyKernel):
    """Cannot express every specification."""

    @classmethod
    def supports(cls, spec):
        if spec.hidden != "relu":
            raise KernelUnavailable(f"no activation {spec.hidden}")


class ProbeRaises(NumpyKernel):
    @classmethod
    def probe(cls):
        sys.stdout.write('{"name": "not an answer"}\n')
        raise RuntimeError("the probe has a bug")


class ProbeDies(NumpyKernel):
    @classmethod
    def probe(cls):
        os.kill(os.getpid(), signal.SIGSEGV)


class ProbeIsLoud(NumpyKernel):
    """Prints rubbish without a newline, some of it looking like an answer."""

    @classmethod
    def probe(cls):
        sys.stdout.write("[]\n{\n{}\n1\nloading")


class ConstructorRaises(NumpyKernel):
    def __init__(self, spec, params):
        raise RuntimeError("no memory on the device")


class RaisesInLargeBatches(NumpyKernel):
    """Right in the gate, whose batches are smaller, and out of memory in the sweep."""

    def forward(self, x):
        if x.ndim == 2 and len(x) > 150:
            raise MemoryError(f"no room for {len(x)} rows")
        return super().forward(x)


def offer(folder, **kernels):
    """Install an entry point for each kernel in ``folder``, which then is to be put on the path; return the folder.

    Underscores in names become hyphens; values are names of classes here, or "module:Class".
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = {name: value if ":" in value else f"support.doubles:{value}" for name, value in kernels.items()}
    venvs.package(folder, "doubles", "1.0", {name.replace("_", "-"): value for name, value in values.items()})
    return folder


class Clock:
    """It moves when it is told to, and a little at every look."""

    now = 0.0

    def __call__(self):
        self.now += 1e-6
        return self.now


def stopped_clock(monkeypatch):
    """Put a `Clock` in the place of the real one; return it."""
    clock = Clock()
    for name in ("mlpbench.bench.measure.case.now", "mlpbench.bench.clock.time.perf_counter"):
        monkeypatch.setattr(name, clock)
    return clock


class FakeBenchmark:
    """Stands in for pytest-benchmark's fixture: it makes three rounds of one call, and notes what they did."""

    def __init__(self, kernel=None, now=None):
        self.extra_info, self.kernel, self.now = {}, kernel, now
        self.before = self.timed = self.stats = None

    def __call__(self, function):
        events = self.kernel.events if self.kernel else []
        self.before = list(events)
        for _ in range(3):
            function()
        self.timed = events[len(self.before) :]

    def pedantic(self, function, setup, rounds):
        self.stats = SimpleNamespace(stats=SimpleNamespace(data=[]))
        for _ in range(rounds):
            setup()
            before = self.now()
            result = function()
            self.stats.stats.data.append(self.now() - before)
        return result


def rows(n):
    """Return n rows that can be told apart by their first number, from 1."""
    return np.arange(1, n + 1, dtype=np.float32)[:, None].repeat(3, 1)
