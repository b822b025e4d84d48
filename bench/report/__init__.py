"""The report: the same content as Markdown, as one self-contained HTML page, as CSV and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.record import Run

__all__ = ["FORMATS", "render"]

FORMATS = ("md", "html", "csv", "json")


def render(runs: Sequence[Run], format: str) -> str:  # noqa: A002 - the word of the command line
    """Return the report of runs, as `bench.record.read_run` reads them, in one of `FORMATS`.

    Raises UserError for another format, for no runs, for a run named twice, and for HTML where Altair or vl-convert
    is not installed.
    """
    # Each format brings its own libraries: a CSV needs no charts.
    from bench.report import as_csv, as_html, as_json, as_markdown, content

    if not runs:
        raise UserError("no run to report on: `mlpbench run` makes one")
    formats = {"md": as_markdown.render, "html": as_html.render, "csv": as_csv.render, "json": as_json.render}
    if format not in formats:
        raise UserError(f"unknown format {format!r}: there are {', '.join(FORMATS)}")
    return formats[format](content.build(list(runs)))
