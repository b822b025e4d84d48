"""Kernels with a slowdown of known length, which no list shows: what `mlpbench calibrate` measures."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import pairwise
from time import perf_counter_ns
from typing import Any, ClassVar

from mlpbench.kernels import registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

BASE = "numpy"
#: The sides of A/A comparisons: 21 pairs, so that two blocks of repeats make more than 200 of five cases.
SAME = tuple(f"planted-0-{letter}" for letter in "abcdefg")
#: Kernels with a slowdown, as a share.
SLOWED = {"planted-2": 0.02, "planted-3": 0.03, "planted-5": 0.05, "planted-10": 0.1}

#: Looks at the clock that tell how long one takes.
LOOKS = 201


class Planted(Kernel):
    """The kernel `BASE`, slower by `share` of its time."""

    backend = "numpy"
    distributions = ("numpy",)
    share: ClassVar[float] = 0.0

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        inner = registry.load(BASE)(spec, params)
        self._forward, self._forward_one = inner.forward, inner.forward_one
        # A spin comes after what it takes without a slowdown, too; and it ends half a look late in the mean.
        self._own_ns = 0.0
        look_ns = statistics.median(b - a for a, b in pairwise([perf_counter_ns() for _ in range(LOOKS)]))
        looks = (perf_counter_ns() for _ in range(LOOKS))
        self._own_ns = statistics.median(self._spin(now, now) for now in looks) - look_ns / 2

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch, a little later."""
        return self._late(self._forward, x)

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample, a little later."""
        return self._late(self._forward_one, x)

    def _late(self, forward: Callable[[Any], Any], x: Any) -> Any:
        began = perf_counter_ns()
        y = forward(x)
        self._spin(began, perf_counter_ns())
        return y

    def _spin(self, began: int, ended: int) -> int:
        """Wait for this share of the time between two moments; return the nanoseconds since the second."""
        until = ended + self.share * (ended - began) + self._own_ns
        while (now := perf_counter_ns()) < until:
            pass
        return now - ended


#: The planted kernels, by name; no list shows them.
PLANTED: dict[str, type[Planted]] = dict.fromkeys(SAME, Planted)
PLANTED |= {
    name: type("Slowed", (Planted,), {"share": share, "__module__": __name__}) for name, share in SLOWED.items()
}


def plant() -> None:
    """Make the planted kernels known in this process."""
    for name, kernel_class in PLANTED.items():
        registry.add(name, kernel_class)
