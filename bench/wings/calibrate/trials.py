"""How often the verdicts of comparisons are right: of kernels that are equal, and of ones slowed by a known share.

Repeats are cut into blocks of as many as a comparison has on each side. Two kernels of a block are compared as two
kernels of one run (paired), kernels of different blocks as two runs (unpaired), with what whole runs were seen to
wander by. Comparisons share processes, so the bound of the rate is narrower than it should be; ``disjoint`` counts
comparisons, as a whole, that share none.
"""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlpbench.bench.stats import estimates, verdicts
from mlpbench.bench.stats.estimates import NO_WANDER, Wander
from mlpbench.bench.trust.calibration import KindEntry, PlantedEntry, TallyEntry

#: Repeats that stand for a run of their own.
RUN = 5
#: Repeats that a block has at least, where it is made shorter so that there are two.
FEWEST = 12

#: (mode, batch size) -> repeat -> seconds per sample.
_ByRepeat = Mapping[int, float]
Times = Mapping[tuple[str, int], _ByRepeat]
#: A comparison: one kernel in the repeats of a block, and another in those of the same block or another.
_Pair = tuple[Times, Sequence[int], Times, Sequence[int]]


def fitting(sides: Collection[Times], repeats: int) -> int:
    """Return how many repeats a block is to have, from `FEWEST` to ``repeats``: half of the measured ones, or all."""
    measured = len(_measured(sides))
    return max(min(FEWEST, repeats), min(repeats, measured // 2 if measured >= 2 * FEWEST else measured))


def _measured(sides: Collection[Times]) -> list[int]:
    """Return the repeats that any side has. A disturbed one is missing on one side: a comparison meets that too."""
    return sorted({repeat for times in sides for by_repeat in times.values() for repeat in by_repeat})


def _blocks(repeats: Sequence[int], length: int) -> list[Sequence[int]]:
    return [repeats[i : i + length] for i in range(0, len(repeats) - length + 1, length)]


def evaluate(
    same: Sequence[Times], slowed: Mapping[float, Times], repeats: int, wander: Wander = NO_WANDER
) -> tuple[KindEntry | None, KindEntry | None]:
    """Return what the times of equal kernels and of slowed ones show: paired, which needs a block, unpaired, two.

    ``slowed``: by slowdown; ``wander``: what two runs differ by anyway. A last block that is not full is left out.
    """
    blocks, twins = _blocks(_measured([*same, *slowed.values()]), repeats), list(itertools.pairwise(same))[::2]
    within, across = [(block, block) for block in blocks], list(itertools.combinations(blocks, 2))
    disjoint = list(itertools.pairwise(blocks))[::2]
    paired, unpaired = _Trials(True, NO_WANDER), _Trials(False, wander)
    pairs, squares, alone = itertools.combinations(same, 2), itertools.product(same, same), [(one, one) for one in same]
    planted = {share: [(one, times) for one in same] for share, times in sorted(slowed.items())}
    kinds = ((paired, within, pairs, (within, twins)), (unpaired, across, squares, (disjoint, alone)))
    one, two = (
        kind.kind(
            _at(places, list(equal)), _at(*sharing_none), {share: _at(places, both) for share, both in planted.items()}
        )
        if places
        else None
        for kind, places, equal, sharing_none in kinds
    )
    return one, two


def _at(places: Iterable[tuple[Sequence[int], Sequence[int]]], sides: Sequence[tuple[Times, Times]]) -> list[_Pair]:
    """Return the comparisons of two sides, each at every place: a block for either side."""
    return [(a, of_a, b, of_b) for of_a, of_b in places for a, b in sides]


def wandered(sides: Sequence[Times], prior: Wander) -> Wander:
    """Return how far runs of `RUN` repeats wander, from the times of kernels that ran side by side."""
    times = {(number, case): own[case] for number, own in enumerate(sides) for case in own}
    return verdicts.learnt_wander(
        [
            {at: {n: own[n] for n in repeats if n in own} for at, own in times.items()}
            for repeats in _blocks(_measured(sides), RUN)
        ],
        prior,
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
    """Comparisons of one kind."""

    paired: bool
    wander: Wander

    def kind(self, equal: list[_Pair], disjoint: list[_Pair], planted: Mapping[float, list[_Pair]]) -> KindEntry:
        """Judge comparisons of equal sides, of some of these that share no process, and with planted slowdowns."""
        errors = [
            estimates.difference(a, b, self.paired) for pair in equal for a, b in _cases(pair) if self._is_enough(a, b)
        ]
        different = [not {"faster", "slower"}.isdisjoint(self._verdicts(pair)) for pair in disjoint]
        return KindEntry(
            false=self._tally(equal, "faster", "slower"),
            disjoint=TallyEntry(hits=sum(different), cases=len(different)),
            planted=tuple(
                PlantedEntry(slowdown=share, **self._tally(pairs, "slower").as_dict())
                for share, pairs in planted.items()
            ),
            scatter=float(np.quantile([math.sqrt(error.square * n) for _, error, n in errors if error], 0.9)),
        )

    def _is_enough(self, a: _ByRepeat, b: _ByRepeat) -> bool:
        """Return whether enough repeats count on both sides."""
        return min(len(a), len(b), len(a.keys() & b.keys()) if self.paired else 2) >= 2

    def _verdicts(self, pair: _Pair) -> list[str]:
        cases = _cases(pair)
        judged = [case for case in cases if self._is_enough(*case)]
        results = verdicts.judge(judged, self.paired, verdicts.THRESHOLD, wander=self.wander)
        return [str(result.verdict) for result in results] + ["unclear"] * (len(cases) - len(judged))

    def _tally(self, pairs: list[_Pair], *hits: str) -> TallyEntry:
        found = [verdict for pair in pairs for verdict in self._verdicts(pair)]
        return TallyEntry(hits=sum(verdict in hits for verdict in found), cases=len(found))


def _cases(pair: _Pair) -> list[tuple[_ByRepeat, _ByRepeat]]:
    """Return both sides of each case of a comparison, in the repeats that count."""
    a, of_a, b, of_b = pair
    return [
        ({n: a[case][n] for n in of_a if n in a[case]}, {n: b[case][n] for n in of_b if n in b[case]}) for case in a
    ]
