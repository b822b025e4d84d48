"""Options of `mlpbench run` about a closer look at each kernel, besides its times."""

from __future__ import annotations

from typing import Annotated

import typer

_CLOSER = "A closer look"

Latency = Annotated[
    list[str] | None,
    typer.Option(
        metavar="N",
        help="Time single calls of this batch size too; may be repeated. Batch size 1 always is.",
        rich_help_panel=_CLOSER,
    ),
]
P99 = Annotated[
    str | None,
    typer.Option(
        "--p99",
        metavar="TIME",
        help="Find the largest batch whose p99 stays under this, as 5ms; times single calls of every batch size.",
        rich_help_panel=_CLOSER,
    ),
]
Cold = Annotated[
    bool,
    typer.Option(
        "--cold",
        help="Start each kernel without compiled code too: up to half a minute more for each. The profile full does.",
        rich_help_panel=_CLOSER,
    ),
]


def closer_look(latency: list[str] | None, p99: str | None, *, cold: bool) -> list[str]:
    """Return pytest's words for these options. Raises UserError for a batch size or a time that is none."""
    from mlpbench.bench.values import parse_batch_size, parse_duration

    words = [f"--latency={parse_batch_size(text)}" for text in latency or ()]
    if p99 is not None:
        parse_duration(p99)
        words.append(f"--p99={p99}")
    return [*words, "--cold"] if cold else words
