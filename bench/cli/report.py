"""`mlpbench report`: a document from saved results; and what `mlpbench run` ends with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import Results, Runs
from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from mlpbench.bench.report.document import Document

_TITLE = "Median over repeats, with 95 % intervals"
_CAPTION = "speedup: time per sample one at a time / here, paired by repeat; rounds: of each repeat, the fewest"
_CAPTION_OF_MANY = "speedup: time per sample one at a time / in the best batch, paired by repeat"


def report(
    runs: Runs = None,
    format: Annotated[str, typer.Option(help="md, html, csv or json.")] = "md",  # noqa: A002 - the option's name
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write; default: stdout.")] = None,
    p99: Annotated[
        str | None,
        typer.Option("--p99", metavar="TIME", help="Say the largest batch whose p99 stays under this, as 5ms."),
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Make a document from saved results: Markdown, one self-contained HTML page, CSV or JSON.

    Example: mlpbench report --format html -o report.html
    """
    from mlpbench.bench.record import runs as record
    from mlpbench.bench.report import render as documents
    from mlpbench.bench.values import parse_duration

    budget_s = None if p99 is None else parse_duration(p99)
    paths = [record.resolve(run, results) for run in runs] if runs else [record.latest(results)]
    found = [run for path in paths for run in record.read_runs(path)]
    text = documents.render(found, format, budget_s)
    for line in (line for run in found for line in run.damaged):
        console.say(f"left out: {line}", "yellow")
    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")  # noqa: T201 - data, to stdout as it is
        return
    console.say(f"wrote {_write(output, text)}")


def _write(path: Path, text: str) -> Path:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another file with -o") from None
    return path


def write_reports(document: Document, folder: Path) -> list[Path]:
    """Write a report into the folder of its runs: Markdown, and HTML where the libraries for it are installed."""
    from mlpbench.bench.report import render as documents

    written = []
    for name in ("md", "html"):
        try:
            text = documents.write(document, name)
        except UserError as missing:
            console.say(f"no {name} report: {missing}", "yellow")
            continue
        written.append(_write(folder / f"report.{name}", text))
    return written


def tell(document: Document, *, as_json: bool) -> None:
    """Print the headline and the table of a report to stdout, or all of it as JSON.

    The table has every case of one run, and of several, with their hundreds of cases, every kernel.
    """
    from mlpbench.bench.report import render as documents
    from mlpbench.bench.report.formats import terminal
    from mlpbench.bench.report.sections import gaps, times, trust

    if as_json:
        print(documents.write(document, "json"))  # noqa: T201
        return
    found, runs, judged = document.headline, document.runs, document.judged
    out = console.out()
    out.print(Text(found.lead, "bold"))
    for line in document.lines():
        out.print(console.indented(line))
    if document.cases:
        out.print()
        endings = {run.name: run.ending for run in runs if run.ending}
        if document.overviews:
            shown = times.finding_table(found.kernels)
            console.show(terminal.table(shown, _TITLE, _CAPTION_OF_MANY, said_once=1), heads=shown.heads)
        else:
            shown = times.case_table(document.cases, endings)
            once = shown.heads - 1
            made = terminal.table(shown, _TITLE, _CAPTION, said_once=once, without=("first call",))
            console.show(made, heads=shown.heads + 1)
        # What is said of one run begins with its grade: the notice would say that twice.
        for notice in trust.notices(judged) if len(runs) > 1 else trust.refusals(judged):
            out.print(Text(notice, "bold"))
        for line in trust.lines(*judged) if len(runs) == 1 else trust.advice(judged):
            out.print(Text(line))
    for line in gaps.refused(runs):
        out.print(Text(line, "bold red"))
    for run in runs:
        before = f"{run.name}: " if len(runs) > 1 else ""
        for said in (run.ending.shortfall(), run.ending.sentence()) if run.ending else ():
            out.print(Text(before + said)) if said else None
