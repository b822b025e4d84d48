"""The energy that a sample costs, as a table, where the system shows it."""

from mlpbench.bench import words
from mlpbench.bench.report.document import Block, Findings, Paragraph, table
from mlpbench.bench.report.parts import Part

_CAPTION = (
    "Joules of one sample, counted in the first repeat beside the timed rounds: what the processors' packages, or the "
    "card, drew in all, divided by the samples."
)


def blocks(findings: Findings) -> tuple[Block, ...]:
    """Return the table of all cases, or why nothing was counted; nothing of files that do not know."""
    cases = [
        (run, record.kernel, spent) for run in findings.runs for record in run.records for spent in record.trust.spent
    ]
    reasons = dict.fromkeys(spent.no_joules for _, _, spent in cases if spent.no_joules)
    missing = tuple(Paragraph(f"Not counted here: {reason}.") for reason in reasons)
    rows = [
        (run.name, kernel, words.case(spent.mode, spent.batch_size), f"{spent.joules:.3g}")
        for run, kernel, spent in cases
        if spent.joules is not None
    ]
    if not rows:
        return missing
    return (table(_CAPTION, ("kernel", "case"), ("joules",), rows=rows, several=findings.several), *missing)


SECTIONS = (Part(190, "spent", "Energy", blocks, folded=True),)
