"""Kernels with a known slowdown, for `mlpbench calibrate`: no competitors, and in no list.

Each call computes what the kernel `BASE` computes, and then spins for a share of the time that just this call took: the
slowdown is known whatever the machine, the inputs, and what else runs. ``planted-0-a`` to ``-g`` spin for nothing: all
sides pay the same for the wrapper itself.
"""

from __future__ import annotations

import statistics
from itertools import pairwise
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, ClassVar

from mlpbench.kernels import registry
from mlpbench.kernels.base import Kernel

if TYPE_CHECKING:
    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import ForwardSpec

__all__ = ["BASE", "SAME", "SLOWED", "Planted", "Planted2", "Planted3", "Planted5", "Planted10"]

BASE = "numpy"
#: The sides of A/A comparisons: 21 pairs, so that two blocks of repeats make more than 200 of five cases.
SAME = tuple(f"planted-0-{letter}" for letter in "abcdefg")
#: Kernels with a slowdown, as a share.
SLOWED = {"planted-2": 0.02, "planted-3": 0.03, "planted-5": 0.05, "planted-10": 0.1}

#: Looks at the clock that tell how long one takes.
LOOKS = 201


def look_ns() -> float:
    """Return how long a look at the clock takes, in nanoseconds: a spin cannot end between two."""
    return statistics.median(b - a for a, b in pairwise([perf_counter_ns() for _ in range(LOOKS)]))


class Planted(Kernel):
    """The kernel `BASE`, slower by `share`."""

    backend = "numpy"
    distributions = ("numpy",)
    share: ClassVar[float] = 0.0

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        inner = registry.load(BASE)(spec, params)
        self._forward, self._forward_one = inner.forward, inner.forward_one
        # A spin comes after what it takes without a slowdown, too; and it ends half a look late in the mean.
        self._own_ns = 0.0
        looks = (perf_counter_ns() for _ in range(LOOKS))
        self._own_ns = statistics.median(self._spin(now, now) for now in looks) - look_ns() / 2

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch, a little later."""
        began = perf_counter_ns()
        y = self._forward(x)
        self._spin(began, perf_counter_ns())
        return y

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample, a little later."""
        began = perf_counter_ns()
        y = self._forward_one(x)
        self._spin(began, perf_counter_ns())
        return y

    def _spin(self, began: int, ended: int) -> int:
        """Look at the clock until this share of the time between two moments has passed since the second.

        Returns the nanoseconds since the second.
        """
        until = ended + self.share * (ended - began) + self._own_ns
        while (now := perf_counter_ns()) < until:
            pass
        return now - ended


class Planted2(Planted):
    """2 % slower."""

    share = 0.02


class Planted3(Planted):
    """3 % slower."""

    share = 0.03


class Planted5(Planted):
    """5 % slower."""

    share = 0.05


class Planted10(Planted):
    """10 % slower."""

    share = 0.1
