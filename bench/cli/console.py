"""Where words go: data to stdout, progress and complaints to stderr."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from mlpbench.bench.record.untrusted import clean_text, inert
from mlpbench.bench.words import plain

if TYPE_CHECKING:
    from mlpbench.bench.report import document

INTERRUPTED = 130  # what shells give a command that Ctrl-C ended
#: Width of tables that go to a file or a pipe: nothing is cut off there.
PIPED_WIDTH = 200
#: Spaces from one column of a table to the next.
_GAP = 2
#: No word makes a column wider than this: a path may be longer than any terminal.
_LONGEST_WORD = 24
#: Words are shown as they are: a path may hold "[/]" or ":x:", and neither is markup.
PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}


def out() -> Console:
    """Return the console of stdout."""
    piped = not sys.stdout.isatty()
    return Console(width=PIPED_WIDTH if piped else None, soft_wrap=piped, **PLAIN)


def err() -> Console:
    """Return the console of stderr."""
    # A terminal gets lines that break between words; a file gets each line whole.
    return Console(stderr=True, soft_wrap=not sys.stderr.isatty(), **PLAIN)


def say(line: str, style: str = "") -> None:
    """Print a line to stderr; with a style it is a warning. What moves cursors or text is left out."""
    err().print(Text(inert(line), style))


@contextmanager
def working(doing: str) -> Iterator[None]:
    """Show on a terminal what is being done in the meantime."""
    console = err()
    with console.status(Text(doing)) if console.is_terminal else nullcontext():
        yield


def resolve(runs: Sequence[str] | None, results: Path) -> list[Path]:
    """Return the runs that were named, the latest where none was."""
    from mlpbench.bench.machine import identity
    from mlpbench.bench.record import runs as record

    here = identity.machine_id()
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


def complain(message: str) -> None:
    """Print one line to stderr: what is wrong and what to do."""
    say(f"mlpbench: {clean_text(message)}")


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return an empty table; the columns in ``right`` hold numbers."""
    made = Table(title=title, title_style="bold", header_style="bold", box=None, pad_edge=False)
    made.title_justify = made.caption_justify = "left"
    for column in columns:
        number = column in right
        made.add_column(column, justify="right" if number else "left", no_wrap=number, overflow="fold")
    return made


def report_table(
    content: document.Table, title: str, caption: str | None = None, *, said_once: int = 0, without: str | None = None
) -> Table:
    """Return a table of a report with another title and caption: a terminal has no room for sentences.

    ``said_once``: so many first cells are left out of a row that begins with the cells of the row above it.
    ``without``: a column that is left out.
    """
    kept = {number: column for number, column in enumerate(content.columns) if column.name != without}
    drawn = table(title, *(c.name for c in kept.values()), right=tuple(c.name for c in kept.values() if c.number))
    drawn.caption = caption
    before: tuple[str, ...] = ()
    for row in content.rows:
        blank = said_once if row[:said_once] == before else 0
        drawn.add_row(*(Text(row[number] if number >= blank else "") for number in kept))
        before = row[:said_once]
    return drawn


def indented(line: str) -> Padding | Text:
    """Return a sentence two columns to the right, on a terminal in all of its lines."""
    return Padding(Text(line), (0, 0, 0, 2), expand=False) if sys.stdout.isatty() else Text(f"  {line}")


def show(made: Table, heads: int = 1) -> None:
    """Print a table to stdout; on a terminal too narrow for it as several, each with the first ``heads`` columns.

    Numbers and words stay whole, as far as the terminal has room for one column beside the heads.
    """
    console = out()
    whole = console.measure(made, options=console.options.update(max_width=10**6)).maximum
    if not sys.stdout.isatty() or whole <= console.width:
        console.print(made)
        return
    least, parts = [_least(column) + _GAP for column in made.columns], [list(range(heads))]
    for number in range(heads, len(least)):
        if len(parts[-1]) > heads and sum(least[at] for at in (*parts[-1], number)) - _GAP > console.width:
            parts.append(list(range(heads)))
        parts[-1].append(number)
    for numbers in parts:
        part = copy(made)
        part.columns = [_narrow(made.columns[number], place) for place, number in enumerate(numbers)]
        part.title = made.title if numbers is parts[0] else None
        part.caption = made.caption if numbers is parts[-1] else None
        console.print(*([] if numbers is parts[0] else [""]), part, sep="\n")


def _least(column: Column) -> int:
    """Return the width that a column needs: of its longest word, or of its longest cell where it holds numbers."""
    header, cells = str(column.header).split(), [str(cell) for cell in column.cells]
    if column.no_wrap:
        return max(map(cell_len, [*header, *cells]), default=0)
    return min(max(map(cell_len, [*header, *" ".join(cells).split()]), default=0), _LONGEST_WORD)


def _narrow(column: Column, place: int) -> Column:
    least = _least(column)
    header = "\n".join(textwrap.wrap(str(column.header), least)) if column.no_wrap else column.header
    return replace(column, header=header, min_width=least, _index=place)
