"""How the rounds of each case spread: their times as multiples of the time of the case, in few numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlpbench.bench.record.runs import Run
from mlpbench.bench.trust.quiet import At, of_run

#: All cases of a report have about so many numbers together, and each has at least, and at most, so many.
_TOGETHER, _LEAST, _MOST = 3000, 12, 40
_MODES = ("per_sample", "batched", "book")


@dataclass(frozen=True)
class Spread:
    """One case of one kernel. ``used``: evenly spaced quantiles of the rounds that made its time, ``left`` of others.

    All are multiples of the case's time in the same process; ``rounds`` are all of them, ``n_used`` those used.
    """

    kernel: str
    mode: str
    batch_size: int
    rounds: int
    n_used: int
    used: tuple[float, ...]
    left: tuple[float, ...]


def find(runs: Sequence[Run]) -> tuple[Spread, ...]:
    """Return every case of some runs; what several processes and runs have is put together."""
    used: dict[tuple[str, At], list[float]] = {}
    left: dict[tuple[str, At], list[float]] = {}
    for run in runs:
        for record, cases in zip(run.records, of_run(run), strict=True):
            for at, case in cases.items():
                chosen, key, call_s = set(case.chosen), (record.kernel, at), case.call_s
                for number, round_s in enumerate(case.timing.rounds_s):
                    (used if number in chosen else left).setdefault(key, []).append(round_s / call_s)
    points = min(_MOST, max(_LEAST, _TOGETHER // max(len(used), 1)))
    kernels = list(dict.fromkeys(kernel for kernel, _ in used))
    order = sorted(used, key=lambda key: (kernels.index(key[0]), _MODES.index(key[1][0]), key[1][1]))
    return tuple(_spread(kernel, at, used[kernel, at], left.get((kernel, at), []), points) for kernel, at in order)


def _spread(kernel: str, at: At, used: Sequence[float], left: Sequence[float], points: int) -> Spread:
    every = len(used) + len(left)
    n_left = round(points * len(left) / every)
    return Spread(kernel, *at, every, len(used), _quantiles(used, points - n_left), _quantiles(left, n_left))


def _quantiles(values: Sequence[float], points: int) -> tuple[float, ...]:
    """Return so many quantiles, evenly spaced from the least to the most; all values where there are no more."""
    if len(values) <= points:
        return tuple(sorted(values))
    return tuple(map(float, np.quantile(values, np.linspace(0, 1, points)))) if points else ()
