"""Annotations of a comparison, as GitHub's runner reads them from what a step prints.

The syntax is that of "Workflow commands for GitHub Actions": ``::error title=...::message``, with ``%`` and line ends
escaped, and in a property ``:`` and ``,`` too. A name can therefore neither end its annotation nor begin another.
"""

import os
from pathlib import Path

from rich.text import Text

from mlpbench.bench import words
from mlpbench.bench.analysis.compare import Comparison, Row
from mlpbench.bench.cli import console
from mlpbench.bench.record.untrusted import clean_text
from mlpbench.bench.report.sections.compare import ordered, verdict

#: Slower cases fail a job, and undecided ones do not.
_LEVELS = {"slower": "error", "undecided": "warning"}


def render(comparison: Comparison) -> list[str]:
    """Return a line for each slower or undecided case, slower ones first."""
    rows = [row for row in ordered(comparison) if row.verdict in _LEVELS]
    return [_line(row) for row in sorted(rows, key=lambda row: row.verdict != "slower")]


def publish(comparison: Comparison, text: str) -> None:
    """Print annotations, and append the Markdown to the summary of the job, or print it where there is none."""
    for line in render(comparison):
        print(line)  # noqa: T201 - for the runner, which reads what a step prints
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(path).open("a", encoding="utf-8") as summary:
                summary.write(f"{text}\n")
        except OSError as error:
            console.complain(f"cannot write the job's summary: {error.strerror}; it follows here")
        else:
            console.out().print(Text(comparison.conclusion, "bold"))
            return
    print(text, end="")  # noqa: T201 - data, to stdout as it is


#: What `mlpbench compare --format` takes.
FORMATS = {"github": publish}


def _line(row: Row) -> str:
    case = f"{row.label}, {words.case(row.mode, row.batch_size)}"
    times = f"{words.time(row.candidate)}, against {words.time(row.baseline)}"
    message = f"{case}: {verdict(row)}; {times}; speedup {words.ratio(row.speedup)}"
    title = _data(f"{row.verdict}: {case}").replace(":", "%3A").replace(",", "%2C")
    return f"::{_LEVELS[row.verdict]} title={title}::{_data(message)}"


def _data(text: str) -> str:
    """Return a text as the message of a command, on one line."""
    return " ".join(clean_text(text).split()).replace("%", "%25")
