"""What `mlpbench calibrate` found on a machine (`bench.stats.trials`): the file that keeps it, and what it says."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlpbench.bench.record import untrusted
from mlpbench.bench.record.calibration import (
    CalibrationFile,
    CalibrationHead,
    KindEntry,
    PlantedEntry,
    SeenEntry,
    TallyEntry,
    WanderEntry,
)
from mlpbench.bench.stats import verdicts
from mlpbench.bench.stats.estimates import NO_WANDER, Error, Wander
from mlpbench.bench.stats.trials import FOUND, Kind, Tally

FILE = "calibration.json"
#: The fields that the file holds as they are.
_AS_IT_IS = ("machine", "run", "kernel", "threads", "ended", "repeats", "threshold", "false_discovery_rate")


@dataclass(frozen=True)
class Calibration:
    """Of one machine. ``repeats`` on each side of a comparison; kinds that could not be measured are None.

    ``seen``: each planted slowdown -> the one that the times show, from all repeats: was it planted well?
    ``wander``: how far the level of a whole run wanders, which comparisons of two runs reckon with.
    """

    machine: str
    run: str
    kernel: str
    threads: int | None
    ended: str
    repeats: int
    threshold: float
    false_discovery_rate: float
    paired: Kind | None
    unpaired: Kind | None
    seen: dict[float, float]
    wander: Wander | None = None

    def content(self) -> CalibrationFile:
        """Return the content of the file."""
        return CalibrationFile(
            CalibrationHead(
                kind="calibration",
                **{name: getattr(self, name) for name in _AS_IT_IS},
                paired=_entry(self.paired),
                unpaired=_entry(self.unpaired),
                seen=tuple(SeenEntry(share, seen) for share, seen in sorted(self.seen.items())),
                wander=WanderEntry(self.wander.sd, self.wander.degrees) if self.wander else None,
            )
        )

    def sentence(self, n: int, *, paired: bool) -> str:
        """Say how small a slowdown is found on this machine, and with ``n`` repeats on each side if they are others."""
        kind = self.paired if paired else self.unpaired
        way = "two kernels of one run" if paired else "two runs"
        if kind is None:
            return f"how small a slowdown is found between {way} was not measured by the last `mlpbench calibrate`"
        most = 100 * max(kind.planted, default=0.0)
        size = f"none up to {most:.3g} %" if kind.smallest is None else f"{100 * kind.smallest:.3g} %"
        said = f"smallest slowdown found in {FOUND:.0%} of cases on this machine: {size}"
        said += f", between {way} with {self.repeats} repeats ({self.ended[:10]})"
        if kind.false.rate > self.false_discovery_rate:
            said += f"; {kind.false.hits} of {kind.false.cases} equal cases were called different there"
            said += "" if paired else ": measure both sides in one run to be sure"
        if n == self.repeats or n < 2:
            return said
        wander = NO_WANDER if paired or self.wander is None else self.wander
        error = Error(kind.scatter**2 / n, (n - 1) * (1 if paired else 2)) + wander.error(runs=2)
        least = verdicts.detectable(error, self.threshold, self.false_discovery_rate)
        size = f"about {100 * least:.2g} %" if least < 1 else "more than 100 %"
        return f"{said}; with the {n} repeats of this comparison: {size}, by the scatter measured then"


def read(path: Path) -> Calibration:
    """Read a calibration. Raises UserError, one line that begins with the path, as `bench.record.runs.read`."""
    head = untrusted.read(path, CalibrationFile, "a calibration").mlpbench
    return Calibration(
        **{name: getattr(head, name) for name in _AS_IT_IS},
        paired=_kind(head.paired),
        unpaired=_kind(head.unpaired),
        seen={entry.slowdown: entry.seen for entry in head.seen},
        wander=Wander(head.wander.sd, head.wander.degrees) if head.wander else None,
    )


def of_machine(folder: Path) -> Calibration | None:
    """Return what `mlpbench calibrate` found, from the folder of a machine's results; None where it was never run."""
    file = folder / FILE
    with suppress(OSError):  # the name of a machine in a file may be too long for any folder
        return read(file) if file.is_file() else None
    return None


def _entry(kind: Kind | None) -> KindEntry | None:
    if kind is None:
        return None
    planted = tuple(PlantedEntry(slowdown=share, **vars(tally)) for share, tally in sorted(kind.planted.items()))
    false, disjoint = (TallyEntry(**vars(tally)) for tally in (kind.false, kind.disjoint))
    return KindEntry(false=false, disjoint=disjoint, planted=planted, scatter=kind.scatter)


def _kind(entry: KindEntry | None) -> Kind | None:
    if entry is None:
        return None
    planted = {found.slowdown: Tally(found.hits, found.cases) for found in entry.planted}
    false, disjoint = (Tally(found.hits, found.cases) for found in (entry.false, entry.disjoint))
    return Kind(false, disjoint, planted, entry.scatter)
