"""What quiet rounds are worth on real runs: the median of all rounds beside that of the quiet ones, on the same data.

`python scripts/quiet_table.py RUN...`, best of runs of `mlpbench calibrate`, whose kernels are equal or slower by what
is known. The first run is the quiet one: the bias of all speedups is told against its own. docs/statistics.md
has what this printed.
"""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace as changed

from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.sides import pace_of
from mlpbench.bench.errors import UserError
from mlpbench.bench.measure import instruments
from mlpbench.bench.record.runs import read_run
from mlpbench.bench.stats import estimates, trials
from mlpbench.bench.trust.quiet import taken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlpbench.bench.record.runs import Run

#: Repeats of a default run, and of the run that has to find 10 %.
DEFAULT, FINDING = 3, 10
#: A timing is slow whose plain median is longer than the best of its case in all runs by more.
SLOW = 0.1
ONE = "per_sample"
#: Kernel, mode, batch size.
At = tuple[str, str, int]


def without_looks(run: Run) -> Run:
    """Return a run as it would be without looks: all of its rounds count."""
    records = [changed(r, cases=tuple(changed(case, looks_ns=()) for case in r.cases)) for r in run.records]
    return replace(run, records=tuple(records))


def speedups(run: Run, repeats: range) -> dict[tuple[str, int], estimates.Ratio]:
    """Return the speedup of each batched case of each kernel in some of the repeats."""
    found = {}
    for kernel, cases in times.by_kernel(run).items():
        one = next((case for (mode, _), case in cases.items() if mode == ONE), None)
        for (mode, size), case in cases.items():
            if mode == "batched" and one is not None:
                sides = [_only(side, repeats) for side in (one, case)]
                if (gain := times.ratio(*sides)) and gain.n > 1:
                    found[kernel, size] = gain
    return found


def _only(case: times.CaseTimes, repeats: range) -> times.CaseTimes:
    """Return a case as a run of these repeats alone would show it."""
    every = {repeat: value for repeat, value in case.every.items() if repeat in repeats}
    hit = {record.repeat for record, found in case.sources if not found.counts}
    return replace(case, every=every, by_repeat=estimates.counted(every, hit))


def blocks(run: Run, length: int) -> list[range]:
    """Return the repeats of a run in blocks of so many."""
    last = 1 + max(record.repeat for record in run.records)
    return [range(first, first + length) for first in range(0, last - length + 1, length)]


def of_speedups(run: Run) -> dict[str, float]:
    """Return how wide the intervals of speedups are, and how far two runs of the same code are apart."""
    found = [speedups(run, block) for block in blocks(run, DEFAULT)]
    half = [min((g.high - g.low) / (2 * g.value), 10.0) for block in found for g in block.values()]
    apart = [
        abs(math.log(a[key].value / b[key].value)) for a, b in itertools.pairwise(found) for key in a.keys() & b.keys()
    ]
    width = {"half-width, median %": 100 * float(np.median(half))}
    if not apart:  # a default run is compared with no other
        return width
    return {
        **width,
        "two runs apart, median %": 100 * float(np.median(apart)),
        "within 5 %, of all %": 100 * float(np.mean(np.array(apart) <= math.log(1.05))),
    }


def of_verdicts(run: Run) -> dict[str, float]:
    """Return false verdicts and planted slowdowns found, of kernels of one run with `FINDING` repeats, in per cent.

    Where too few repeats count, all are taken.
    """
    kernels = times.by_kernel(run, pace_of(run))
    for way in ("by_repeat", "every"):
        cases = {name: {at: getattr(case, way) for at, case in of.items()} for name, of in kernels.items()}
        same = [cases[name] for name in instruments.SAME if name in cases]
        slowed = {share: cases[name] for name, share in instruments.SLOWED.items() if name in cases}
        if len(same) < 2:
            return {}
        paired, _ = trials.evaluate(same, slowed, FINDING)
        if paired is not None:
            break
    else:
        return {}
    found = {
        f"{100 * share:.0f} % slower: found %": 100 * tally.rate for share, tally in sorted(paired.planted.items())
    }
    return {"false verdicts %": 100 * paired.false.rate, "of": paired.false.cases, **found}


def undisturbed(runs: Sequence[Run]) -> dict[At, float]:
    """Return the fastest plain median of each kernel's case in any process of some runs of one machine."""
    best: dict[At, float] = {}
    for record in (record for run in runs for record in run.records):
        for case in record.cases:
            at = record.kernel, case.mode, case.batch_size
            best[at] = min(float(np.median(case.rounds_s)), best.get(at, math.inf))
    return best


def of_marks(run: Run, best: Mapping[At, float]) -> dict[str, float]:
    """Return how many of the slow timings are marked, and of the others, in per cent.

    A timing is slow beside the ``best`` of its case: under a load that never rests the best of a run is slow as well.
    """
    slow, others, quiet = [], [], []
    for record, found in zip(run.records, taken(run.records), strict=True):
        for at, case in found.items():
            seconds = float(np.median(case.timing.rounds_s))
            (slow if seconds > (1 + SLOW) * best[record.kernel, *at] else others).append(bool(case.disturbances))
            quiet.append(case.rule == "quiet rounds")
    return {
        "timings": len(quiet),
        "slow timings": len(slow),
        "of these marked %": 100 * float(np.mean(slow)) if slow else math.nan,
        "others": len(others),
        "of the others marked %": 100 * float(np.mean(others)) if others else math.nan,
        "made of quiet rounds %": 100 * float(np.mean(quiet)),
    }


def bias(run: Run, true: Mapping[int, float]) -> dict[str, float]:
    """Return by how much the speedups of equal kernels are off, in the median over them, at the best batch size."""
    size = max(true, key=lambda at: true[at])
    found = [gain.value for (_, at), gain in by_size(run).items() if at == size]
    return {"speedup too high by, %": 100 * (float(np.median(found)) / true[size] - 1)} if found else {}


def by_size(run: Run) -> dict[tuple[str, int], estimates.Ratio]:
    """Return the speedups of the kernels without a slowdown over all repeats."""
    every = speedups(run, range(10_000))
    return {key: gain for key, gain in every.items() if key[0] in (*instruments.SAME, instruments.BASE)}


def main() -> None:
    """Print a table for each run: old estimator, new estimator."""
    try:
        runs = [read_run(Path(path)) for path in sys.argv[1:]]
    except UserError as error:
        sys.exit(f"quiet_table: {error}")
    true: dict[int, float] = {}
    best = undisturbed(runs)
    for size in {at for _, at in by_size(runs[0])}:
        true[size] = float(np.median([gain.value for (_, at), gain in by_size(runs[0]).items() if at == size]))
    for path, run in zip(sys.argv[1:], runs, strict=True):
        print(f"\n{path}: {len(run.records)} processes")
        old = without_looks(run)
        rows = [{**of_speedups(one), **of_verdicts(one), **bias(one, true)} for one in (old, run)]
        for name in dict.fromkeys(name for row in rows for name in row):
            print(f"  {name:32}" + "".join(f"{row.get(name, math.nan):10.1f}" for row in rows))
        for name, value in of_marks(run, best).items():
            print(f"  {name:32}{value:20.1f}")


if __name__ == "__main__":
    main()
