"""How often verdicts are wrong, and how small a slowdown they find: from times with a known difference.

Kernels that differ by nothing, or by a planted slowdown, run side by side; their repeats are cut into blocks of as many
as a comparison has on each side. Two kernels of a block are compared as two kernels of one run (paired), kernels of
different blocks as two runs (unpaired), with what whole runs were seen to wander by (`wander`). Comparisons share
processes, so their cases are not independent, and the bound of the rate is narrower than it should be; ``disjoint``
counts comparisons, as a whole, that share no process.
"""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlpbench.bench.stats import estimates, verdicts
from mlpbench.bench.stats.estimates import NO_WANDER, Wander

#: The share of planted slowdowns that must be found for the tool to be said to find them.
FOUND = verdicts.POWER
#: Repeats that stand for a run of their own.
RUN = 5
#: Repeats that a block has at least, where it is made shorter so that there are two.
FEWEST = 12

#: (mode, batch size) -> repeat -> seconds per sample.
_ByRepeat = Mapping[int, float]
Times = Mapping[tuple[str, int], _ByRepeat]
#: Both sides of one case.
_Case = tuple[_ByRepeat, _ByRepeat]
#: Of comparisons, the repeats of either side; and which two of equal kernels the sides are.
_Places = list[tuple[list[int], list[int]]]
_Sides = list[tuple[int, int]]


@dataclass(frozen=True)
class Tally:
    """``hits`` of ``cases``."""

    hits: int
    cases: int

    @property
    def rate(self) -> float:
        """The share of hits; NaN of none."""
        return self.hits / self.cases if self.cases else float("nan")

    def bounds(self) -> tuple[float, float]:
        """Return the two-sided 95 % interval of the rate, C. J. Clopper and E. S. Pearson, Biometrika 26 (1934)."""
        from scipy.stats import binomtest

        if not self.cases:
            return 0.0, 1.0
        found = binomtest(self.hits, self.cases).proportion_ci(0.95, method="exact")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Kind:
    """One way to compare, paired or not. ``planted`` is the share of each slowdown -> cases in which it was found.

    ``false`` counts verdicts faster or slower where there is no difference, ``disjoint`` comparisons with any such
    verdict among those that share no process. ``scatter``: standard deviation of what one repeat leaves open.
    """

    false: Tally
    disjoint: Tally
    planted: dict[float, Tally]
    scatter: float

    @property
    def smallest(self) -> float | None:
        """The smallest planted slowdown that was found often enough, as were all larger ones; None if none was."""
        found = None
        for share in sorted(self.planted, reverse=True):
            if not self.planted[share].rate >= FOUND:
                break
            found = share
        return found


def fitting(sides: Collection[Times], repeats: int) -> int:
    """Return how many repeats a block is to have: at most ``repeats``, and `FEWEST` at least where that is less.

    Two runs are compared across blocks, so a block is half of the repeats that were measured where that is
    enough. Where it is not, there is one block of all of them, and two runs are not compared.
    """
    measured = len(_measured(sides))
    return max(min(FEWEST, repeats), min(repeats, measured // 2 if measured >= 2 * FEWEST else measured))


def _measured(sides: Collection[Times]) -> list[int]:
    """Return the repeats that any side has. A disturbed one is missing on one side: a comparison meets that too."""
    return sorted({repeat for times in sides for by_repeat in times.values() for repeat in by_repeat})


def evaluate(
    same: Sequence[Times],
    slowed: Mapping[float, Times],
    repeats: int,
    wander: Wander = NO_WANDER,
) -> tuple[Kind | None, Kind | None]:
    """Return what the times of equal kernels and of slowed ones show: paired, unpaired.

    ``same`` has the times of each equal kernel, ``slowed`` those of the kernel with each slowdown; ``wander`` is what
    two runs differ by anyway. A block is of repeats in the order in which they ran; of a case it has those that count,
    as in any comparison. Repeats that do not fill a last block are left out. None where there are not enough: paired
    needs one block, unpaired two.
    """
    measured = _measured([*same, *slowed.values()])
    blocks = [measured[i : i + repeats] for i in range(0, len(measured) - repeats + 1, repeats)]
    kernels = range(len(same))
    one_block, two_blocks = [(block, block) for block in blocks], list(itertools.combinations(blocks, 2))
    paired, unpaired = _Trials(same, slowed, True, NO_WANDER), _Trials(same, slowed, False, wander)
    pairs, apart = itertools.combinations(kernels, 2), zip(kernels[::2], kernels[1::2], strict=False)
    both, alone = itertools.product(kernels, kernels), zip(kernels, kernels, strict=True)
    two_apart = list(zip(blocks[::2], blocks[1::2], strict=False))
    return (
        paired.kind(one_block, list(pairs), one_block, list(apart)) if blocks else None,
        unpaired.kind(two_blocks, list(both), two_apart, list(alone)) if two_blocks else None,
    )


def wandered(sides: Sequence[Times], prior: Wander) -> Wander:
    """Return how far runs of `RUN` repeats wander, from the times of kernels that ran side by side."""
    measured = _measured(sides)
    runs = [measured[i : i + RUN] for i in range(0, len(measured) - RUN + 1, RUN)]
    times = {(number, case): own[case] for number, own in enumerate(sides) for case in own}
    return verdicts.learnt_wander(
        [{at: {n: own[n] for n in repeats if n in own} for at, own in times.items()} for repeats in runs], prior
    )


def seen_slowdowns(same: Sequence[Times], slowed: Mapping[float, Times]) -> dict[float, float]:
    """Return the slowdown that the times show for each planted one: the median over all cases, repeats and twins."""

    def ratios(times: Times) -> list[float]:
        return [
            times[case][repeat] / one[case][repeat]
            for one in same
            for case in times
            for repeat in times[case].keys() & one[case].keys()
        ]

    return {share: float(np.median(ratios(times))) - 1 for share, times in slowed.items()}


@dataclass(frozen=True)
class _Trials:
    """The comparisons of one kind."""

    same: Sequence[Times]
    slowed: Mapping[float, Times]
    paired: bool
    wander: Wander

    def kind(self, places: _Places, sides: _Sides, disjoint_places: _Places, disjoint_sides: _Sides) -> Kind:
        """Make all comparisons at each place (a block for either side), between two ``sides`` of ``same``."""
        equal, apart = (
            [self._cases(self.same[i], self.same[j], at) for at in where for i, j in who]
            for where, who in ((places, sides), (disjoint_places, disjoint_sides))
        )
        judged = [(a, b) for cases in equal for a, b in cases if self._can_be_judged(a, b)]
        errors = [estimates.difference(*sides, self.paired) for sides in judged]
        scatter = [math.sqrt(error.square * n) for _, error, n in errors if error]
        different = [not {"faster", "slower"}.isdisjoint(self._verdicts(cases)) for cases in apart]
        return Kind(
            false=_tally([word for cases in equal for word in self._verdicts(cases)], "faster", "slower"),
            disjoint=Tally(sum(different), len(different)),
            planted={share: self._found(times, places) for share, times in self.slowed.items()},
            scatter=float(np.quantile(scatter, 0.9)),
        )

    def _found(self, times: Times, places: _Places) -> Tally:
        trials = [self._cases(one, times, at) for at in places for one in self.same]
        return _tally([word for cases in trials for word in self._verdicts(cases)], "slower")

    def _cases(self, a: Times, b: Times, at: tuple[list[int], list[int]]) -> list[_Case]:
        one, other = (
            [{i: times[case][i] for i in repeats if i in times[case]} for case in a]
            for times, repeats in zip((a, b), at, strict=True)
        )
        return list(zip(one, other, strict=True))

    def _can_be_judged(self, a: _ByRepeat, b: _ByRepeat) -> bool:
        """Return whether enough repeats count on both sides."""
        return min(len(a), len(b), len(a.keys() & b.keys()) if self.paired else 2) >= 2

    def _verdicts(self, cases: list[_Case]) -> list[str]:
        judged = [case for case in cases if self._can_be_judged(*case)]
        found = verdicts.judge(judged, self.paired, verdicts.THRESHOLD, wander=self.wander)
        return [str(one.verdict) for one in found] + ["unclear"] * (len(cases) - len(judged))


def _tally(found: list[str], *words: str) -> Tally:
    return Tally(sum(word in words for word in found), len(found))
