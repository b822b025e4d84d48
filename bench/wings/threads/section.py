"""What threads bring, as a figure for each group of runs that differ in nothing else, with the numbers as a table."""

from collections.abc import Sequence
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis.summary import best_cases, of_kernels, ranked
from mlpbench.bench.report.document import Block, Figure, Findings, Section, Table, pivot, table
from mlpbench.bench.report.parts import Part, interval
from mlpbench.bench.wings.threads import finding as scaling
from mlpbench.bench.wings.threads.finding import Scaling, Summarized

_READING = (
    "Time per sample with the fewest threads divided by the time with more: the same kernel at the same batch size. "
    "Whiskers are 95 % intervals; both axes are logarithmic. Below the dashed line at 1x more threads are slower."
)


def _blocks(findings: Findings) -> tuple[Block, ...]:
    """Return the figure of all groups, or their tables where nothing was timed in batches."""
    groups = findings.of(gained)
    tables = tuple(map(_table, groups))
    if not any(group.drawn for group in groups):
        return tables
    first, *others = tables
    title = f"Speedup over {words.things(groups[0].fewest, 'thread')}"
    numbers = (Section("The numbers of the other settings", tuple(others)),) if others else ()
    return (Figure("scaling", title, _READING, first, groups), *numbers)


def _table(group: Scaling) -> Table:
    """Return one row for each kernel and number of threads, one column for each case."""
    cases = sorted({(gain.mode, gain.batch_size) for gain in group.gains}, key=lambda at: (at[0] != "per_sample", at))
    cells = (
        (
            (gain.kernel, str(gain.threads), str(gain.used or "does not say")),
            (gain.mode, gain.batch_size),
            words.ratio(gain.speedup),
        )
        for gain in group.gains
    )
    where = f"{group.spec}, {group.dtype}, {group.data}{f', env {group.env}' if group.env else ''}"
    caption = (
        f"{where}: time with {words.things(group.fewest, 'thread')} / time with more. Used: what "
        "the kernel says; small batches may use fewer."
    )
    numbers = ("threads given", "threads used", *(words.case(*at) for at in cases))
    return table(caption, ("kernel",), numbers, rows=pivot(cells, cases))


def gained(findings: Findings) -> tuple[Scaling, ...]:
    """Return what threads bring, for each group of runs that differ in nothing else."""
    return scaling.find(findings.by_run)


def _answer(findings: Findings) -> str | None:
    return " ".join(filter(None, (fastest(findings.by_run), most_gained(findings.of(gained))))) or None


def fastest(runs: Sequence[Summarized]) -> str | None:
    """Return the fastest kernel and setting of a sweep over one network, as a sentence; None where there is none."""
    cases = {run.name: best_cases(of_kernels(cases)).values() for run, cases in runs if run.shown}
    networks = {record.spec.sizes for run, _ in runs for record in run.records}
    every = [case for of_run in cases.values() for case in of_run if not case.unchecked]
    if len(cases) < len(runs) or len(networks) != 1 or not every:
        return None
    first = ranked(every)[0][0]
    where = "one at a time" if first.mode == "per_sample" else f"in batches of {first.batch_size:,}"
    return f"Fastest: {first.name} with {first.run}, {words.time(first.sample)} per sample {where}."


def most_gained(scalings: Sequence[Scaling]) -> str | None:
    """Return which kernel gains most from more threads, as a sentence; None where nothing was timed in batches."""
    gains = [(gain, one) for one in scalings for gain in one.drawn if not gain.unchecked]
    gains = [item for item in gains if not words.is_wide(item[0].speedup.low, item[0].speedup.high)] or gains[:1]
    if not gains:
        return None
    most, where = max(gains, key=lambda pair: pair[0].speedup.value)
    more = f"With {words.things(most.threads, 'thread')} instead of {where.fewest}"
    if most.speedup.value <= 1:
        return f"{more} no kernel is faster."
    if words.is_wide(most.speedup.low, most.speedup.high):
        return f"{more} how much faster kernels are is unclear."
    alone = len({one.dtype for one in scalings}) == 1
    gain = f"{words.ratio(most.speedup)} in batches of {most.batch_size:,}{'' if alone else f' of {where.dtype}'}"
    return f"{more} {most.kernel} gains most: {gain}."


def _as_data(group: Scaling) -> dict[str, Any]:
    gains = [{**vars(gain), "speedup": interval(gain.speedup)} for gain in group.gains]
    return {**vars(group), "runs": list(group.runs), "gains": gains}


SECTIONS = (
    Part(
        40,
        "threads",
        "What more threads bring",
        _blocks,
        asked=lambda findings: bool(findings.of(gained)),
        answer=_answer,
        data={"threads": lambda findings: list(map(_as_data, findings.of(gained)))},
    ),
)
