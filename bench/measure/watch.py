"""Watches one process: how long its threads wait for processors, and what else its record says of it."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlpbench.bench.machine import look
from mlpbench.bench.record.trust import Known, Trust
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.base import processors as available_cpus


@dataclass
class Watch:
    """What a process's record says of it beside its times."""

    #: What else was found out about the kernel: further members of `Trust`.
    more: dict[str, Any] = field(default_factory=dict)

    def end(self, kernel: Kernel) -> None:
        """Look, just after a case was timed."""
        self.more["compile_s"] = kernel.compiled_s()
        self.more["pool_bytes"] = kernel.describe().pool_bytes

    def trust(self, harness: Sequence[Known]) -> Trust:
        """Return the block ``trust``; ``harness``: what pytest-benchmark timed of the harness itself."""
        return Trust(cpus=available_cpus(), self_test=tuple(harness), **self.more)


class Waiting:
    """How long threads of this process waited for a processor in each round while they could have run (Linux).

    This thread alone, or ``every`` one there is but those that look for us. ``rounds_ns`` stays empty where the system
    keeps no such count.
    """

    def __init__(self, *, every: bool) -> None:
        self.rounds_ns: list[int] = []
        self._began_ns: int | None = None
        self._files: list[int] = []
        ours = {str(number) for number in look.helpers()}
        tasks = Path("/proc/self/task").glob("[0-9]*") if every else [Path("/proc/thread-self")]
        for task in tasks:
            with suppress(OSError):  # it has just ended
                self._files += [] if task.name in ours else [os.open(task / "schedstat", os.O_RDONLY)]

    def round_begins(self) -> None:
        """Look, before a round."""
        self._began_ns = self._read_ns()

    def round_ended(self) -> None:
        """Look again behind it."""
        if self._began_ns is not None:
            self.rounds_ns.append(max(0, (self._read_ns() or 0) - self._began_ns))

    def close(self) -> None:
        """Let go of the system's files."""
        for file in self._files:
            os.close(file)

    def _read_ns(self) -> int | None:
        total = None
        for file in self._files:
            with suppress(OSError, IndexError, ValueError):  # the thread has just ended
                total = (total or 0) + int(os.pread(file, 64, 0).split()[1])
        return total
