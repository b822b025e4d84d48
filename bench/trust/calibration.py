"""What `mlpbench calibrate` found on a machine (`wings.calibrate.trials`): the file that keeps it, and what it says."""

from contextlib import suppress
from pathlib import Path

from mlpbench.bench.record import untrusted
from mlpbench.bench.record.calibration import CalibrationFile, CalibrationHead, KindEntry, PlantedEntry, TallyEntry
from mlpbench.bench.stats import verdicts
from mlpbench.bench.stats.estimates import NO_WANDER, Error, Wander
from mlpbench.bench.wings.calibrate.trials import FOUND, Kind, Tally

FILE = "calibration.json"


def read(path: Path) -> CalibrationHead:
    """Read a calibration. Raises UserError, one line that begins with the path, as `bench.record.runs.read`."""
    return untrusted.read(path, CalibrationFile, "a calibration").mlpbench


def of_machine(folder: Path) -> CalibrationHead | None:
    """Return what `mlpbench calibrate` found, from the folder of a machine's results; None where it was never run."""
    file = folder / FILE
    with suppress(OSError):  # the name of a machine in a file may be too long for any folder
        return read(file) if file.is_file() else None
    return None


def wander(calibrated: CalibrationHead | None) -> Wander | None:
    """Return how far the level of a whole run wanders on this machine, which comparisons of two runs reckon with."""
    entry = calibrated and calibrated.wander
    return Wander(entry.sd, entry.degrees) if entry else None


def sentence(calibrated: CalibrationHead, n: int, *, paired: bool) -> str:
    """Say how small a slowdown is found on a machine, and with ``n`` repeats on each side if they are others."""
    entry = calibrated.paired if paired else calibrated.unpaired
    way = "two kernels of one run" if paired else "two runs"
    if entry is None:
        return f"how small a slowdown is found between {way} was not measured by the last `mlpbench calibrate`"
    kind = kind_of(entry)
    most = 100 * max(kind.planted, default=0.0)
    size = f"none up to {most:.3g} %" if kind.smallest is None else f"{100 * kind.smallest:.3g} %"
    said = f"smallest slowdown found in {FOUND:.0%} of cases on this machine: {size}"
    said += f", between {way} with {calibrated.repeats} repeats ({calibrated.ended[:10]})"
    if kind.false.rate > calibrated.false_discovery_rate:
        said += f"; {kind.false.hits} of {kind.false.cases} equal cases were called different there"
        said += "" if paired else ": measure both sides in one run to be sure"
    if n == calibrated.repeats or n < 2:
        return said
    level = NO_WANDER if paired else wander(calibrated) or NO_WANDER
    error = Error(kind.scatter**2 / n, (n - 1) * (1 if paired else 2)) + level.error(runs=2)
    least = verdicts.detectable(error, calibrated.threshold, calibrated.false_discovery_rate)
    size = f"about {100 * least:.2g} %" if least < 1 else "more than 100 %"
    return f"{said}; with the {n} repeats of this comparison: {size}, by the scatter measured then"


def entry_of(kind: Kind | None) -> KindEntry | None:
    """Return how a file keeps one way to compare."""
    if kind is None:
        return None
    planted = tuple(PlantedEntry(slowdown=share, **vars(tally)) for share, tally in sorted(kind.planted.items()))
    false, disjoint = (TallyEntry(**vars(tally)) for tally in (kind.false, kind.disjoint))
    return KindEntry(false=false, disjoint=disjoint, planted=planted, scatter=kind.scatter)


def kind_of(entry: KindEntry) -> Kind:
    """Return one way to compare from its entry in a file."""
    planted = {tally.slowdown: Tally(tally.hits, tally.cases) for tally in entry.planted}
    false, disjoint = (Tally(tally.hits, tally.cases) for tally in (entry.false, entry.disjoint))
    return Kind(false, disjoint, planted, entry.scatter)
