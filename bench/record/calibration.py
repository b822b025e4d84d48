"""``calibration.json``: what `mlpbench calibrate` found on a machine."""

import math
from typing import Annotated, Literal

from msgspec import Meta

from mlpbench.bench.record.fields import Block, File, Head, Index, Name, Number, Text, Whole
from mlpbench.bench.stats.verdicts import POWER

_Share = Annotated[float, Meta(gt=0, lt=1, description="A share of 1, neither 0 nor 1.")]
_Scatter = Annotated[float, Meta(ge=0, le=1000, description="Standard deviation of logarithms.")]


class TallyEntry(Block, frozen=True, kw_only=True):
    """``hits`` of ``cases``."""

    hits: Index
    cases: Index

    def __post_init__(self) -> None:
        if self.hits > self.cases:
            raise ValueError(f"hits: expected at most the cases, {self.cases}, got {self.hits}")

    @property
    def rate(self) -> float:
        """The share of hits; NaN of none."""
        return self.hits / self.cases if self.cases else math.nan


class PlantedEntry(TallyEntry, frozen=True, kw_only=True):
    """In how many cases a slowdown was found."""

    slowdown: _Share


class KindEntry(Block, frozen=True, kw_only=True):
    """One way to compare, paired or not.

    ``false`` counts verdicts faster or slower where there is no difference, ``disjoint`` comparisons with any such
    verdict among those that share no process. ``scatter``: standard deviation of what one repeat leaves open.
    """

    false: TallyEntry
    disjoint: TallyEntry
    planted: tuple[PlantedEntry, ...] = ()
    scatter: _Scatter

    @property
    def smallest(self) -> float | None:
        """The smallest planted slowdown that was found often enough, as were all larger ones; None if none was."""
        smallest = None
        for tally in sorted(self.planted, key=lambda tally: -tally.slowdown):
            if not tally.rate >= POWER:
                break
            smallest = tally.slowdown
        return smallest


class CalibrationHead(Head, frozen=True, kw_only=True):
    """The block "mlpbench" of the file. ``run``: the folder of its records; ``repeats`` on each side of a comparison.

    Kinds that could not be measured are None. ``seen``: planted slowdowns, and those that the times show. ``wander``:
    what the level of a whole run wanders by, and with how many degrees of freedom that is known.
    """

    kind: Literal["calibration"]
    machine: Name
    run: Text
    kernel: Name
    threads: Whole | None = None
    ended: Text
    repeats: Annotated[int, Meta(ge=2, le=2**53)]
    threshold: _Share
    false_discovery_rate: _Share
    paired: KindEntry | None = None
    unpaired: KindEntry | None = None
    seen: tuple[tuple[_Share, Number], ...] = ()
    wander: tuple[_Scatter, Annotated[float, Meta(ge=1)]] | None = None


#: The content of ``calibration.json``.
CalibrationFile = File[CalibrationHead]
