"""The time of every case in every process: one quantile of its quiet rounds, and the one mark, "disturbed".

A round is quiet where the looks before and after it were about as fast as the best look, and its threads did not wait
for processors. A case with too few quiet rounds is disturbed: its time is made of all its rounds, and other repeats are
preferred. docs/evidence/statistics.md has what each rule is worth.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from mlpbench.bench.cases import CPU
from mlpbench.bench.record.schema import Record, Timing
from mlpbench.bench.record.trust import best_look, quiet_up_to

#: Of the rounds that count, and of looks: what disturbs makes slower, and the fastest of many is luck.
QUANTILE = 0.1
#: Quiet rounds that make a time, or half of all if these are fewer.
ENOUGH = 5
#: A round is not quiet where its threads waited for processors for more than this share of it.
WAITED = 0.1

#: (mode, batch size)
At = tuple[str, int]
#: Looks can be compared when they have the same name and number of processors.
Kind = tuple[str | None, int]


@dataclass(frozen=True)
class CaseTime:
    """One case in one process. ``chosen``: the rounds that count; ``quiet``: their share, None without looks.

    ``disturbed``: too few rounds were quiet, and ``chosen`` are all of them.
    """

    timing: Timing
    chosen: tuple[int, ...]
    quiet: float | None
    disturbed: bool

    @cached_property
    def call_s(self) -> float:
        """Seconds per call, at the speed that the processor had."""
        return float(np.quantile(np.array(self.timing.rounds_s)[list(self.chosen)], QUANTILE))

    @property
    def sample_s(self) -> float:
        """Seconds per sample, at the speed that the processor had."""
        return self.call_s / self.timing.rows_per_call

    @property
    def parts_s(self) -> dict[str, float]:
        """Seconds per call of each part of the book's cell in the round whose time is nearest; none if not known."""
        rounds = np.array(self.timing.rounds_s)[list(self.chosen)]
        nearest = self.chosen[int(np.argmin(np.abs(rounds - self.call_s)))]
        return {name: float(seconds[nearest]) for name, seconds in self.timing.part_rounds_s.items()}


def taken(records: Sequence[Record]) -> list[dict[At, CaseTime]]:
    """Return the cases of each record of one run, by (mode, batch size); all are held against the run's best looks."""
    best, beside = fastest_looks(records), _fastest_beside(records)
    return [
        {
            (timing.mode, timing.batch_size): _taken(
                timing, quiet_up_to(best.get(kind, 0.0), beside.get((kind, *_case(record, timing)), 0.0))
            )
            for timing in record.cases
            for kind in [_kind(record, timing)]
        }
        for record in records
    ]


def fastest_looks(records: Iterable[Record]) -> dict[Kind, float]:
    """Return the best look of each kind: of these records, or of those before them that the machine is known by."""
    looks: dict[Kind, list[float]] = defaultdict(list)
    known: dict[Kind, list[float]] = defaultdict(list)
    for record in records:
        for timing in record.cases:
            kind, best = _kind(record, timing), record.trust.look.best_of(timing.look_processors or 1)
            looks[kind] += _looks(timing)
            known[kind] += [best] if best else []
    return {kind: min([best_look(found), *known[kind]]) for kind, found in looks.items() if found}


def slowness(record: Record, best: Mapping[Kind, float]) -> float:
    """Return how many times as long as the ``best`` look the looks of a process took while nobody disturbed it.

    A time divided by this is a time at the processor's best speed: a control variate with coefficient 1 (Hammersley and
    Handscomb, "Monte Carlo Methods", 1964, chapter 5). Looks on one processor come first: all cases of a process share
    them. 1 of kernels on a device, and of files without looks.
    """
    looks: dict[Kind, list[float]] = defaultdict(list)
    for timing in record.cases:
        looks[_kind(record, timing)] += _looks(timing)
    known = [kind for kind, found in looks.items() if found and best.get(kind)]
    if record.device not in (None, CPU) or not known:
        return 1.0
    kind = min(known, key=lambda kind: kind[1])
    return max(1.0, float(np.quantile(looks[kind], QUANTILE)) / best[kind])


def _looks(timing: Timing) -> list[int]:
    return list(chain.from_iterable(timing.looks_ns))


def _kind(record: Record, timing: Timing) -> Kind:
    return record.trust.look.name, timing.look_processors or 1


def _case(record: Record, timing: Timing) -> tuple[str, str, int]:
    return record.kernel, timing.mode, timing.batch_size


def _fastest_beside(records: Sequence[Record]) -> dict[tuple[Kind, str, str, int], float]:
    """Return the best look beside each case of each kernel, over all repeats."""
    looks: dict[tuple[Kind, str, str, int], list[float]] = defaultdict(list)
    for record in records:
        for timing in record.cases:
            looks[(_kind(record, timing), *_case(record, timing))] += _looks(timing)
    return {case: best_look(found) for case, found in looks.items() if found}


def _taken(timing: Timing, limit_ns: float) -> CaseTime:
    """Return the time of one case. Looks up to ``limit_ns`` are quiet."""
    every = tuple(range(len(timing.rounds_s)))
    if not timing.looks_ns:
        return CaseTime(timing, every, None, disturbed=False)
    quiet = (np.array(timing.looks_ns) <= limit_ns).all(axis=1)
    if timing.waits_ns:
        lasted_ns = np.array(timing.rounds_s) * timing.iterations * 1e9
        quiet &= np.array(timing.waits_ns) <= WAITED * lasted_ns
    chosen, share = tuple(np.flatnonzero(quiet).tolist()), float(quiet.mean())
    enough = len(chosen) >= min(ENOUGH, (len(every) + 1) // 2)
    return CaseTime(timing, chosen if enough else every, share, disturbed=not enough)
