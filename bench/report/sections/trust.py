"""How far a run can be trusted, in words and tables: the machine's grade, the harness's own times, disturbed cases."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from mlpbench.bench import words
from mlpbench.bench.report.document import MANY_RUNS, Column, Figure, Fold, Paragraph, Points, Section, Table
from mlpbench.bench.report.sections.closer import budgets_of, case_name
from mlpbench.bench.report.sections.gaps import once_for_all
from mlpbench.bench.trust import clock_check
from mlpbench.bench.trust.timeline import Timeline, timeline
from mlpbench.bench.words import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlpbench.bench.record.runs import Run
    from mlpbench.bench.trust.timeline import Moment

from mlpbench.bench.trust import disturbance
from mlpbench.bench.trust import latency as findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.record.runs import Run
    from mlpbench.bench.record.trust import Trust
    from mlpbench.bench.report.document import Block
    from mlpbench.bench.trust.disturbance import Grade


TITLE = "How far to trust it"
_GRADES = {
    "quiet": "The machine was quiet",
    "fair": "The machine was fairly quiet",
    "noisy": "The machine was noisy",
}


def _trusts(run: Run) -> list[Trust]:
    return [record.trust for record in run.records]


def grade_of(run: Run) -> Grade:
    """Return the grade of the machine in a run."""
    environment = run.records[0].environment if run.records else run.environment
    machine = environment.get("machine")
    return disturbance.grade(_trusts(run), machine if isinstance(machine, dict) else None)


def lines(run: Run, *, advised: bool = True) -> list[str]:
    """Return one sentence for the machine and one for the harness; none for files that do not say.

    ``advised``: with what to do about the machine in between.
    """
    found = grade_of(run)
    if found.name is None:
        return []
    disturbed = f"{found.disturbed} of {found.cases} timings were disturbed"
    spread = f"its speed moved by {found.spread:.0%}"
    todo = found.advice if advised and found.name != "quiet" else ()
    return [f"{_GRADES[found.name]}: {disturbed}, and {spread}.", *todo, *_harness(run)]


def advice(runs: Sequence[Run]) -> list[str]:
    """Return what to do about the machine, each piece once for all runs on it."""
    grades = [grade_of(run) for run in runs]
    return list(dict.fromkeys(line for found in grades if found.name not in (None, "quiet") for line in found.advice))


def _harness(run: Run) -> list[str]:
    checked = clock_check.check_clock(_trusts(run))
    costs = {mode: clock_check.call_cost_s(_trusts(run), mode) for mode in ("per_sample", "batched")}
    if checked.ok is None or None in costs.values():
        return []
    one, batch = (words.seconds(cost) for cost in costs.values() if cost is not None)
    return [
        f"A call of the harness costs {one} one at a time and {batch} for a batch, in every time here. {checked.why}"
    ]


def refusals(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return which runs are no evidence, for a clock that is not true."""
    found = []
    for run in runs:
        which = run.title if len(runs) > 1 else "The run"
        checked = clock_check.check_clock(_trusts(run))
        if checked.ok is False:
            found.append(f"{which} is refused as evidence. {checked.why} None of its times can be believed.")
    return tuple(found)


def notices(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return what must not be overlooked: a clock that is not true, and a noisy machine."""
    noisy = []
    for run in runs:
        graded = grade_of(run)
        if graded.name == "noisy":
            noisy.append((run, f"{graded.disturbed} of {graded.cases} timings were disturbed"))
    advised = f'What to do is under "{TITLE}".'
    return (*refusals(runs), *(f"{text} {advised}" for text in once_for_all(runs, noisy, "made on a noisy machine")))


def sections(runs: Sequence[Run]) -> tuple[Section, ...]:
    """Return the sections about trust; one without blocks where the files say nothing.

    Of several runs what to do is said once; of many, their cases and figures have to be opened on a page.
    """
    blocks: list[Block] = []
    several, many = len(runs) > 1, len(runs) > MANY_RUNS
    for number, run in enumerate(runs):
        said = lines(run, advised=not several)
        if said:
            blocks += [Paragraph(f"{run.title}:")] if several else []
            shown = (*_disturbed(run), *figures(run, number, several=several))
            folded = (Fold(f"Its disturbed cases and its harness ({run.name})", shown),)
            blocks += [Points(tuple(said)), *(folded if many and shown else shown)]
    if several and (todo := advice(runs)):
        blocks += [Paragraph("What to do:"), Points(tuple(todo))]
    return (Section("trust", TITLE, tuple(blocks)),)


def _disturbed(run: Run) -> tuple[Block, ...]:
    """Return the table of disturbed cases, those of one kernel, case and cause in one row."""
    best = disturbance.best_spin_s(_trusts(run))
    hit: dict[tuple[str, str, str], dict[int, str]] = defaultdict(dict)
    for record in run.records:
        for (mode, size), why in disturbance.disturbances(record.trust, best).items():
            for reason in why:
                hit[record.kernel, case_name(mode, size), reason.cause].setdefault(record.repeat, reason.text)
    if not hit:
        return ()
    names = ("kernel", "case", "repeats", "what happened, in the first of them")
    rows = tuple(
        (kernel, case, ", ".join(str(repeat + 1) for repeat in sorted(repeats)), repeats[min(repeats)])
        for (kernel, case, _), repeats in hit.items()
    )
    caption = "Disturbed cases. They are kept, and count in a time only where fewer than three others are left."
    return (Table(caption, tuple(map(Column, names)), rows, heads=2),)


def as_dict(run: Run, p99_s: float | None = None) -> dict[str, Any]:
    """Return grade, clock and costs of a run as JSON can hold them; ``p99_s`` as in `closer.sections`."""
    found, checked = grade_of(run), clock_check.check_clock(_trusts(run))
    content = {
        "machine": asdict(found) | {"causes": dict(found.causes)},
        "clock": asdict(checked),
        "latency": [asdict(latency) for latency in findings.latencies(run.records)],
        "p99_budget": [asdict(budget) for budget in budgets_of(run, p99_s)],
        "same_input": [asdict(found) | {"flagged": found.flagged} for found in findings.input_findings(run.records)],
        "call_cost_s": {mode: clock_check.call_cost_s(_trusts(run), mode) for mode in ("per_sample", "batched")},
    }
    data: dict[str, Any] = plain(content)
    return data


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
