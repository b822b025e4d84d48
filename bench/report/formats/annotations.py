"""Annotations of a comparison, as GitHub's runner reads them from what a step prints.

The syntax is that of "Workflow commands for GitHub Actions": ``::error title=...::message``, with ``%`` and line ends
escaped, and in a property ``:`` and ``,`` too. A name can therefore neither end its annotation nor begin another.
"""

from mlpbench.bench import words
from mlpbench.bench.analysis.compare import Comparison, Row
from mlpbench.bench.record.untrusted import clean_text
from mlpbench.bench.report.sections.compare import ordered, verdict

#: Slower cases fail a job, and unclear ones do not.
_LEVELS = {"slower": "error", "unclear": "warning"}


def render(found: Comparison) -> list[str]:
    """Return a line for each slower or unclear case: slower ones first, then those that may be slower."""
    rows = [row for row in ordered(found) if row.verdict in _LEVELS]
    rows.sort(key=lambda row: (row.verdict != "slower", row not in found.undecided))
    return [_line(row) for row in rows]


def _line(row: Row) -> str:
    case = f"{row.label}, {words.case(row.mode, row.batch_size)}"
    times = f"{words.seconds(row.candidate.value)} a sample, against {words.seconds(row.baseline.value)}"
    said = f"{case}: {verdict(row)}; {times}; speedup {words.ratio(row.speedup)}"
    return f"::{_LEVELS[row.verdict]} title={_property(f'{row.verdict}: {case}')}::{_data(said)}"


def _data(text: str) -> str:
    """Return a text as the message of a command, on one line."""
    return " ".join(clean_text(text).split()).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
