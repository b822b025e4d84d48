"""Terminal: a report's tables as rich draws them."""

from typing import Literal

from rich.table import Table
from rich.text import Text

from mlpbench.bench.report import document


def table(
    found: document.Table, title: str, caption: str | None = None, *, said_once: int = 0, without: tuple[str, ...] = ()
) -> Table:
    """Return a table of a report with another title and caption: a terminal has no room for sentences.

    ``said_once``: so many first cells are left out of a row that begins with the cells of the row above it.
    ``without``: columns that are left out.
    """
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption,
        caption_justify="left",
        header_style="bold",
        box=None,
        pad_edge=False,
    )
    kept = [number for number, column in enumerate(found.columns) if column.name not in without]
    for column in (found.columns[number] for number in kept):
        justify: Literal["left", "right"] = "right" if column.number else "left"
        style = "bold" if column.name == "kernel" else ""
        made.add_column(column.name, justify=justify, style=style, no_wrap=column.number, overflow="fold")
    before: tuple[str, ...] = ()
    for row in found.rows:
        head = row[:said_once]
        cells = [*(("",) * said_once if head == before else head), *row[said_once:]]
        made.add_row(*(Text(cells[number]) for number in kept))
        before = head
    return made
