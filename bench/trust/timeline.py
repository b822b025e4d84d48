"""A run in the order of time: the calibration beside every case, and which cases were disturbed. Knows no clock."""

from dataclasses import dataclass
from statistics import median

from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.trust.disturbance import Disturbance, best_spin_s, case_disturbance


@dataclass(frozen=True)
class Moment:
    """One case of one process. ``before`` and ``after`` it: how long the calibration took, over its best in the run.

    ``begins`` and ``ends``: seconds since the run's first case began; where the files have no dates, cases before it.
    """

    kernel: str
    repeat: int
    mode: str
    batch_size: int
    begins: float
    ends: float
    before: float
    after: float
    disturbances: tuple[Disturbance, ...]

    @property
    def level(self) -> float:
        """The slower calibration of the two, which is the one that counts."""
        return max(self.before, self.after)


@dataclass(frozen=True)
class Timeline:
    """The cases of a run in the order in which they ran; ``dated``: by their dates, or else by their number."""

    run: str
    dated: bool
    moments: tuple[Moment, ...]

    def processes(self) -> dict[tuple[str, int], list[Moment]]:
        """Return the moments of each process, (kernel, repeat), in order."""
        found: dict[tuple[str, int], list[Moment]] = {}
        for moment in self.moments:
            found.setdefault((moment.kernel, moment.repeat), []).append(moment)
        return found


def timeline(run: Run) -> Timeline | None:
    """Return the timeline of a run; None where its files hold no calibration."""
    best = best_spin_s(record.trust for record in run.records)
    if best is None:
        return None
    watched = [(record, window) for record in _in_order(run) for window in record.trust.windows]
    dates = [window.began_utc_s for _, window in watched if window.began_utc_s is not None]
    dated, first = len(dates) == len(watched), min(dates, default=0.0)
    moments = []
    for number, (record, window) in enumerate(watched):
        begins = window.began_utc_s - first if dated and window.began_utc_s is not None else float(number)
        moments.append(
            Moment(
                *(record.kernel, record.repeat, window.mode, window.batch_size),
                begins=begins,
                ends=begins + (window.wall_s if dated else 1.0),
                before=median(window.spins_before_s) / best,
                after=median(window.spins_after_s) / best,
                disturbances=case_disturbance(window, best, record.trust.cpus),
            )
        )
    return Timeline(run.name, dated, tuple(sorted(moments, key=lambda moment: moment.begins)))


def _in_order(run: Run) -> list[Record]:
    """Return the records as their processes ran: as the run's ending says, or its plan, or its files."""
    order = run.ending.order if run.ending else run.plan.order if run.plan else ()
    place = {process: number for number, process in enumerate(order)}
    return sorted(run.records, key=lambda record: place.get((record.kernel, record.repeat), len(place)))
