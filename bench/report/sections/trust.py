"""How far a run can be trusted, in a sentence: how busy the machine was; and what the harness itself costs."""

from statistics import median

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.report.document import Command, Findings
from mlpbench.bench.trust.state import State, state


def states(findings: Findings) -> tuple[State, ...]:
    """Return how busy the machine was in each run."""
    return tuple(state(run.records, run.times, [case.sample for case in cases]) for run, cases in findings.by_run)


def sentence(machine: State) -> str | None:
    """Return how uncertain numbers are, and what disturbed a tenth of them or more; None for files that do not say."""
    texts = []
    if machine.left_out is not None and machine.left_out > 0.1:
        texts.append(f"Other programs disturbed {words.percent(machine.left_out)} of the timings; those are left out.")
    if machine.card_others:
        texts.append(f"{words.things(machine.card_others, 'other process', 'other processes')} used the card.")
    if machine.width is not None:
        texts.append(f"Typical uncertainty {words.half_width(machine.width)}.")
    return " ".join(texts) or None


def narrower(run: Judged, machine: State) -> str | None:
    """Return the command that makes the intervals narrower, where they are wider than 5 % to each side."""
    if machine.width is None or machine.width <= 0.05 or run.plan is None or run.plan.budget_s is None:
        return None
    return f"mlpbench run --budget {max(2, round(4 * run.plan.budget_s / 60))}m"


def state_of(findings: Findings) -> tuple[str | Command, ...]:
    """Return the sentence and the command of a run; of several those of the one with the widest intervals."""
    of_runs = zip(findings.runs, findings.of(states), strict=True)
    run, worst = max(of_runs, key=lambda pair: (pair[1].width or 0.0, pair[1].left_out or 0.0))
    if (text := sentence(worst)) is None:
        return ()
    head = f"{run.title} has the widest intervals. " if findings.several else ""
    command = narrower(run, worst)
    return (head + text, *([Command(command)] if command else []))


def call_costs(run: Judged) -> dict[str, float | None]:
    """Return what a call of the harness costs by mode, in seconds, the median over processes; None where unknown."""
    by_process = [record.trust.call_costs_s for record in run.records]
    costs = {mode: [cost[mode] for cost in by_process if mode in cost] for mode in ("per_sample", "batched")}
    return {mode: median(values) if values else None for mode, values in costs.items()}


def harness(findings: Findings) -> tuple[str, ...]:
    """Return what a call of the harness costs, one sentence for each run; none for files that do not say."""
    return tuple(
        f"A call of the harness costs {words.seconds(one)} one at a time and {words.seconds(batch)} for a batch, "
        f"in every time {f'of {run.title}' if findings.several else 'here'}."
        for run in findings.runs
        for one, batch in (call_costs(run).values(),)
        if one is not None and batch is not None
    )
