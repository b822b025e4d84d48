"""Stand-ins for the clock and for pytest-benchmark, and rows that can be told apart."""

from types import SimpleNamespace

import numpy as np

from mlpbench.bench import clock as clock_
from mlpbench.bench.measure import case


class Clock:
    """It moves when it is told to, and a little at every look."""

    now = 0.0

    def __call__(self):
        self.now += 1e-6
        return self.now


def stand_in(monkeypatch):
    """Put a clock in the place of the real one; return it."""
    clock = Clock()
    monkeypatch.setattr(case, "now", clock)
    monkeypatch.setattr(clock_.time, "perf_counter", clock)
    return clock


class FakeBenchmark:
    """Stand in for pytest-benchmark's fixture: it makes three rounds of ``iterations`` calls, and notes what they did.

    It calls ``warming`` times before them, half of it before there are statistics, and ``after`` times when they are
    over, as pytest-benchmark does for the result of the function.
    """

    def __init__(self, kernel=None, warming=0, iterations=1, after=0):
        self.extra_info = {}
        self.kernel = kernel
        self.before = None
        self.timed = None
        self.stats = None
        self.warming, self.iterations, self.after = warming, iterations, after

    def __call__(self, function):
        events = self.kernel.events if self.kernel else []
        self.before = list(events)
        for number in range(self.warming):
            if number == self.warming // 2:
                self._begin()
            function()
        self._begin()
        for _ in range(3):
            for _ in range(self.iterations):
                function()
            self.stats.stats.data.append(1.0)
        for _ in range(self.after):
            function()
        self.timed = events[len(self.before) :]

    def _begin(self):
        self.stats = self.stats or SimpleNamespace(stats=SimpleNamespace(data=[]), iterations=self.iterations)


class DisabledBenchmark(FakeBenchmark):
    """It is told not to time: it calls once, and has no statistics."""

    def __call__(self, function):
        function()


def rows(n):
    """Return n rows that can be told apart by their first number, from 1."""
    return np.arange(1, n + 1, dtype=np.float32)[:, None].repeat(3, 1)
