"""The figures about trust: the run's disturbances in the order of time, and the harness measured by itself."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from mlpbench.bench import words
from mlpbench.bench.report.document import Column, Figure, Table
from mlpbench.bench.trust import clock_check
from mlpbench.bench.trust.timeline import Timeline, timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlpbench.bench.record.record import Run
    from mlpbench.bench.trust.timeline import Moment

__all__ = ["COST_NAMES", "chart_name", "figures"]

#: How the null kernel is called, by mode.
COST_NAMES = {"per_sample": "one at a time", "batched": "as a batch"}

_TIMELINE = (
    "Read from left to right, as the run went: the line is the time of the calibration as a multiple of its best (slow "
    "above the dashed line), each symbol in a lane below it is a disturbed case in the lane of its cause, and a flat "
    "line at 1.00x over no lanes is a quiet machine."
)
_CLOCK = (
    "Each symbol is a process: at zero, work of 2 and 4 times the length takes exactly 2 and 4 times as long, and the "
    "clock counts as true while the median over processes lies between the dashed lines, 2 % either way."
)
_COST = (
    "Each symbol is a process, and shows how long a call of a kernel that does nothing takes: so much of the time of "
    "every call in this report is the harness's own."
)


def chart_name(kind: str, number: int) -> str:
    """Return the name of a chart of the run with that number."""
    return f"{kind}-{number}"


def figures(run: Run, number: int, *, several: bool) -> Iterator[Figure]:
    """Yield the figures of a run, those of which its files hold the numbers; ``number``: its place in the report."""
    after = f" ({run.name})" if several else ""
    found = timeline(run)
    if found is not None:
        title = f"The calibration and disturbed cases over the run{after}"
        yield Figure(chart_name("timeline", number), title, _TIMELINE, _timeline_table(found))
    if any(clock_check.deviations(record.trust) for record in run.records):
        title = f"Is the clock true?{after}"
        yield Figure(chart_name("clock", number), title, _CLOCK, _clock_table(run))
    if any(clock_check.call_costs_s(record.trust) for record in run.records):
        title = f"What a call of the harness costs{after}"
        yield Figure(chart_name("harness", number), title, _COST, _cost_table(run))


def _timeline_table(found: Timeline) -> Table:
    names = ("begins", "cases", "calibration, lowest to highest", "disturbed cases")
    rows = tuple(_process(process, moments, dated=found.dated) for process, moments in found.processes().items())
    caption = (
        "The processes in the order in which they ran, with the time of the calibration beside their cases as a "
        "multiple of its best in the run."
    )
    columns = (Column("kernel"), Column("repeat"), *(Column(name, number=True) for name in names), Column("causes"))
    return Table(caption, columns, rows, heads=2)


def _process(process: tuple[str, int], moments: list[Moment], *, dated: bool) -> tuple[str, ...]:
    kernel, repeat = process
    levels = [level for moment in moments for level in (moment.before, moment.after)]
    disturbed = [moment for moment in moments if moment.disturbances]
    causes = Counter(cause for moment in disturbed for cause in {found.cause for found in moment.disturbances})
    return (
        kernel,
        str(repeat + 1),
        f"{moments[0].begins:.1f} s" if dated else f"case {moments[0].begins + 1:.0f}",
        str(len(moments)),
        f"{min(levels):.2f}x to {max(levels):.2f}x",
        str(len(disturbed)),
        ", ".join(f"{cause} {count}" for cause, count in causes.most_common()) or "none",
    )


def _clock_table(run: Run) -> Table:
    times: dict[int, list[float]] = {}
    errors: dict[int, list[float]] = {}
    for record in run.records:
        for known in record.trust.self_test:
            if known.length > 0:
                times.setdefault(known.length, []).append(min(known.rounds_s))
        for length, error in clock_check.deviations(record.trust).items():
            errors.setdefault(length, []).append(error)
    rows = tuple(
        (
            f"{length}",
            words.seconds(median(times[length])),
            _signed(median(off)),
            f"{_signed(min(off))} to {_signed(max(off))}",
        )
        for length, off in sorted(errors.items())
    )
    caption = (
        "Spins of known length, the fastest round of each process: the median over processes, and how far it is from "
        "being proportional to the length."
    )
    names = ("spins", "time", "off the exact proportion", "of all processes")
    return Table(caption, tuple(Column(name, number=True) for name in names), rows)


def _signed(share: float) -> str:
    return f"{100 * share:+.2f} %"


def _cost_table(run: Run) -> Table:
    rows = []
    for mode, name in COST_NAMES.items():
        costs = [
            cost for record in run.records if (cost := clock_check.call_costs_s(record.trust).get(mode)) is not None
        ]
        if costs:
            rows.append(
                (name, *(words.seconds(cost) for cost in (median(costs), min(costs), max(costs))), str(len(costs)))
            )
    columns = (
        Column("call of a kernel that does nothing"),
        *(Column(name, number=True) for name in ("median", "least", "most", "processes")),
    )
    return Table("What one call of the harness takes, in each process.", columns, tuple(rows))
