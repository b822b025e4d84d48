"""The harness measured by itself: kernels that do nothing, and work of known length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlpbench.bench.measure.case import prepare, times_s
from mlpbench.bench.measure.spin import best_spin
from mlpbench.bench.plan.profiles import PER_SAMPLE_ROWS, Case
from mlpbench.kernels.base import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

__all__ = ["GROUP", "KNOWN", "REPEATS", "NullKernel", "call_of", "time_known"]

#: pytest-benchmark's group of the rows that are about the harness.
GROUP = "harness"
#: (mode, length): a null kernel as each mode calls it, and spins of three lengths.
KNOWN = (("per_sample", 0), ("batched", 0), ("spin", 1), ("spin", 2), ("spin", 4))
#: Repeats of a run that have them: the others spend their time on the cases.
REPEATS = 5
#: All of them take a sixth of a second.
ROUNDS = 15
ROUND_S = 0.001


class NullKernel(Kernel):
    """Returns what it is given: what is timed is the harness and one call of an empty method."""

    backend = "none"

    def __init__(self) -> None:  # no specification and no parameters: nothing is computed
        self.result = np.zeros(10, np.float32)

    def forward(self, x: Any) -> Any:  # noqa: ARG002 - the contract's argument
        """Return the same array, whatever ``x`` is."""
        return self.result

    def forward_one(self, x: Any) -> Any:  # noqa: ARG002 - as above
        """Return the same array, whatever ``x`` is."""
        return self.result


def call_of(mode: str, length: int) -> Callable[[], object]:
    """Return what is timed: the null kernel behind the same preparation as any other, or ``length`` spins."""
    if length == 0:
        return prepare(NullKernel(), Case(mode, PER_SAMPLE_ROWS), np.zeros((2 * PER_SAMPLE_ROWS, 1), np.float32))
    run = best_spin().run
    return lambda: run(length)


def time_known(benchmark: BenchmarkFixture, mode: str, length: int) -> None:
    """Time the harness with the clock that it times kernels with."""
    call = call_of(mode, length)
    calls = max(1, round(ROUND_S / min(times_s(call, 10))))
    benchmark.group = GROUP
    benchmark.extra_info.update(
        {"mode": mode, "length": length, "calls": PER_SAMPLE_ROWS if mode == "per_sample" else 1}
    )
    benchmark.pedantic(call, rounds=ROUNDS, iterations=calls, warmup_rounds=1)  # type: ignore[no-untyped-call]
