"""What became of a machine's cases from run to run: a figure, and the changes for good as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlpbench.bench import words
from mlpbench.bench.analysis import history
from mlpbench.bench.analysis.history import Change, History, Series
from mlpbench.bench.errors import UserError
from mlpbench.bench.report.document import Block, Figure, Paragraph, Table, columns
from mlpbench.bench.report.parts import Findings, Part
from mlpbench.bench.stats.steps import LEAST

#: Of what else differs at a change, so much stands in a row of a table.
_BESIDES = 3
_READING = (
    "A symbol is the time of a case in one run, at one pace of the processor, as a multiple of its median over the "
    "runs. A large symbol is the first run after a change for good: point at it for its size and what else changed."
)


@dataclass(frozen=True)
class Drawn:
    """Series for a panel each way: one at a time, and in the batch that was best in the newest run."""

    found: History
    single: tuple[Series, ...]
    batched: tuple[Series, ...]


def blocks(found: History, run: str, kernels: Sequence[str]) -> tuple[Block, ...]:
    """Return the section on the series that ``run`` is part of; nothing where they are too short to show a change."""
    own = [one for one in found.series if run in one.runs and one.kernel in kernels and len(one.runs) > LEAST]
    single = tuple(one for one in own if one.mode == "per_sample")
    batched = tuple(_best(own))
    if not single and not batched:
        return ()
    drawn = Drawn(found, single, batched)
    changed = change_table([one for one in found.changed if one in own], several=False)
    text = Paragraph(sentence(own))
    return (text, Figure("history", "Time per sample, run by run", _READING, changed, drawn))


def sentence(series: Sequence[Series]) -> str:
    """Return in how many series something changed for good."""
    changed, runs = sum(bool(one.changes) for one in series), max((len(one.runs) for one in series), default=0)
    short = sum(len(one.runs) < 2 * LEAST for one in series)
    many = words.things(len(series), "case")
    if series and short == len(series):
        return f"Too short to see a change: {words.things(runs, 'run')}, and {2 * LEAST} are needed."
    said = f"{changed or 'None'} of {many} changed for good in {words.things(runs, 'run')}"
    return f"{said}; {short} are in fewer than {2 * LEAST} runs, too few to tell." if short else f"{said}."


def change_table(changed: Sequence[Series], *, several: bool, details: bool = False) -> Table:
    """Return a row for each change, the newest first; ``several``: with what was computed, where that differs.

    ``details``: with everything else that changed, and not the first of it.
    """
    rows = [
        (
            one.kernel,
            words.case(one.mode, one.batch_size),
            *([one.task] if several else []),
            words.ratio(change.ratio),
            change.after,
            "; ".join(_besides(change, details=details)) or "nothing that was recorded",
        )
        for one in changed
        for change in reversed(one.changes)
    ]
    named = ("kernel", "case", *(["what was computed"] if several else []))
    caption = "Changes for good, with 95 % intervals, the first run after each, and what else changed with it."
    return Table(caption, columns(named, ["time after / before"], ["since", "what else changed"]), tuple(rows), heads=2)


def _besides(change: Change, *, details: bool) -> Iterator[str]:
    yield from change.besides if details else change.besides[:_BESIDES]
    if not details and len(change.besides) > _BESIDES:
        yield f"{len(change.besides) - _BESIDES} more"


def _best(series: Sequence[Series]) -> Iterator[Series]:
    for kernel in dict.fromkeys(one.kernel for one in series):
        own = [one for one in series if one.kernel == kernel and one.mode == "batched"]
        if own:
            yield min(own, key=lambda one: one.samples_s[-1])


def _past(found: Findings) -> tuple[Block, ...]:
    """Return the history of the machine of a run; nothing of several runs, and of one that has few beside it."""
    run, folder = found.runs[0], found.runs[0].path.parent
    if len(found.runs) != 1 or not run.path.is_dir() or len(list(folder.glob("*/run.json"))) <= LEAST:
        return ()
    try:
        return blocks(history.find(folder), run.id, [case.kernel for case in found.cases])
    except ImportError:
        return (Paragraph(f"{history.NEEDS}."),)
    except UserError as reason:  # of another run, or of the calibration: it costs no report
        return (Paragraph(f"{reason}."),)


def _against_previous(found: Findings) -> str | None:
    return history.against_previous(found.runs[0]) if len(found.runs) == 1 else None


SECTIONS = (Part(130, "history", "From run to run", _past, note=_against_previous),)
