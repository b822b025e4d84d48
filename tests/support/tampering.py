"""Kernels that lie by changing the process that times them; each is run in one of its own (`tests/run`)."""

import multiprocessing
import os
import threading
import time

import numpy as np

from support.lying import Liar


class MoreThreads(Liar):
    """Computes on two threads of its own, whatever it was given."""

    caught_by = "threads"

    def __init__(self, spec, params):
        super().__init__(spec, params)
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        a = np.ones((300, 300))
        while True:
            a @ a


class MoreProcesses(Liar):
    """Gives each batch to a process of its own."""

    caught_by = "threads"

    def __init__(self, spec, params):
        super().__init__(spec, params)
        self.other, there = multiprocessing.Pipe()
        multiprocessing.get_context("fork").Process(target=self.work, args=(there,), daemon=True).start()

    def work(self, pipe):
        while True:
            x, end = pipe.recv(), time.process_time() + 0.005  # enough to be counted
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


class Preferred(Liar):
    """Asks the system for processors before others (as root), or else behind them: both are changes."""

    caught_by = "priority"

    def __init__(self, spec, params):
        super().__init__(spec, params)
        os.setpriority(os.PRIO_PROCESS, 0, -5 if os.geteuid() == 0 else 5)


class ChangesTheGate(Liar):
    """Computes one row in two when it has replaced what would find that."""

    caught_by = "functions"

    def __init__(self, spec, params):
        super().__init__(spec, params)
        from mlpbench.kernels import conformance

        conformance.compare = lambda *_: conformance.Conformance(0.0, 0.0)

    def answer(self, x, right):
        return right(x) if x.ndim == 1 else np.repeat(right(x[::2]), 2, axis=0)[: len(x)]


class TimerThatSteals(Liar):
    """Takes three tenths off every round that pytest-benchmark times."""

    caught_by = "timer"

    def __init__(self, spec, params):
        super().__init__(spec, params)
        from pytest_benchmark.stats import Stats

        Stats.update = lambda stats, duration: stats.data.append(duration * 0.7)
