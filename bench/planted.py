"""Kernels with a known slowdown, for `mlpbench calibrate`: no competitors, and in no list.

Each call computes what the kernel `BASE` computes and then spins for a share of the time that this took, so that the
slowdown is known whatever the machine. ``planted-0-a`` to ``-g`` spin for nothing: all sides pay the same for the
wrapper itself.
"""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from bench.measure import elapsed
from kernels import registry
from kernels.base import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernels.params import Params
    from kernels.spec import ForwardSpec

__all__ = ["BASE", "SAME", "SLOWED", "Planted", "Planted2", "Planted3", "Planted5", "Planted10"]

BASE = "numpy"
#: The sides of A/A comparisons: 21 pairs, so that two blocks of repeats make more than 200 of five cases.
SAME = tuple(f"planted-0-{letter}" for letter in "abcdefg")
#: Kernels with a slowdown, as a share.
SLOWED = {"planted-2": 0.02, "planted-3": 0.03, "planted-5": 0.05, "planted-10": 0.1}

#: Calls of a shape before it is timed: caches and thread pools are warm by then.
WARM_CALLS = 3
#: Seconds of one look at the clock, and of all of them together.
BLOCK_S, LOOKS_S = 1e-3, 0.05
FEWEST_LOOKS, MOST_LOOKS = 5, 41
#: Turns of the spin that are timed to know what one costs: about a millisecond.
TURNS = 100_000


def spin(turns: int) -> None:
    """Do nothing, ``turns`` times; some nanoseconds each, in the interpreter's own C."""
    deque(itertools.repeat(None, turns), maxlen=0)


class Planted(Kernel):
    """The kernel `BASE`, slower by `share`."""

    backend = "numpy"
    distributions = ("numpy",)
    share: ClassVar[float] = 0.0

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        inner = registry.load(BASE)(spec, params)
        self._forward, self._forward_one = inner.forward, inner.forward_one
        self._turns: dict[int, int] = {}
        self._seen: dict[int, list[Any]] = {}

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch, a little later."""
        y = self._forward(x)
        turns = self._turns.get(len(x))
        spin(self._learn(len(x), self._forward, x) if turns is None else turns)
        return y

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample, a little later."""
        y = self._forward_one(x)
        turns = self._turns.get(0)
        spin(self._learn(0, self._forward_one, x) if turns is None else turns)
        return y

    def _learn(self, key: int, call: Callable[[Any], Any], x: Any) -> int:
        """Return how long to spin for a shape: not at all until it is warm, and then what its share of a call is."""
        seen = self._seen.setdefault(key, [])
        seen.append(x)
        if len(seen) >= WARM_CALLS:
            # Different inputs, as when it is timed; they are let go afterwards.
            self._turns[key] = round(self.share * _turns_per_call(call, self._seen.pop(key)))
        return 0


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


def _turns_per_call(call: Callable[[Any], Any], inputs: list[Any]) -> float:
    """Return how many turns of the spin take as long as one call.

    Calls and turns are timed by turns: whatever slows the machine for a moment slows both.
    """
    with elapsed() as one:
        call(inputs[0])
    times = max(1, round(BLOCK_S / max(one.seconds, 1e-9) / len(inputs)))
    looks: list[float] = []
    spent = 0.0
    while len(looks) < FEWEST_LOOKS or (spent < LOOKS_S and len(looks) < MOST_LOOKS):
        with elapsed() as calls:
            for _ in range(times):
                for x in inputs:
                    call(x)
        with elapsed() as turns:
            spin(TURNS)
        looks.append(calls.seconds / turns.seconds)
        spent += calls.seconds + turns.seconds
    return statistics.median(looks) * TURNS / (times * len(inputs))
