"""The yardstick of every interval: the next run.

Reads several runs of the same code on one machine, and prints

* how often the interval of one run holds the median of all others (of times, and of speedups),
* half its width in standard deviations between the runs,
* how often two runs of the same code are called different, and how many of their cases are decided at 5 and 10 %.

    python scripts/yardstick.py results/MACHINE [--kernels numba numba-simd]
"""

import argparse
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.judge import Judged, judge
from mlpbench.bench.analysis.summary import CaseSummary, summarize, wander_of
from mlpbench.bench.record import runs as record
from mlpbench.bench.stats import verdicts
from mlpbench.bench.stats.estimates import Estimate, Ratio

Case = tuple[str, str, int]
#: Fewer runs say nothing of the next.
FEWEST = 3


def coverage(cases: Mapping[Case, Sequence[Estimate | Ratio]]) -> tuple[int, int, float, float]:
    """Return how many intervals hold the median of the other runs, of how many; half their width, and in deviations.

    The last two are medians over all intervals: a share of the value, and standard deviations between the runs.
    """
    held, widths, deviations = 0, list[float](), list[float]()
    for estimates in cases.values():
        logs = np.log([one.value for one in estimates])
        if len(logs) < FEWEST:
            continue
        for number, one in enumerate(estimates):
            if math.isnan(one.low):
                continue
            held += math.log(one.low) <= float(np.median(np.delete(logs, number))) <= math.log(one.high)
            widths.append(math.log(one.high / one.low) / 2)
            deviations.append(widths[-1] / max(float(np.std(logs, ddof=1)), 1e-6))
    return held, len(widths), float(np.median(widths)), float(np.median(deviations))


def pairs(runs: Sequence[Judged], wanted: Callable[[Case], bool]) -> dict[str, float]:
    """Return the share of cases and of pairs of runs that were called different, and of cases decided at 5 and 10 %."""
    of_runs: dict[str, dict[Case, Mapping[int, float]]] = {}
    for case in times.cases(runs):
        at = case.kernel, case.mode, case.batch_size
        if wanted(at) and len(case.by_repeat.keys() - case.hit) > 1:
            of_runs.setdefault(case.run, {})[at] = case.by_repeat
    level, cases, different, with_any, decided = wander_of(runs), 0, 0, 0, {0.05: 0, 0.1: 0}
    both = list(itertools.combinations(of_runs.values(), 2))
    for one, other in both:
        sides = [(one[at], other[at]) for at in one if at in other]
        judged = verdicts.judge(sides, paired=False, threshold=verdicts.THRESHOLD, wander=level)
        wrong = sum(case.verdict in ("faster", "slower") for case in judged)
        cases, different, with_any = cases + len(judged), different + wrong, with_any + bool(wrong)
        for share in decided:
            decided[share] += sum(
                case.verdict == "slower" or verdicts.decided(case.speedup) <= share for case in judged
            )
    found = {"pairs": len(both), "cases": cases, "cases called different": different, "pairs with any": with_any}
    return found | {f"decided at {share:.0%}": count / max(cases, 1) for share, count in decided.items()}


def lines(runs: Sequence[Judged], wanted: Callable[[Case], bool] = lambda _: True) -> Iterator[str]:
    """Yield what the yardstick says, a line each."""
    summaries: dict[Case, list[CaseSummary]] = {}
    for one in summarize(runs, wander_of(runs)):
        if wanted(at := (one.kernel, one.mode, one.batch_size)):
            summaries.setdefault(at, []).append(one)
    times_of = {at: [one.sample for one in found] for at, found in summaries.items()}
    speedups = {at: [one.speedup for one in found if one.speedup is not None] for at, found in summaries.items()}
    yield f"{len(runs)} runs; a run's level wanders by {100 * wander_of(runs).sd:.2f} %"
    for name, cases in (("times", times_of), ("speedups", speedups)):
        held, total, width, deviations = coverage(cases)
        yield (
            f"{name}: {held} of {total} intervals ({held / total:.1%}) hold the median of the other runs; "
            f"half-width ±{100 * width:.2f} %, {deviations:.2f} standard deviations between runs"
        )
    yield "; ".join(f"{name}: {value:.3g}" for name, value in pairs(runs, wanted).items())


def main() -> None:
    """Read the runs, and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="the folder of a machine's runs")
    parser.add_argument("--kernels", nargs="*", help="only these")
    parser.add_argument("--up-to", type=int, help="only batches of at most so many rows")
    given = parser.parse_args()
    runs = [judge(record.read_run(path.parent)) for path in sorted(given.folder.glob(f"*/{record.PLAN_FILE}"))]

    def wanted(case: Case) -> bool:
        return (not given.kernels or case[0] in given.kernels) and (not given.up_to or case[2] <= given.up_to)

    for line in lines([run for run in runs if run.records], wanted):
        print(line)


if __name__ == "__main__":
    main()
