"""A run in the order of time: the looks beside every case, or the calibration, and which cases were disturbed."""

from dataclasses import dataclass

from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.record.trust import QUIET
from mlpbench.bench.trust.disturbance import SLOWER, Disturbance, best_spin_s, levels_s
from mlpbench.bench.trust.quiet import of_run


@dataclass(frozen=True)
class Moment:
    """One case of one process. ``before`` and ``after`` it: how long looks or the calibration took, over their best.

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
        """The slower one of the two, which is the one that counts."""
        return max(self.before, self.after)


@dataclass(frozen=True)
class Timeline:
    """The cases of a run in the order in which they ran; ``dated``: by their dates, or else by their number.

    ``looks``: levels are those of the looks beside the rounds, and cases of a process took turns; else levels are those
    of the calibration before and after a case.
    """

    run: str
    dated: bool
    looks: bool
    moments: tuple[Moment, ...]

    @property
    def limit(self) -> float:
        """The level from which on there is something wrong."""
        return QUIET if self.looks else 1 + SLOWER

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
    found = {(r.kernel, r.repeat): cases for r, cases in zip(run.records, of_run(run), strict=True)}
    spins = {(record.kernel, record.repeat): levels_s(record.trust) for record in run.records}
    looks = all(case.level is not None for cases in found.values() for case in cases.values())
    watched = [(record, window) for record in _in_order(run) for window in record.trust.windows]
    dates = [window.began_utc_s for _, window in watched if window.began_utc_s is not None]
    dated, first = len(dates) == len(watched), min(dates, default=0.0)
    moments = []
    for number, (record, window) in enumerate(watched):
        at = window.mode, window.batch_size
        case = found[record.kernel, record.repeat].get(at)
        begins = window.began_utc_s - first if dated and window.began_utc_s is not None else float(number)
        before, after = (spin / best for spin in spins[record.kernel, record.repeat][at])
        level = case.level if case and looks else None
        moments.append(
            Moment(
                *(record.kernel, record.repeat, *at),
                begins=begins,
                ends=begins + (window.wall_s if dated else 1.0),
                before=before if level is None else level,
                after=after if level is None else level,
                disturbances=case.disturbances if case else (),
            )
        )
    return Timeline(run.name, dated, looks, tuple(sorted(moments, key=lambda moment: moment.begins)))


def _in_order(run: Run) -> list[Record]:
    """Return the records as their processes ran: as the run's ending says, or its plan, or its files."""
    order = run.ending.order if run.ending else run.plan.order if run.plan else ()
    place = {process: number for number, process in enumerate(order)}
    return sorted(run.records, key=lambda record: place.get((record.kernel, record.repeat), len(place)))
