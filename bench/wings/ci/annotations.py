"""Annotations of a comparison, as GitHub's runner reads them from what a step prints.

The syntax is that of "Workflow commands for GitHub Actions": ``::error title=...::message``, with ``%`` and line ends
escaped, and in a property ``:`` and ``,`` too. A name can therefore neither end its annotation nor begin another.
"""

from mlpbench.bench import words
from mlpbench.bench.analysis.compare import Comparison, Row
from mlpbench.bench.record.untrusted import clean_text
from mlpbench.bench.report.sections.compare import ordered, verdict

#: Slower cases fail a job, and undecided ones do not.
_LEVELS = {"slower": "error", "undecided": "warning"}


def render(comparison: Comparison) -> list[str]:
    """Return a line for each slower or undecided case, slower ones first."""
    rows = [row for row in ordered(comparison) if row.verdict in _LEVELS]
    return [_line(row) for row in sorted(rows, key=lambda row: row.verdict != "slower")]


def _line(row: Row) -> str:
    case = f"{row.label}, {words.case(row.mode, row.batch_size)}"
    times = f"{words.time(row.candidate)} a sample, against {words.time(row.baseline)}"
    message = f"{case}: {verdict(row)}; {times}; speedup {words.ratio(row.speedup)}"
    return f"::{_LEVELS[row.verdict]} title={_property(f'{row.verdict}: {case}')}::{_data(message)}"


def _data(text: str) -> str:
    """Return a text as the message of a command, on one line."""
    return " ".join(clean_text(text).split()).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
