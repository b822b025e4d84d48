"""What a sample costs besides time, as a table: instructions, cycles, cache misses and joules, where they are shown."""

from collections.abc import Sequence

from mlpbench.bench import words
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.trust import COUNTED, Spent
from mlpbench.bench.report.document import Block, Paragraph, columns, table_of_runs
from mlpbench.bench.report.parts import Part, always

_CAPTION = (
    "Of one sample, counted in the first repeat beside the timed rounds: every thread of the process, without the "
    "system. Joules are what the processors' packages, or the card, drew in all, divided by the samples."
)
_NAMES = {name: name.replace("_", " ") for name in COUNTED} | {"joules": "energy"}


def blocks(runs: Sequence[Run]) -> tuple[Block, ...]:
    """Return the table of all cases, or why nothing was counted; nothing of files that do not know."""
    found = [(run, record.kernel, one) for run in runs for record in run.records for one in record.trust.spent]
    if not found:
        return ()
    counted = [(run, kernel, one) for run, kernel, one in found if one.samples]
    reasons = dict.fromkeys(f"{_NAMES[name]}: {why}" for _, _, one in found for name, why in one.missing.items())
    missing = tuple(Paragraph(f"Not counted here: {reason}.") for reason in reasons)
    if not counted:
        return missing
    rows = [(run.name, kernel, words.case(one.mode, one.batch_size), *_cells(one)) for run, kernel, one in counted]
    made = columns(("kernel", "case"), ("instructions", "cycles", "per cycle", "cache misses", "page faults", "joules"))
    return (table_of_runs(_CAPTION, made, rows, heads=2, several=len(runs) > 1), *missing)


def _cells(one: Spent) -> tuple[str, ...]:
    rate = one.instructions / one.cycles if one.instructions and one.cycles else None
    values = (one.instructions, one.cycles, rate, one.cache_misses, one.page_faults, one.joules)
    return tuple("" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" for value in values)


SECTIONS = (Part(190, "spent", "Instructions and energy", lambda found: blocks(found.runs), folded=always),)
