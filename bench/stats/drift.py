"""How far the level of a whole run wanders on a machine, beyond what its repeats show. Knows no kernels and no files.

All repeats of a run agree on the state of the processor and of whoever shares it, so no number of them makes a
difference between two runs sure. It is a variance of its own (the highest level of T. Kalibera and R. Jones, "Rigorous
benchmarking in reasonable time", ISMM 2013), and `mlpbench calibrate` measures it. Work on one processor and work that
is divided among several wander differently. docs/statistics.md says what reckoning with it is worth.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from mlpbench.bench.stats.estimates import Drift

#: Repeats whose mean is one look at the level: a run of few repeats. Longer runs wander less: this is the safe side.
WINDOW = 5
#: Fewest looks that a standard deviation is taken from.
FEWEST_LOOKS = 4
#: No level of a run is taken to be known better. With more, equal runs could not be called the same at the usual
#: threshold, however many their repeats.
LEAST = 0.004


@dataclass(frozen=True)
class Drifts:
    """Of cases that used ``one`` processor, and ``several``; None where that was not measured."""

    one: Drift | None
    several: Drift | None

    def of(self, alone: bool) -> Drift:
        """Return what to expect of a case that one thread works on ``alone``, or several; assumed if not measured."""
        found = self.one if alone else self.several
        return found or (_ONE if alone else _SEVERAL)

    @property
    def widest(self) -> Drift:
        """The larger one."""
        return max(self.of(alone=True), self.of(alone=False), key=lambda drift: drift.sd)


_ONE, _SEVERAL = Drift(LEAST, math.inf), Drift(0.03, math.inf)
#: Where no calibration has measured it: what quiet virtual machines of two processors were seen to do
#: (docs/statistics.md), taken as if it were known exactly.
ASSUMED = Drifts(None, None)


def common_level(kernels: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """Return the logarithm of what kernels that ran side by side have in common, by repeat.

    ``kernels``: for each, a time for every repeat that counts. The median over kernels, each beside its own median: one
    slow process moves no level.
    """
    relative: dict[int, list[float]] = {}
    for by_repeat in kernels:
        usual = math.log(median(by_repeat.values()))
        for repeat, seconds in by_repeat.items():
            relative.setdefault(repeat, []).append(math.log(seconds) - usual)
    return {repeat: median(values) for repeat, values in sorted(relative.items())}


def measured(levels: Mapping[int, float]) -> Drift | None:
    """Return how the means of `WINDOW` repeats in a row scatter; None where there are fewer than `FEWEST_LOOKS`.

    At least `LEAST`: a quarter of an hour does not show what wanders over a day.
    """
    values = [levels[repeat] for repeat in sorted(levels)]
    looks = [np.mean(values[i : i + WINDOW]) for i in range(0, len(values) - WINDOW + 1, WINDOW)]
    if len(looks) < FEWEST_LOOKS:
        return None
    return Drift(max(float(np.std(looks, ddof=1)), LEAST), len(looks) - 1)


def widest(found: Sequence[Drift | None]) -> Drift | None:
    """Return the largest of the drifts of several cases, which stands for all of them; None if none was measured."""
    return max((drift for drift in found if drift), key=lambda drift: drift.sd, default=None)
