"""The time of every case in every process: one quantile of its quiet rounds, and the one mark, "disturbed".

A round is quiet where the looks before and after it were about as fast as the best look, and its threads did not wait
for processors. A case with too few quiet rounds is disturbed: its time is made of all its rounds, and other repeats are
preferred. docs/evidence/statistics.md has what each rule is worth.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from statistics import fmean, median

import numpy as np

from mlpbench.bench.cases import CPU
from mlpbench.bench.groups import K, grouped
from mlpbench.bench.record.schema import Record, Timing
from mlpbench.bench.record.trust import OWN, best_look, quiet_up_to
from mlpbench.bench.stats.estimates import Estimate

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
    looks = _looks_ns((_case(record, timing), timing) for record in records for timing in record.cases)
    best, beside = fastest_looks(records), {case: best_look(looks_ns) for case, looks_ns in looks.items()}

    def limit_ns(record: Record, timing: Timing) -> float:
        return quiet_up_to(best.get(_kind(record, timing), 0.0), beside.get(_case(record, timing), 0.0))

    return [
        {(timing.mode, timing.batch_size): _taken(timing, limit_ns(record, timing)) for timing in record.cases}
        for record in records
    ]


def fastest_looks(records: Sequence[Record]) -> dict[Kind, float]:
    """Return the best look of each kind: of these records, or of those before them that the machine is known by."""
    looks = _looks_ns((_kind(record, timing), timing) for record in records for timing in record.cases)
    best = {kind: float(best_look(looks_ns)) for kind, looks_ns in looks.items()}
    for record in records:
        for kind in best.keys() & {_kind(record, timing) for timing in record.cases}:
            best[kind] = min(best[kind], record.trust.look.best_of(kind[1]) or best[kind])
    return best


def slowness(record: Record, best: Mapping[Kind, float]) -> float:
    """Return how many times as long as the ``best`` look the looks of a process took while nobody disturbed it.

    A time divided by this is a time at the processor's best speed: a control variate with coefficient 1 (Hammersley and
    Handscomb, "Monte Carlo Methods", 1964, chapter 5). Looks on one processor come first: all cases of a process share
    them. 1 of kernels on a device, and of files without looks. Beyond `OWN` it is no clock but a neighbour on the
    same core, which costs each kernel something else.
    """
    looks = _looks_ns((_kind(record, timing), timing) for timing in record.cases)
    known = {kind: looks_ns for kind, looks_ns in looks.items() if best.get(kind)}
    if record.device not in (None, CPU) or not known:
        return 1.0
    kind = min(known, key=lambda kind: kind[1])
    return min(max(1.0, float(np.quantile(known[kind], QUANTILE)) / best[kind]), OWN)


def _looks_ns(timings: Iterable[tuple[K, Timing]]) -> dict[K, list[int]]:
    pairs = grouped((key, pair) for key, timing in timings for pair in timing.looks_ns)
    return {key: list(chain.from_iterable(own)) for key, own in pairs.items()}


def _kind(record: Record, timing: Timing) -> Kind:
    return record.trust.look.name, timing.look_processors or 1


def _case(record: Record, timing: Timing) -> tuple[Kind, str, str, int]:
    return _kind(record, timing), record.kernel, timing.mode, timing.batch_size


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


@dataclass(frozen=True)
class State:
    """A machine in one run. ``left_out``: the share of rounds that other programs disturbed, None without looks.

    ``disturbed`` of ``timings``, one for each case and process, had too few quiet rounds. ``width``: the median case's
    half interval, as a share; None without intervals. ``card_others``: most other processes seen on the card.
    """

    left_out: float | None
    disturbed: int
    timings: int
    width: float | None
    card_others: int = 0


def state(
    records: Iterable[Record], times: Sequence[Mapping[At, CaseTime]], estimates: Iterable[Estimate] = ()
) -> State:
    """Return how busy the machine was in one run, from its records, their times, and the estimates of its cases."""
    cases = [case for of_record in times for case in of_record.values()]
    quiet = [case.quiet for case in cases if case.quiet is not None]
    widths = [(case.high - case.low) / (2 * case.value) for case in estimates if case.n > 1]
    cards = [record.device_times.card.others or 0 for record in records if record.device_times is not None]
    return State(
        left_out=1 - fmean(quiet) if quiet else None,
        disturbed=sum(case.disturbed for case in cases),
        timings=len(cases),
        width=min(median(widths), 1e9) if widths else None,
        card_others=max(cards, default=0),
    )
