"""Measure how often mlpbench's own verdicts are wrong on this machine, and which slowdowns they find.

    python scripts/calibrate.py [--budget 14m] [--threads 1] [--results FOLDER]
    python scripts/calibrate.py --run FOLDER        what a run of it shows

NumPy's kernel runs seven times unchanged, and slowed by 2, 3, 5 and 10 %: this file is also the file of these kernels.
Repeats are cut into blocks. Kernels of one block are compared as two kernels of a run (paired), of different blocks as
two runs (unpaired). docs/evidence/statistics.md has the figures.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Any, ClassVar

from mlpbench.kernels import registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

#: The sides of equal comparisons, and kernels with a slowdown, as a share.
SAME = tuple(f"same_{letter}" for letter in "abcdefg")
SLOWED = {"slower_2": 0.02, "slower_3": 0.03, "slower_5": 0.05, "slower_10": 0.1}
#: Looks at the clock that tell how long one takes.
LOOKS = 201
#: Repeats of a block, unless fewer were measured.
BLOCK, FEWEST = 20, 12
#: (mode, batch size) -> repeat -> seconds per sample.
Times = Mapping[tuple[str, int], Mapping[int, float]]


class Planted(Kernel):
    """NumPy's kernel, slower by ``share`` of its time."""

    backend = "numpy"
    distributions = ("numpy",)
    share: ClassVar[float] = 0.0

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        inner = registry.load("numpy")(spec, params)
        self._forward, self._forward_one = inner.forward, inner.forward_one
        # A spin comes after what it takes without a slowdown, too; and it ends half a look late in the mean.
        self._own_ns = 0.0
        looks = [perf_counter_ns() for _ in range(LOOKS)]
        look_ns = statistics.median(b - a for a, b in itertools.pairwise(looks))
        spins = (self._spin(now, now) for now in (perf_counter_ns() for _ in range(LOOKS)))
        self._own_ns = statistics.median(spins) - look_ns / 2

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch, a little later."""
        began = perf_counter_ns()
        y = self._forward(x)
        self._spin(began, perf_counter_ns())
        return y

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample, a little later."""
        began = perf_counter_ns()
        y = self._forward_one(x)
        self._spin(began, perf_counter_ns())
        return y

    def _spin(self, began: int, ended: int) -> int:
        """Wait for this share of the time between two moments; return the nanoseconds since the second."""
        until = ended + self.share * (ended - began) + self._own_ns
        while (now := perf_counter_ns()) < until:
            pass
        return now - ended


for _name in (*SAME, *SLOWED):
    globals()[_name] = type(_name, (Planted,), {"share": SLOWED.get(_name, 0.0), "__module__": __name__})


def evaluate(same: Sequence[Times], slowed: Mapping[float, Times], *, paired: bool) -> dict[float, tuple[int, int]]:
    """Return verdicts and cases by slowdown: of equal kernels (0.0) those that are not equal, else those "slower".

    Two runs differ by what runs are known to wander, so unpaired sides are judged with it. The last block that is not
    full is left out; a side counts in the repeats that something else did not disturb.
    """
    from mlpbench.bench.analysis.summary import USUAL_WANDER
    from mlpbench.bench.stats import verdicts
    from mlpbench.bench.stats.estimates import NO_WANDER

    measured = sorted({n for times in (*same, *slowed.values()) for by_repeat in times.values() for n in by_repeat})
    length = min(BLOCK, len(measured) // 2 if len(measured) >= 2 * FEWEST else len(measured))
    blocks = [measured[i : i + length] for i in range(0, len(measured) - length + 1, length)] if length else []
    places = [(block, block) for block in blocks] if paired else list(itertools.combinations(blocks, 2))
    equal = itertools.combinations(same, 2) if paired else itertools.product(same, same)
    pairs = {0.0: list(equal), **{share: [(one, times) for one in same] for share, times in slowed.items()}}
    found: dict[float, tuple[int, int]] = {}
    for share, sides in pairs.items():
        hits = cases = 0
        for (of_a, of_b), (a, b) in itertools.product(places, sides):
            both = [(_of(a[case], of_a), _of(b[case], of_b)) for case in a]
            known = [one.keys() & other.keys() if paired else min(one, other, key=len) for one, other in both]
            enough = [pair for pair, repeats in zip(both, known, strict=True) if len(repeats) > 1]
            judged = verdicts.judge(enough, paired, wander=NO_WANDER if paired else USUAL_WANDER)
            hits += sum(result.verdict in (("slower",) if share else ("slower", "faster")) for result in judged)
            cases += len(both)
        found[share] = hits, cases
    return found


def _of(by_repeat: Mapping[int, float], repeats: Sequence[int]) -> dict[int, float]:
    return {n: by_repeat[n] for n in repeats if n in by_repeat}


def rate(hits: int, cases: int) -> str:
    """Return a rate with its two-sided 95 % interval, C. J. Clopper and E. S. Pearson, Biometrika 26 (1934)."""
    from scipy.special import betaincinv

    if not cases:
        return "not measured"
    low = betaincinv(hits, cases - hits + 1, 0.025) if hits else 0.0
    high = betaincinv(hits + 1, cases - hits, 0.975) if hits < cases else 1.0
    return f"{100 * hits / cases:.1f} % ({100 * low:.1f} to {100 * high:.1f}) of {cases}"


def main() -> None:
    """Measure, and print the table."""
    import mlpbench
    from mlpbench.bench.analysis import times

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"--budget": "14m", "--threads": "1", "--results": "results", "--run": None}.items():
        parser.add_argument(name, default=default)
    given = vars(parser.parse_args())
    run = given.pop("run")
    names = [f"{__file__}:{name}" for name in (*SAME, *SLOWED)]
    results = mlpbench.load(run) if run else mlpbench.run(*names, batch_size=[1, 10, 100, 1000], **given)
    print(*results.problems, sep="\n")
    of_kernel: dict[str, dict[tuple[str, int], Mapping[int, float]]] = {}
    for case in times.cases(results.runs):
        of_kernel.setdefault(case.kernel.partition(".")[2], {})[case.at] = case.by_repeat
    same, slowed = [of_kernel[name] for name in SAME], {share: of_kernel[name] for name, share in SLOWED.items()}
    for title, paired in (("two kernels of one run", True), ("two runs", False)):
        for share, found in evaluate(same, slowed, paired=paired).items():
            what = f"{100 * share:.3g} % slower, found" if share else "equal, called different"
            print(f"{title}: {what}: {rate(*found)}")


if __name__ == "__main__":
    main()
