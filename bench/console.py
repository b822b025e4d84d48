"""Where words go: data to stdout, progress and complaints to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.plain import plain
from bench.untrusted import clean_text

__all__ = ["complain", "err", "out", "print_json", "table"]

#: Width of tables that go to a file or a pipe: nothing is cut off there.
PIPED_WIDTH = 200
#: Words are shown as they are: a path may hold "[/]" or ":x:", and neither is markup.
PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}


def out() -> Console:
    """Return the console of stdout."""
    piped = not sys.stdout.isatty()
    return Console(width=PIPED_WIDTH if piped else None, soft_wrap=piped, **PLAIN)


def err() -> Console:
    """Return the console of stderr."""
    return Console(stderr=True, soft_wrap=True, **PLAIN)


def print_json(data: Any) -> None:
    """Print data for programs to stdout. NaN becomes null: JSON has no other word for a missing number."""
    print(json.dumps(plain(data), indent=2, ensure_ascii=False, allow_nan=False))  # noqa: T201


def complain(message: str) -> None:
    """Print one line to stderr: what is wrong and what to do. Names of files may hold anything: it is cleaned."""
    print(f"mlpbench: {clean_text(message)}", file=sys.stderr)  # noqa: T201


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return an empty table; the columns in ``right`` hold numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        number = column in right
        made.add_column(column, justify="right" if number else "left", no_wrap=number, overflow="fold")
    return made
