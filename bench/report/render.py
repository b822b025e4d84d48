"""Puts a report together from runs, and writes it in a format: Markdown, one HTML page, CSV or JSON."""

from collections.abc import Sequence

from mlpbench.bench.analysis import headline
from mlpbench.bench.analysis.judge import judge
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.runs import Run, named
from mlpbench.bench.report import document
from mlpbench.bench.report.document import Document, Findings, Section
from mlpbench.bench.report.formats import data, html, markdown
from mlpbench.bench.report.sections import gaps, setup
from mlpbench.kernels.registry import nearest

_WRITERS = {"md": markdown.render, "html": html.render, "csv": data.as_csv, "json": data.as_json}
FORMATS = tuple(_WRITERS)


def render(
    runs: Sequence[Run],
    format: str,  # noqa: A002 - the word of the command line
    p99_s: float | None = None,
) -> str:
    """Return the report of runs, as `bench.record.runs.read_run` reads them, in one of `FORMATS`.

    ``p99_s``: a latency budget in seconds, of which the report says the largest batch that keeps it.
    Raises UserError for another format, where `build` and `write` do, and for a budget that has no answer.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}{nearest(format, list(FORMATS))}; there are {', '.join(FORMATS)}")
    if p99_s is not None and format == "csv":
        raise UserError("a CSV has no place for the answer to --p99: choose md, html or json")
    for run in runs if p99_s is not None else ():
        if not any(case.single_calls and case.mode == "batched" for record in run.records for case in record.cases):
            raise UserError(f"{run.id}: no single calls of batches were timed: measure with `mlpbench run --p99 5ms`")
    return write(build(runs, p99_s), format)


def write(report: Document, format: str) -> str:  # noqa: A002 - as above
    """Return a report in one of `FORMATS`. Raises UserError for HTML where Jinja2 or vl-convert is not installed."""
    return _WRITERS[format](report)


def build(runs: Sequence[Run], p99_s: float | None = None) -> Document:
    """Return the report of runs, also of one without any time: it says why. ``p99_s``: as for `render`.

    Raises UserError for no runs, or one that is named twice.
    """
    if not runs:
        raise UserError("no run to report on: `mlpbench run` makes one")
    judged = tuple(named([judge(run) for run in runs]))
    cases = tuple(summarize(judged))
    own = grouped((case.run, case) for case in cases)
    by_run = ((run, tuple(own.get(run.name, ()))) for run in judged)
    findings = Findings(judged, cases, tuple(by_run), p99_s)
    answers = findings.of(document.answers)
    first = next(iter(answers), None)
    return Document(
        **vars(findings),
        chips=setup.chips(judged),
        headline=findings.of(document.heading),
        notices=(*gaps.doubted(judged), *gaps.notices(judged)),
        state=setup.state_of(findings),
        sections=tuple(
            Section(part.title, blocks, part.slug, not (part.open or part.slug in answers))
            for part in sorted(document.registered(), key=lambda part: part.slug != first)
            if any(blocks := tuple(part.blocks(findings)))
        ),
        data={name: value(findings) for part in document.registered() for name, value in part.data.items()},
        overviews=tuple(headline.overview(*of_run) for of_run in findings.by_run) if cases and len(runs) > 1 else (),
    )
