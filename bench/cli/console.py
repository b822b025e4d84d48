"""Where words go: data to stdout, progress and complaints to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from mlpbench.bench.record.untrusted import clean_text, inert
from mlpbench.bench.words import plain

if TYPE_CHECKING:
    from mlpbench.bench.report import document

INTERRUPTED = 130  # what shells give a command that Ctrl-C ended
#: Words are shown as they are: a path may hold "[/]" or ":x:", and neither is markup.
PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}


def out() -> Console:
    """Return the console of stdout; a pipe is as wide as COLUMNS says, or so wide that nothing of a table is folded."""
    piped = not sys.stdout.isatty()
    return Console(width=200 if piped and "COLUMNS" not in os.environ else None, soft_wrap=piped, **PLAIN)


def err() -> Console:
    """Return the console of stderr: a terminal gets lines that break between words, a file gets each line whole."""
    return Console(stderr=True, soft_wrap=not sys.stderr.isatty(), **PLAIN)


def say(line: str, style: str = "") -> None:
    """Print a line to stderr; with a style it is a warning. What moves cursors or text is left out."""
    err().print(Text(inert(line), style))


def complain(message: str) -> None:
    """Print one line to stderr: what is wrong and what to do."""
    say(f"mlpbench: {clean_text(message)}")


def working(doing: str) -> Status:
    """Return what shows on a terminal, as long as its block lasts, what is being done."""
    return err().status(Text(doing))


def resolve(runs: Sequence[str] | None, results: Path) -> list[Path]:
    """Return the runs that were named, the latest where none was."""
    from mlpbench.bench.machine import environment
    from mlpbench.bench.record import runs as record

    here = environment.machine_id()
    paths = [record.resolve(run, results, here) for run in runs or ["latest"]]
    if not runs or any(run.partition("/")[0] == "latest" for run in runs):
        tell_of_latest(results, here)
    return paths


def tell_of_latest(results: Path, here: str) -> None:
    """Say on stderr what the latest run is, if it may surprise."""
    from mlpbench.bench.record import runs as record

    if note := record.note_on_latest(results, here):
        say(clean_text(note), "yellow")


def print_json(data: Any) -> None:
    """Print data for programs to stdout. NaN becomes null: JSON has no other word for a missing number."""
    print(json.dumps(plain(data), indent=2, ensure_ascii=False, allow_nan=False))  # noqa: T201


def table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table; the columns in ``right`` hold numbers. Where it is too narrow, cells break at blanks."""
    made = Table(title=title, title_style="bold", header_style="bold", box=None, pad_edge=False)
    made.title_justify = made.caption_justify = "left"
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def report_table(content: document.Table, title: str, caption: str | None = None, without: str | None = None) -> Table:
    """Return a table of a report with another title and caption; ``without``: a column that is left out."""
    kept = {number: name for number, name in enumerate(content.columns) if name != without}
    drawn = table(title, *kept.values(), right=[name for at, name in kept.items() if at in content.numbers])
    drawn.caption = caption
    for row in content.rows:
        drawn.add_row(*(Text(row[number]) for number in kept))
    return drawn
