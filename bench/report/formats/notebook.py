"""HTML for a cell of a notebook: blocks of a document without charts, scripts or styles of a page.

Every text is escaped: it may come from a file of unknown origin, and a notebook shows HTML as it is.
"""

from collections.abc import Iterable, Iterator
from html import escape

from mlpbench.bench.report.document import Block, Paragraph, Points, Table

#: More rows are no table that somebody reads in a cell; the frame has them.
_MOST_ROWS = 100


def render(blocks: Iterable[Block]) -> str:
    """Return paragraphs, lists and tables as HTML."""
    return "<div>" + "".join(line for block in blocks for line in _block(block)) + "</div>"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield f"<p>{escape(text)}</p>"
        case Points(items):
            yield f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
        case Table(caption, columns, rows):
            numbers = [column.number for column in columns]
            yield "<table>"
            yield f"<caption>{escape(caption)}</caption>" if caption else ""
            yield f"<thead>{_row((column.name for column in columns), numbers, 'th')}</thead>"
            yield f"<tbody>{''.join(_row(row, numbers, 'td') for row in rows[:_MOST_ROWS])}</tbody></table>"
            if len(rows) > _MOST_ROWS:
                yield f"<p>and {len(rows) - _MOST_ROWS:,} more rows</p>"


def _row(cells: Iterable[str], numbers: Iterable[bool], tag: str) -> str:
    sides = ("right" if number else "left" for number in numbers)
    made = (
        f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>' for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{''.join(made)}</tr>"
