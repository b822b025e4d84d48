"""The report: the same content as Markdown, as one self-contained HTML page, as CSV and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.record import Run
    from mlpbench.bench.report.document import Document

__all__ = ["FORMATS", "build", "render", "write"]

FORMATS = ("md", "html", "csv", "json")


def render(
    runs: Sequence[Run],
    format: str,  # noqa: A002 - the word of the command line
    p99_s: float | None = None,
) -> str:
    """Return the report of runs, as `bench.record.read_run` reads them, in one of `FORMATS`.

    ``p99_s``: a latency budget in seconds, of which the report says the largest batch that keeps it.
    Raises UserError for another format, for no runs, for a run named twice, for HTML where Altair or vl-convert is not
    installed, and for a budget where a run has no single calls, or in CSV, which has no place for it.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}: there are {', '.join(FORMATS)}")
    if p99_s is not None:
        _require_single_calls(runs, format)
    return write(build(runs, p99_s), format)


def build(runs: Sequence[Run], p99_s: float | None = None) -> Document:
    """Return the report of runs, to be written in any format. Raises UserError for no runs, or one named twice."""
    from mlpbench.bench.report import content

    if not runs:
        raise UserError("no run to report on: `mlpbench run` makes one")
    return content.build(list(runs), p99_s)


def write(document: Document, format: str) -> str:  # noqa: A002 - as above
    """Return a report in one of `FORMATS`. Raises UserError for HTML where Altair or vl-convert is not installed."""
    # Each format brings its own libraries: a CSV needs no charts.
    from mlpbench.bench.report import as_csv, as_html, as_json, as_markdown

    formats = {"md": as_markdown.render, "html": as_html.render, "csv": as_csv.render, "json": as_json.render}
    return formats[format](document)


def _require_single_calls(runs: Sequence[Run], format: str) -> None:  # noqa: A002 - as above
    if format == "csv":
        raise UserError("a CSV has no place for the answer to --p99: choose md, html or json")
    for run in runs:
        if not any(single.mode == "batched" for record in run.records for single in record.trust.singles):
            raise UserError(f"{run.id}: no single calls of batches were timed: measure with `mlpbench run --p99 5ms`")
