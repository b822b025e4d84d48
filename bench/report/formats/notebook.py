"""HTML for a cell of a notebook: blocks of a document without charts, scripts or styles of a page.

Every text is escaped: it may come from a file of unknown origin, and a notebook shows HTML as it is.
"""

from collections.abc import Iterable, Iterator
from html import escape

from mlpbench.bench.report.document import Block, Column, Paragraph, Points, Table


def render(blocks: Iterable[Block]) -> str:
    """Return paragraphs, lists and tables as HTML; of a table at most 100 rows, because the frame has them all."""
    return "<div>" + "".join(line for block in blocks for line in _block(block)) + "</div>"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield f"<p>{escape(text)}</p>"
        case Points(items):
            yield f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
        case Table(caption, columns, rows):
            yield f"<table>{f'<caption>{escape(caption)}</caption>' if caption else ''}"
            yield f"<thead>{_row([column.name for column in columns], columns, 'th')}</thead>"
            yield f"<tbody>{''.join(_row(row, columns, 'td') for row in rows[:100])}</tbody></table>"
            if len(rows) > 100:
                yield f"<p>and {len(rows) - 100:,} more rows</p>"


def _row(cells: Iterable[str], columns: Iterable[Column], tag: str) -> str:
    styled = (
        f'<{tag} style="text-align: {"right" if column.number else "left"}">{escape(cell)}</{tag}>'
        for cell, column in zip(cells, columns, strict=True)
    )
    return f"<tr>{''.join(styled)}</tr>"
