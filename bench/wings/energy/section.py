"""The energy that a sample costs, as a table, where the system shows it."""

from mlpbench.bench import words
from mlpbench.bench.report.document import Block, Findings, Part, table

_CAPTION = (
    "Joules of one sample, counted in the first repeat beside the timed rounds: what the processors' packages, or the "
    "card, drew in all, divided by the samples."
)


def blocks(findings: Findings) -> tuple[Block, ...]:
    """Return the table of all cases, or why nothing was counted; nothing of files that do not know."""
    cases = [(run, record.kernel, case) for run in findings.runs for record in run.records for case in record.cases]
    reasons = dict.fromkeys(case.no_joules for _, _, case in cases if case.no_joules)
    missing = tuple(f"Not counted here: {reason}." for reason in reasons)
    rows = [
        (run.name, kernel, words.case(case.mode, case.batch_size), f"{case.joules:.3g}")
        for run, kernel, case in cases
        if case.joules is not None
    ]
    if not rows:
        return missing
    return (table(_CAPTION, ("kernel", "case"), ("joules",), rows=rows, several=findings.several), *missing)


SECTIONS = (Part(190, "spent", "Energy", blocks),)
