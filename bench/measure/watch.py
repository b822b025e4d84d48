"""Watches one process: calibration spins before, between and after its cases, and the system's counters during each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlpbench.bench.machine.environment import available_cpus
from mlpbench.bench.measure import counters
from mlpbench.bench.measure.case import is_asynchronous, times_s, utc_s
from mlpbench.bench.measure.spin import best_spin
from mlpbench.bench.record.trust import read_trust
from mlpbench.bench.record.untrusted import Block
from mlpbench.bench.trust.disturbance import reasons

if TYPE_CHECKING:
    from mlpbench.bench.measure.counters import Counters
    from mlpbench.bench.plan.profiles import Case
    from mlpbench.kernels.base import Kernel

__all__ = ["Watch"]

#: Spins at each point: a few milliseconds, and a median.
SPINS = 7


@dataclass
class Watch:
    """What was seen of the cases so far. `begin` and `end` stand around the timing of one case."""

    windows: list[dict[str, Any]] = field(default_factory=list)
    #: What else was found out about the kernel; goes into the block as it is.
    more: dict[str, Any] = field(default_factory=dict)
    _began_utc_s: float = 0.0
    _spins: list[float] = field(default_factory=list)
    _before: Counters | None = None
    _first: Counters | None = None

    def begin(self) -> None:
        """Look, just before a case is timed."""
        best_spin()  # made here, so that making it is no part of any window, and after the kernel's own imports
        self._spins = self._spin()
        self._began_utc_s = utc_s()
        self._before = counters.read()
        self._first = self._first or self._before

    def end(self, kernel: Kernel, case: Case) -> None:
        """Look again, just after."""
        if self._before is None:
            raise RuntimeError("the end of a case that did not begin")
        counted = counters.since(self._before, counters.read())
        spins = {"began_utc_s": self._began_utc_s, "spins_before_s": self._spins, "spins_after_s": self._spin()}
        self.more["compile_s"] = kernel.compiled_s()
        self.more["pool_bytes"] = kernel.describe().get("pool_bytes")
        self.windows.append({**case.as_dict(), "waits": is_asynchronous(kernel), **spins, **counted.as_dict()})

    @staticmethod
    def _spin() -> list[float]:
        run = best_spin().run
        return times_s(lambda: run(1), SPINS)

    def as_dict(self, harness: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the block ``trust``; ``harness`` holds pytest-benchmark's rows about the harness itself."""
        block: dict[str, Any] = {
            "spin": best_spin().facts(),
            "cpus": available_cpus(),
            "windows": self.windows,
            "self_test": [_known(row) for row in harness],
            **self.more,
        }
        if self._first is not None:
            lived = counters.since(self._first, counters.read())
            block["clock"] = {"clock_s": lived.wall_s, "raw_s": lived.raw_s}
        # As this version judges; readers judge again from the values above.
        return block | {"disturbed": list(reasons(read_trust(Block(block, "trust"))))}


def _known(row: dict[str, Any]) -> dict[str, Any]:
    facts = {key: row["extra_info"][key] for key in ("mode", "length", "calls")}
    return {**facts, "iterations": row["stats"]["iterations"], "rounds_s": row["stats"]["data"]}
