"""How far a run can be trusted, in a sentence: how busy the machine was; and what the harness itself costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.report.document import Command, Findings, Paragraph
from mlpbench.bench.trust.state import State, state


@dataclass(frozen=True)
class Trust:
    """How far one run can be trusted.

    ``cost_s``: what a call of the harness costs by mode, in seconds, the median over processes; None where the files do
    not say.
    """

    run: Judged
    state: State
    cost_s: dict[str, float | None]


def of_run(run: Judged, cases: Sequence[CaseSummary]) -> Trust:
    """Return how far a run can be trusted."""
    by_process = [record.trust.call_costs_s for record in run.records]
    costs = {mode: [cost[mode] for cost in by_process if mode in cost] for mode in ("per_sample", "batched")}
    return Trust(
        run,
        state(run.records, run.times, [case.sample for case in cases]),
        {mode: median(values) if values else None for mode, values in costs.items()},
    )


def sentence(machine: State) -> str | None:
    """Return how uncertain numbers are, and what disturbed a tenth of them or more; None for files that do not say."""
    if machine.width is None and machine.left_out is None:
        return None
    texts = []
    if machine.left_out is not None and machine.left_out > 0.1:
        texts.append(f"Other programs disturbed {words.percent(machine.left_out)} of the timings; those are left out.")
    if machine.card_others:
        texts.append(f"{words.things(machine.card_others, 'other process', 'other processes')} used the card.")
    if machine.width is not None:
        texts.append(f"Typical uncertainty {words.half_width(machine.width)}.")
    return " ".join(texts)


def narrower(run: Judged, machine: State) -> str | None:
    """Return the command that makes the intervals narrower, where they are wider than 5 % to each side."""
    if machine.width is None or machine.width <= 0.05 or run.plan is None or run.plan.budget_s is None:
        return None
    return f"mlpbench run --budget {max(2, round(4 * run.plan.budget_s / 60))}m"


def of_all(trusts: Sequence[Trust]) -> tuple[Paragraph | Command, ...]:
    """Return the sentence and the command of a run; of several those of the one with the widest intervals."""
    worst = max(trusts, key=lambda one: (one.state.width or 0.0, one.state.left_out or 0.0))
    if (text := sentence(worst.state)) is None:
        return ()
    head = f"{worst.run.title} has the widest intervals. " if len(trusts) > 1 else ""
    command = narrower(worst.run, worst.state)
    return (Paragraph(head + text), *([Command(command)] if command else []))


def harness(trusts: Sequence[Trust]) -> tuple[str, ...]:
    """Return what a call of the harness costs, one sentence for each run; none for files that do not say."""
    return tuple(
        f"A call of the harness costs {words.seconds(one)} one at a time and {words.seconds(batch)} for a batch, "
        f"in every time {f'of {trust.run.title}' if len(trusts) > 1 else 'here'}."
        for trust in trusts
        for one, batch in (trust.cost_s.values(),)
        if one is not None and batch is not None
    )


def of_report(findings: Findings) -> tuple[Trust, ...]:
    """Return how far each run can be trusted."""
    return tuple(of_run(run, own) for run, own in findings.by_run)
