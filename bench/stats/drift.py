"""How far the level of a whole run wanders on a machine, beyond what its repeats show. Knows no kernels and no files.

Two runs of the same kernel, minutes or days apart, differ by more than the scatter inside each tells: the processor,
and whoever shares it, is in another state. All repeats of a run agree on that state, so no number of them makes a
difference between two runs sure. It is a variance of its own (the highest level of T. Kalibera and R. Jones, "Rigorous
benchmarking in reasonable time", ISMM 2013), and `mlpbench calibrate` measures it: kernels that run side by side for a
quarter of an hour share it.

Work on one processor and work that is divided among several wander differently, most of all on virtual machines.

What it is worth, in per cent of 1,500 simulated cases for each cell (`scripts/drift_table.py`): equal cases of two runs
that are called different (in brackets: without this part of the variance) / cases 5 % slower that are found. A level
wanders by a standard deviation and forgets where it was within so many repeats; one calibration of 45 has measured it.

===================  ================  =================
level of a run       n = 5             n = 20
===================  ================  =================
still                0.0 ( 0.0) / 87   0.0 ( 0.0) / 100
0.5 %, 3 repeats     0.1 ( 0.2) / 78   0.0 ( 0.1) / 100
0.5 %, 10 repeats    0.1 ( 0.2) / 79   0.0 ( 0.1) / 98
0.5 %, 30 repeats    0.1 ( 0.2) / 80   0.1 ( 0.4) / 99
0.5 %, 100 repeats   0.1 ( 0.2) / 81   0.2 ( 0.5) / 99
1 %, 3 repeats       0.3 ( 1.0) / 51   0.0 ( 0.9) / 77
1 %, 10 repeats      0.5 ( 1.9) / 56   1.1 ( 4.6) / 73
1 %, 30 repeats      1.5 ( 2.7) / 65   2.9 ( 7.0) / 83
1 %, 100 repeats     3.1 ( 3.4) / 72   5.4 ( 8.6) / 91
3 %, 3 repeats       0.4 ( 9.0) / 5    0.3 (15.6) / 4
3 %, 10 repeats      2.7 (25.3) / 10   2.6 (40.3) / 10
3 %, 30 repeats      7.8 (34.0) / 27   8.1 (53.5) / 26
3 %, 100 repeats     22.7 (38.2) / 44  27.6 (57.1) / 45
===================  ================  =================

A level that moves more slowly than the calibration lasts is not seen by it: the lowest rows of a kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from mlpbench.bench.stats.estimates import Drift

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


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
#: (docs/verdicts.md), taken as if it were known exactly.
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
