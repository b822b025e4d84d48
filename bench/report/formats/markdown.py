"""Markdown, as GitHub and notebooks read it: no text of a file can write tables, links or HTML into it."""

import re
from collections.abc import Iterable, Iterator

from mlpbench.bench.report.document import Block, Command, Document, Figure, Section, Table

#: What can begin something in the middle of a line. Underscores inside a word are harmless in GitHub's Markdown.
_SPECIAL = re.compile(r"([\\`*\[\]|~$])|(?<![A-Za-z0-9])(_)|(_)(?![A-Za-z0-9])")
#: What turns a whole line into a heading, a list or a rule; in a log of GitHub, into a command.
_LINE_START = re.compile(r"^(\d*)(?=[.)](?:\s|$))|^(?=[#+=:-])")
#: GitHub makes a link of a bare address and a mention of a bare @name.
_AUTOLINK = re.compile(r"(?i)(https?|ftp|www|mailto)(?=[:.])|(@)(?=\w)")


def render(document: Document) -> str:
    """Return the report as Markdown."""
    chips = " · ".join(f"{name} {escape(value)}" for name, value in document.chips)
    lines = [f"# {escape(document.title)}", "", chips, "", f"**{escape(document.headline.lead)}**", ""]
    lines += [f"- {escape(line)}" for line in document.lines()]
    lines += [line for text in document.notices for line in ("", f"> {escape(text)}")]
    lines += ["", escape(document.state), "", *(page(section.title, section.blocks) for section in document.sections)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def page(title: str, blocks: Iterable[Block]) -> str:
    """Return blocks under a title, if there is one."""
    lines = [f"## {escape(title)}", ""] if title else []
    lines += [line for block in blocks if block for line in (*_block(block), "")]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Return any text as one line of Markdown that shows exactly that text."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(lambda found: "\\" + found[0], line)
    line = _AUTOLINK.sub(lambda found: f"{found[1][:-1]}&#{ord(found[1][-1])};" if found[1] else "&#64;", line)
    return _LINE_START.sub(r"\1\\", line)


def _block(block: Block) -> Iterator[str]:
    match block:
        case str():
            yield escape(block)
        case tuple():
            yield from (f"- {escape(item)}" for item in block)
        case Command(text):
            # The fence is longer than any run of backticks in the code block.
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            yield from (f"{fence}console", " ".join(text.split()), fence)
        case Table(caption):
            yield from (escape(caption), "", *table_lines(block))
        case Figure(title=title, table=table):
            yield from (f"### {escape(title)}", "", *_block(table))
        case Section(title, blocks):
            yield escape(f"{title}:")
            yield from (line for inner in blocks for line in ("", *_block(inner)))


def table_lines(table: Table) -> Iterator[str]:
    """Yield a table without its caption, line by line."""
    yield _row(table.columns)
    yield "|" + "|".join(" ---: " if at in table.numbers else " --- " for at in range(len(table.columns))) + "|"
    yield from map(_row, table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(escape(cell) or " " for cell in cells) + " |"
