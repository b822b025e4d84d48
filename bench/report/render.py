"""A report in one of its formats: Markdown, one self-contained HTML page, CSV or JSON."""

from __future__ import annotations

from collections.abc import Sequence

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.build import build
from mlpbench.bench.report.document import Document

FORMATS = ("md", "html", "csv", "json")


def render(
    runs: Sequence[Run],
    format: str,  # noqa: A002 - the word of the command line
    p99_s: float | None = None,
) -> str:
    """Return the report of runs, as `bench.record.runs.read_run` reads them, in one of `FORMATS`.

    ``p99_s``: a latency budget in seconds, of which the report says the largest batch that keeps it.
    Raises UserError for another format, for no runs, for a run named twice, for HTML where Altair or vl-convert is not
    installed, and for a budget where a run has no single calls, or in CSV, which has no place for it.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}: there are {', '.join(FORMATS)}")
    if p99_s is not None:
        _require_single_calls(runs, format)
    return write(build(list(runs), p99_s), format)


def write(document: Document, format: str) -> str:  # noqa: A002 - as above
    """Return a report in one of `FORMATS`. Raises UserError for HTML where Altair or vl-convert is not installed."""
    # Each format brings its own libraries: a CSV needs no charts, and Markdown no pandas.
    if format == "md":
        from mlpbench.bench.report.formats import markdown

        return markdown.render(document)
    if format == "html":
        from mlpbench.bench.report.formats import html

        return html.render(document)
    if format == "csv":
        from mlpbench.bench.report.formats import csv

        return csv.render(document)
    from mlpbench.bench.report.formats import json

    return json.render(document)


def _require_single_calls(runs: Sequence[Run], format: str) -> None:  # noqa: A002 - as above
    if format == "csv":
        raise UserError("a CSV has no place for the answer to --p99: choose md, html or json")
    for run in runs:
        if not any(single.mode == "batched" for record in run.records for single in record.trust.singles):
            raise UserError(f"{run.id}: no single calls of batches were timed: measure with `mlpbench run --p99 5ms`")
