"""How far apart the repeats of a run lie, and so whether its intervals may claim 95 %.

An interval takes repeats as independent. A disturbance that outlasts a repeat meets several neighbours at once. Where
other processes lie between two repeats of a kernel, it meets few of them: `scripts/coverage_table.py` says how many.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from mlpbench.bench.record.schema import Record

#: From so many lengths of a process apart on, intervals hold 92 % or more beside spells of four repeats that are seen.
ENOUGH = 4.0


def claimed(lengths: float | None) -> bool:
    """Whether intervals of repeats that lie so far `apart` claim 95 %, and verdicts how often they are false."""
    return lengths is None or lengths >= ENOUGH


def apart(records: Sequence[Record]) -> float | None:
    """Return the time from the beginning of one repeat of a kernel to that of its next, in lengths of a process.

    It is the median over all repeats and kernels; None where no kernel has two, or files of older versions do not say.
    """
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for record in records:
        began = [window.began_utc_s for window in record.trust.windows if window.began_utc_s is not None]
        if began and record.trust.clock.clock_s:
            spans[record.kernel].append((min(began), record.trust.clock.clock_s))
    found = [
        (later - first) / lasted
        for of_kernel in map(sorted, spans.values())
        for (first, lasted), (later, _) in pairwise(of_kernel)
    ]
    return median(found) if found else None


def least(runs: Iterable[Sequence[Record]]) -> float | None:
    """Return how far `apart` the repeats lie in the run of several where they lie closest; None where none says."""
    return min((lengths for records in runs if (lengths := apart(records)) is not None), default=None)
