"""How far a run can be trusted, in words and tables: the machine's grade, the harness's own times, disturbed cases."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis import times
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.document import (
    MANY_RUNS,
    Block,
    Column,
    Figure,
    Fold,
    Judgement,
    Paragraph,
    Points,
    Table,
    columns,
)
from mlpbench.bench.report.sections.gaps import once_for_all
from mlpbench.bench.trust import apart, clock_check, latency
from mlpbench.bench.trust.grade import Grade, grade
from mlpbench.bench.trust.timeline import Timeline, timeline

TITLE = "How far to trust it"
_GRADES = {"quiet": "quiet", "fair": "fairly quiet", "noisy": "noisy"}
#: How the null kernel is called, by mode.
COST_NAMES = {"per_sample": "one at a time", "batched": "as a batch"}

_TIMELINE = (
    "Read from left to right, as the run went. The line is the time of {what} as a multiple of its best: slow above "
    "the dashed line. Each symbol below it is a disturbed case, in the lane of its cause. A flat line at 1.00x over no "
    "lanes is a quiet machine."
)
_CLOCK = (
    "Each symbol is a process. At zero, work of 2 and 4 times the length takes exactly 2 and 4 times as long. Between "
    "the dashed lines, 2 % either way, the clock of a process counts as true."
)
_COST = (
    "Each symbol is a process, and shows how long a call of a kernel that does nothing takes: so much of the time of "
    "every call in this report is the harness's own."
)


def judge(run: Run, p99_s: float | None = None) -> Judgement:
    """Return how far a run can be trusted. ``p99_s``: a budget that the reader asks about; else the run's own."""
    trusts = [record.trust for record in run.records]
    costs = list(map(clock_check.call_costs_s, trusts))
    return Judgement(
        run,
        grade(run, times.half_width(run)),
        clock_check.check_clock(trusts),
        timeline(run),
        {mode: [cost[mode] for cost in costs if mode in cost] for mode in COST_NAMES},
        latency.latencies(run.records),
        latency.budgets(run.records, latency.asked_budget_s(run.plan) if p99_s is None else p99_s),
        latency.input_findings(run.records),
    )


def as_dict(judged: Judgement) -> dict[str, Any]:
    """Return the judgement as JSON can hold it."""
    content = {
        "machine": asdict(judged.grade) | {"causes": dict(judged.grade.causes)},
        "clock": asdict(judged.clock),
        "latency": list(map(asdict, judged.latencies)),
        "p99_budget": list(map(asdict, judged.budgets)),
        "same_input": [asdict(found) | {"flagged": found.flagged} for found in judged.inputs],
        "call_cost_s": judged.cost_s,
        "repeats_apart": {"processes": apart.apart(judged.run.records), "enough": apart.ENOUGH},
    }
    return {name: words.plain(value) for name, value in content.items()}


# -- sentences


def lines(judged: Judgement, *, advised: bool = True) -> list[str]:
    """Return one sentence for the machine and one for the harness; none for files that do not say.

    ``advised``: with what to do about the machine in between.
    """
    found = judged.grade
    if found.name is None:
        return []
    seen = [_disturbed_words(found), f"its speed moved by {found.spread:.0%}"]
    seen += [] if found.slow is None else [f"{found.slow:.0%} of the looks at its cores were slow"]
    if found.width is not None:
        wide = words.half_width(found.width)
        seen.append(f"half of the intervals are {'within ' if wide.startswith('±') else ''}{wide}")
    seen += [f"{found.card_slowed:.0%} of the card's samples had a lowered clock"] if found.card_slowed else []
    others = words.things(found.card_others, "other process", "other processes")
    seen += [f"{others} used the card"] if found.card_others else []
    said = f"The machine was {_GRADES[found.name]}: {words.listed(seen)}."
    return [said, *(advice([judged]) if advised else ()), *_harness(judged)]


def advice(judged: Sequence[Judgement]) -> list[str]:
    """Return what to do about the machine, each piece once for all runs on it."""
    noisy = [one.grade for one in judged if one.grade.name not in (None, "quiet")]
    return list(dict.fromkeys(line for grade in noisy for line in grade.advice))


def _harness(judged: Judgement) -> list[str]:
    one, batch = judged.cost_s.values()
    if judged.clock.ok is None or one is None or batch is None:
        return []
    costs = f"{words.seconds(one)} one at a time and {words.seconds(batch)} for a batch"
    return [f"A call of the harness costs {costs}, in every time here. {judged.clock.why}"]


def refusals(judged: Sequence[Judgement]) -> tuple[str, ...]:
    """Return which runs are no evidence, for a clock that is not true."""
    return tuple(
        f"{one.run.title if len(judged) > 1 else 'The run'} is refused as evidence. {one.clock.why} "
        "None of its times can be believed."
        for one in judged
        if one.clock.ok is False
    )


def claims(runs: Sequence[Run]) -> list[str]:
    """Return of which runs the intervals do not claim their 95 %, because repeats lie too close together."""
    found = [(run, apart.apart(run.records)) for run in runs]
    close = [(run, lengths) for run, lengths in found if lengths is not None and not apart.claimed(lengths)]
    return [
        f"{f'{run.title}: ' if len(runs) > 1 else ''}95 % is not claimed for the intervals: repeats of a kernel began "
        f"{lengths:.1f} lengths of a process apart, not {apart.ENOUGH:.0f}. A disturbance that outlasts a repeat meets "
        "several, and then 80 % of intervals hold with 3 repeats, 92 % with 8. More kernels in a run spread repeats."
        for run, lengths in close
    ]


def notices(judged: Sequence[Judgement]) -> tuple[str, ...]:
    """Return what must not be overlooked: a clock that is not true, and a noisy machine."""
    grades = [(one.run, one.grade) for one in judged]
    noisy = [(run, _disturbed_words(grade)) for run, grade in grades if grade.name == "noisy"]
    said = once_for_all([run for run, _ in grades], noisy, "made on a noisy machine")
    return (*refusals(judged), *(f'{text} What to do is under "{TITLE}".' for text in said))


def _disturbed_words(grade: Grade) -> str:
    said = f"{grade.disturbed} of {grade.cases} timings were disturbed"
    good = grade.disturbed - grade.lost
    return f"{said} ({good} of them have quiet rounds enough, and count)" if good else said


# -- the section


def blocks(judged: Sequence[Judgement]) -> tuple[Block, ...]:
    """Return the section's content; nothing where the files say nothing.

    Of several runs what to do is said once; of many, their cases and figures have to be opened on a page.
    """
    told: list[Block] = []
    several, many = len(judged) > 1, len(judged) > MANY_RUNS
    for number, one in enumerate(judged):
        said = lines(one, advised=not several)
        if said:
            told += [Paragraph(f"{one.run.title}:")] if several else []
            after = f" ({one.run.name})" if several else ""
            shown = (*_disturbed(one, after), *_figures(one, number, after))
            folded = (Fold(f"Its disturbed cases and its harness ({one.run.name})", shown),)
            told += [Points(tuple(said)), *(folded if many and shown else shown)]
    if several and (todo := advice(judged)):
        told += [Paragraph("What to do:"), Points(tuple(todo))]
    return tuple(told)


def _disturbed(judged: Judgement, after: str) -> tuple[Block, ...]:
    """Return how often each cause disturbed whom, and behind a fold a row for each kernel, case and cause."""
    hit: dict[tuple[str, str, str], dict[int, str]] = defaultdict(dict)
    processes = judged.timeline.processes() if judged.timeline else {}
    for record in judged.run.records:
        for moment in processes.get((record.kernel, record.repeat), ()):
            for reason in moment.disturbances:
                case = words.case(moment.mode, moment.batch_size)
                hit[record.kernel, case, reason.cause].setdefault(record.repeat, reason.text)
    if not hit:
        return ()
    names = ("kernel", "case", "repeats", "what happened, in the first of them")
    rows = tuple(
        (kernel, case, ", ".join(str(repeat + 1) for repeat in sorted(repeats)), repeats[min(repeats)])
        for (kernel, case, _), repeats in hit.items()
    )
    caption = (
        "Disturbed cases. Those with quiet rounds enough are estimated from these, and count; of the others, the "
        "fastest count where fewer than three are left."
    )
    every = Table(caption, columns(names), rows, heads=2)
    return (_by_cause(hit), Fold(f"Every disturbed case{after}", (every,)))


def _by_cause(hit: Mapping[tuple[str, str, str], Mapping[int, str]]) -> Table:
    """Return a row for each cause; ``hit``: what happened, by kernel, case and cause, in which repeats."""
    timings, whose, first = Counter[str](), defaultdict[str, Counter[str]](Counter), dict[str, str]()
    for (kernel, _, cause), repeats in hit.items():
        timings[cause] += len(repeats)
        whose[cause][kernel] += len(repeats)
        first.setdefault(cause, repeats[min(repeats)])
    rows = tuple(
        (cause, f"{count:,}", ", ".join(f"{name} {n}" for name, n in whose[cause].most_common()), first[cause])
        for cause, count in timings.most_common()
    )
    made = (Column("cause"), Column("timings", number=True), Column("kernels"), Column("for example"))
    return Table("What disturbed timings, the most frequent cause first.", made, rows)


def _figures(judged: Judgement, number: int, after: str) -> Iterator[Block]:
    """Yield the figures of which the run's files hold the numbers; ``number``: its place in the report.

    On a page those of a quiet machine, and of the harness itself, are behind folds.
    """
    run, found = judged.run, judged.timeline
    if found is not None:
        what = "a look at the core" if found.looks else "the calibration"
        title = f"{'The looks' if found.looks else 'The calibration'} and disturbed cases over the run{after}"
        figure = Figure(f"timeline-{number}", title, _TIMELINE.format(what=what), _timeline_table(found), found)
        yield figure if judged.grade.name == "noisy" else Fold(title, (figure,))
    own: list[Block] = []
    if any(clock_check.deviations(record.trust) for record in run.records):
        own.append(Figure(f"clock-{number}", f"Is the clock true?{after}", _CLOCK, _clock_table(run), run))
    if any(judged.costs.values()):
        title = f"What a call of the harness costs{after}"
        own.append(Figure(f"harness-{number}", title, _COST, _cost_table(judged), run))
    if own:
        yield Fold(f"The harness measured by itself{after}", tuple(own))


def _timeline_table(found: Timeline) -> Table:
    what = "looks" if found.looks else "calibration"
    names = ("begins", "cases", f"{what}, lowest to highest", "disturbed cases")
    rows = []
    for (kernel, repeat), moments in found.processes().items():
        levels = [level for moment in moments for level in (moment.before, moment.after)]
        disturbed = [moment for moment in moments if moment.disturbances]
        causes = Counter(cause for moment in disturbed for cause in {one.cause for one in moment.disturbances})
        begins = f"{moments[0].begins:.1f} s" if found.dated else f"case {moments[0].begins + 1:.0f}"
        moved = f"{min(levels):.2f}x to {max(levels):.2f}x"
        told = ", ".join(f"{cause} {count}" for cause, count in causes.most_common()) or "none"
        rows.append((kernel, str(repeat + 1), begins, str(len(moments)), moved, str(len(disturbed)), told))
    caption = (
        f"The processes in running order, with the time of the {what} beside their cases as a multiple of the run's "
        "best."
    )
    return Table(caption, columns(("kernel", "repeat"), names, ["causes"]), tuple(rows), heads=2)


def _clock_table(run: Run) -> Table:
    times = grouped(known for record in run.records for known in clock_check.known_s(record.trust).items())
    errors = grouped(known for record in run.records for known in clock_check.deviations(record.trust).items())
    rows = []
    for length, off in sorted(errors.items()):
        middle, least, most = (f"{100 * share:+.2f} %" for share in (median(off), min(off), max(off)))
        rows.append((str(length), words.seconds(median(times[length])), middle, f"{least} to {most}"))
    caption = (
        "Work of known length in each process: the median over processes, and how far it is from being proportional to "
        "the length."
    )
    names = ("length", "time", "off the exact proportion", "of all processes")
    return Table(caption, columns((), names), tuple(rows))


def _cost_table(judged: Judgement) -> Table:
    rows = tuple(
        (COST_NAMES[mode], *map(words.seconds, (median(costs), min(costs), max(costs))), str(len(costs)))
        for mode, costs in judged.costs.items()
        if costs
    )
    made = columns(["call of a kernel that does nothing"], ("median", "least", "most", "processes"))
    return Table("What one call of the harness takes, in each process.", made, rows)
