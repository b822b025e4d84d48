"""Watches one process: calibration spins before, between and after its cases, and the system's counters during each."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import asdict, replace

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import clocks, times_s, utc_s
from mlpbench.bench.machine import look
from mlpbench.bench.machine.spin import best_spin
from mlpbench.bench.measure.case import is_asynchronous
from mlpbench.bench.measure.cold import pool_bytes
from mlpbench.bench.record.trust import Clocks, Counters, Known, SpinFacts, Trust, Window
from mlpbench.bench.trust.disturbance import reasons
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.base import processors as available_cpus

#: Spins at each point: a few milliseconds, and a median.
SPINS = 7


@dataclass
class Watch:
    """What was seen of the cases so far. `begin` and `end` stand around the timing of a case, or of a block of it.

    ``in_turns``: cases take turns. Then one spin stands between two blocks, and a case has one of each of its blocks.
    """

    in_turns: bool = False
    seen: dict[Case, Window] = field(default_factory=dict)
    #: What else was found out about the kernel: further members of `Trust`.
    more: dict[str, Any] = field(default_factory=dict)
    _began_utc_s: float = 0.0
    _spins: tuple[float, ...] = ()
    _before: Counters | None = None
    _first: Counters | None = None

    def begin(self) -> None:
        """Look, just before a case is timed."""
        best_spin()  # made here, so that making it is no part of any window, and after the kernel's own imports
        self._spins = self._spins if self.in_turns and self._spins else self._spin()
        self._began_utc_s = utc_s()
        self._before = read()
        self._first = self._first or self._before

    def end(self, kernel: Kernel, case: Case) -> None:
        """Look again, just after."""
        if self._before is None:
            raise RuntimeError("the end of a case that did not begin")
        counted = since(self._before, read())
        before, self._spins = self._spins, self._spin()
        window = Window(
            mode=case.mode,
            batch_size=case.batch_size,
            waits=is_asynchronous(kernel),
            began_utc_s=self._began_utc_s,
            spins_before_s=before,
            spins_after_s=self._spins,
            **asdict(counted),
        )
        self.more["compile_s"] = kernel.compiled_s()
        self.more["pool_bytes"] = pool_bytes(kernel)
        self.seen[case] = _joined(self.seen[case], window) if case in self.seen else window

    def _spin(self) -> tuple[float, ...]:
        run = best_spin().run
        return tuple(times_s(lambda: run(1), 1 if self.in_turns else SPINS))

    def trust(self, harness: Sequence[Known]) -> Trust:
        """Return the block ``trust``; ``harness``: what pytest-benchmark timed of the harness itself."""
        spin = best_spin()
        lived = None if self._first is None else since(self._first, read())
        found = Trust(
            spin=SpinFacts(spin.name, spin.instructions),
            cpus=available_cpus(),
            windows=tuple(self.seen.values()),
            self_test=tuple(harness),
            clock=Clocks() if lived is None else Clocks(lived.wall_s, lived.raw_s),
            **self.more,
        )
        # As this version judges; readers judge again from the values above.
        return replace(found, disturbed=reasons(found))


def _joined(one: Window, more: Window) -> Window:
    """Return the window of a case with that of one more block: counters are summed, spins follow each other."""
    grown: dict[str, Any] = {}
    for name in Counters.__struct_fields__:
        a, b = getattr(one, name), getattr(more, name)
        grown[name] = None if a is None or b is None else max(a, b) if name == "tasks" else a + b
    spins = {name: getattr(one, name) + getattr(more, name) for name in ("spins_before_s", "spins_after_s")}
    return replace(one, **grown, **spins)


#: Seconds that a control group's threads were held back because their share of processors was used up.
THROTTLED = ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat", "/sys/fs/cgroup/cpu,cpuacct/cpu.stat")
HEAT = Path("/sys/devices/system/cpu")


def read() -> Counters:
    """Read all counters."""
    now = vars(clocks())
    tasks, delay = _tasks()
    involuntary, voluntary = _switches()
    return Counters(
        **now,
        tasks=tasks,
        run_delay_s=delay,
        involuntary=involuntary,
        voluntary=voluntary,
        steal_s=_steal(),
        throttled_s=_throttled(),
        hot=_hot(),
    )


def since(before: Counters, after: Counters) -> Counters:
    """Return what was counted between two readings; ``tasks`` is the larger number of threads.

    A thread that ended in between takes its waiting with it: such a difference is never below zero.
    """
    then, now = asdict(before), asdict(after)
    grown: dict[str, Any] = {
        name: None if now[name] is None or then[name] is None else max(now[name] - then[name], type(now[name])(0))
        for name in now
    }
    threads = [count for count in (before.tasks, after.tasks) if count is not None]
    return Counters(**{**grown, "tasks": max(threads, default=None)})


def _tasks() -> tuple[int | None, float | None]:
    """Return the threads of this process, and the seconds that they waited while they could have run (Linux).

    Those that look for us are left out.
    """
    folder = Path("/proc/self/task")
    if not folder.is_dir():
        return None, None
    waited, threads = 0, 0
    for task in folder.iterdir():
        if int(task.name) in look.helpers():
            continue
        with suppress(OSError, IndexError, ValueError):  # the thread has just ended, or the kernel keeps no such count
            waited += int((task / "schedstat").read_text().split()[1])
            threads += 1
    return threads or None, waited / 1e9 if threads else None


@cache
def waiting() -> Callable[[], int] | None:
    """Return what tells for how many nanoseconds this thread has waited for a processor (Linux; None elsewhere)."""
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        int(os.pread(file, 64, 0).split()[1])
    except (OSError, IndexError, ValueError):  # the system keeps no such count
        return None
    return lambda: int(os.pread(file, 64, 0).split()[1])


def waited_share() -> float:
    """Return for how much of its time this process's first thread waited for a processor (Linux; 0 elsewhere)."""
    try:
        ran, waited, _ = map(int, Path("/proc/self/schedstat").read_text().split())
    except (OSError, ValueError):  # the system keeps no such count
        return 0.0
    return waited / max(ran + waited, 1)


def _switches() -> tuple[int | None, int | None]:
    if sys.platform == "win32":
        return None, None
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_nivcsw, used.ru_nvcsw


def _steal() -> float | None:
    try:
        lines = Path("/proc/stat").read_text().splitlines()
        ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        ticks = [int(words[8]) for words in map(str.split, lines) if words and words[0] in ours]
        return sum(ticks) / os.sysconf("SC_CLK_TCK") if len(ticks) == available_cpus() else None
    except (OSError, IndexError, ValueError, AttributeError):  # not Linux, or hidden
        return None


def _throttled() -> float | None:
    for path in map(Path, THROTTLED):
        with suppress(OSError, ValueError):
            counts = dict(line.split() for line in path.read_text().splitlines())
            if "throttled_usec" in counts:
                return int(counts["throttled_usec"]) / 1e6
            if "throttled_time" in counts:  # of the first version of control groups, in nanoseconds
                return int(counts["throttled_time"]) / 1e9
    return None


def _hot() -> int | None:
    found = []
    for path in HEAT.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"):
        with suppress(OSError, ValueError):
            found.append(int(path.read_text()))
    return sum(found) if found else None
