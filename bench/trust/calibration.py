"""What `mlpbench calibrate` found on a machine: ``calibration.json``, and what it says of a comparison."""

import math
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from mlpbench.bench.record import untrusted
from mlpbench.bench.record.fields import Block, File, Head, Index, Name, Number, Text, Whole
from mlpbench.bench.stats import verdicts
from mlpbench.bench.stats.estimates import NO_WANDER, Error, Wander

FILE = "calibration.json"
_Share = Annotated[float, Meta(gt=0, lt=1, description="A share of 1, neither 0 nor 1.")]
_Scatter = Annotated[float, Meta(ge=0, le=1000, description="Standard deviation of logarithms.")]


class TallyEntry(Block, frozen=True, kw_only=True):
    """``hits`` of ``cases``."""

    hits: Index
    cases: Index

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
        largest_first = sorted(self.planted, key=lambda tally: -tally.slowdown)
        found = takewhile(lambda tally: tally.rate >= verdicts.POWER, largest_first)
        return min((tally.slowdown for tally in found), default=None)


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


def read(path: Path) -> CalibrationHead:
    """Read a calibration. Raises UserError, one line that begins with the path, as `bench.record.runs.read`."""
    return untrusted.read(path, CalibrationFile, "a calibration").mlpbench


def of_machine(folder: Path) -> CalibrationHead | None:
    """Return the calibration in the folder of a machine's results; None where there is none."""
    file = folder / FILE
    with suppress(OSError):  # the name of a machine in a file may be too long for any folder
        return read(file) if file.is_file() else None
    return None


def wander(calibrated: CalibrationHead | None) -> Wander | None:
    """Return how far the level of a whole run wanders on this machine, which comparisons of two runs reckon with."""
    return Wander(*calibrated.wander) if calibrated and calibrated.wander else None


def sentence(calibrated: CalibrationHead, n: int, *, paired: bool) -> str:
    """Say how small a slowdown is found on a machine, and with ``n`` repeats on each side if they are others."""
    kind = calibrated.paired if paired else calibrated.unpaired
    way = "two kernels of one run" if paired else "two runs"
    if kind is None:
        return f"how small a slowdown is found between {way} was not measured by the last `mlpbench calibrate`"
    most = 100 * max((tally.slowdown for tally in kind.planted), default=0.0)
    size = f"none up to {most:.3g} %" if kind.smallest is None else f"{100 * kind.smallest:.3g} %"
    text = f"smallest slowdown found in {verdicts.POWER:.0%} of cases on this machine: {size}"
    text += f", between {way} with {calibrated.repeats} repeats ({calibrated.ended[:10]})"
    if kind.false.rate > calibrated.false_discovery_rate:
        text += f"; {kind.false.hits} of {kind.false.cases} equal cases were called different there"
        text += "" if paired else ": measure both sides in one run to be sure"
    if n == calibrated.repeats or n < 2:
        return text
    level = NO_WANDER if paired else wander(calibrated) or NO_WANDER
    error = Error(kind.scatter**2 / n, (n - 1) * (1 if paired else 2)) + level.error(runs=2)
    least = verdicts.detectable(error, calibrated.threshold, calibrated.false_discovery_rate)
    size = f"about {100 * least:.2g} %" if least < 1 else "more than 100 %"
    return f"{text}; with the {n} repeats of this comparison: {size}, by the scatter measured then"
