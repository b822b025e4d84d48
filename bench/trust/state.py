"""How busy a machine was in one run, in three numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats.estimates import Estimate
from mlpbench.bench.trust.rounds import At, CaseTime


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
    found = [case for of_record in times for case in of_record.values()]
    quiet = [case.quiet for case in found if case.quiet is not None]
    widths = [(one.high - one.low) / (2 * one.value) for one in estimates if one.n > 1]
    cards = [record.device_times.card.others or 0 for record in records if record.device_times is not None]
    return State(
        left_out=1 - fmean(quiet) if quiet else None,
        disturbed=sum(case.disturbed for case in found),
        timings=len(found),
        width=min(median(widths), 1e9) if widths else None,
        card_others=max(cards, default=0),
    )
