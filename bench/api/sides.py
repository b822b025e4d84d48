"""`mlpbench.compare`: whatever can be compared with its like."""

from __future__ import annotations

from os import fspath
from pathlib import Path
from typing import overload

from mlpbench.bench.analysis import sides
from mlpbench.bench.analysis.sides import Side
from mlpbench.bench.api.compare import Comparison, decided
from mlpbench.bench.api.foreign import ForeignComparison, PytestBenchmark
from mlpbench.bench.api.results import Named, Results
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import identity


@overload
def compare(
    baseline: PytestBenchmark, candidate: PytestBenchmark, threshold: str | None = None, *, anyway: bool = False
) -> ForeignComparison: ...
@overload
def compare(
    baseline: Named | Results,
    candidate: Named | Results | None = None,
    threshold: str | None = None,
    *,
    by: str | None = None,
    anyway: bool = False,
    results: Named = "results",
) -> Comparison: ...
def compare(
    baseline: Named | Results | PytestBenchmark,
    candidate: Named | Results | PytestBenchmark | None = None,
    threshold: str | None = None,
    *,
    by: str | None = None,
    anyway: bool = False,
    results: Named = "results",
) -> Comparison | ForeignComparison:
    """Compare two sides case by case, as `mlpbench compare` does.

    A side is what the command takes (a run, a kernel of the latest run, RUN:KERNEL), or results that were read; or both
    are files of pytest-benchmark that were read. Or there is one side, and ``by`` names an axis of it. ``threshold``: a
    share such as "5%", to ask whether the candidate is slower by more. ``anyway``: compare even if machine, network,
    data or weights differ. ``results``: where names of runs are looked for.

    Raises UserError for what cannot be read, and NothingComparable, which is one, where no case is on both sides.
    """
    if isinstance(baseline, PytestBenchmark) and isinstance(candidate, PytestBenchmark):
        return baseline.against(candidate, threshold or "2.5%", anyway=anyway)
    if isinstance(baseline, PytestBenchmark) or isinstance(candidate, PytestBenchmark):
        raise UserError("nothing to compare: one side is of pytest-benchmark, and the other of mlpbench")
    if (by is None) == (candidate is None):
        raise UserError('give two sides, or one and by=, with an axis of it, such as "env"')
    left = _sides(baseline, Path(results))
    if by is not None:
        axis, left, right = sides.by_axis(left, by)
        return decided(left, right, threshold, anyway=anyway, by=axis)
    return decided(left, _sides(candidate, Path(results)), threshold, anyway=anyway)


def _sides(side: Named | Results | None, results: Path) -> list[Side]:
    if isinstance(side, Results):
        return [Side(run) for run in side.runs]
    return sides.parse_sides(fspath(side or ""), results, identity.machine_id())
