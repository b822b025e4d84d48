"""Print how often intervals contain the truth if they decide when to stop (docs/evidence/statistics.md).

Run it with `python scripts/stopping_table.py`; it takes some minutes.
"""

from __future__ import annotations

import sys

import numpy as np

from mlpbench.bench.cases import Case
from mlpbench.bench.plan.effort import TARGET, Effort
from mlpbench.bench.plan.plan import make_plan, profile
from mlpbench.bench.stats import estimates

RUNS = 1000
NOISE = {
    "1 %": (0.01, 0.0),
    "2 %": (0.02, 0.0),
    "4 %": (0.04, 0.0),
    "8 %": (0.08, 0.0),
    "2 % and bursts": (0.02, 0.1),
}


def covered(sd: float, burst: float, cases: int, most: int, runs: int = RUNS) -> tuple[float, float, float]:
    """Return coverage in per cent, mean repeats, and the share of cases that reached the target in per cent.

    A process of one kernel takes a second, and the budget has time for ``most`` of them. The truth is the median of
    what a repeat takes, bursts included.
    """
    rng = np.random.default_rng(0)
    # A burst is log(1.7) away, so that the median is the quantile 0.5 / 0.9 of the undisturbed ones.
    truth = float(np.exp(sd * 0.1397)) if burst else 1.0
    quick = profile("quick")
    sizes = [Case("batched", size + 1) for size in range(cases)]
    aim = {"repeats": quick.repeats, "target": TARGET, "budget_s": float(most)}
    plan = make_plan(quick, ["kernel"], sizes, seed=0, threads=1, command=[], commit=None, **aim)
    hits, repeats, reached = 0, 0, 0
    for _ in range(runs):
        effort = Effort(plan)
        times: dict[Case, list[float]] = {case: [] for case in sizes}
        for kernel, repeat in effort.processes():
            for found in times.values():
                found.append(float(np.exp(rng.normal(0, sd) + (rng.random() < burst) * np.log(1.7))))
            last = {(case.mode, case.batch_size): found[-1] for case, found in times.items()}
            effort.note(kernel, repeat, 1.0, last)
        scatter = estimates.shared_scatter(times.values())
        intervals = [estimates.estimate(found, scatter) for found in times.values()]
        hits += sum(one.low <= truth <= one.high for one in intervals)
        reached += sum(end.limit == "target" for end in effort.ending().cases)
        repeats += effort.done
    return 100 * hits / runs / cases, repeats / runs, 100 * reached / runs / cases


def main() -> None:
    """Print the rows."""
    for cases in (1, 6):
        for name, (sd, burst) in NOISE.items():
            for most in (12, 30):
                coverage, repeats, reached = covered(sd, burst, cases, most)
                print(
                    f"{cases} cases, {name}, at most {most}: covered {coverage:.1f} %, {repeats:.1f} repeats, "
                    f"{reached:.0f} % reached the target"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
