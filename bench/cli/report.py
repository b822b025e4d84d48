"""`mlpbench report`: a document from saved results; and what `mlpbench run` ends with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import Results
from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from mlpbench.bench.analysis.headline import KernelFinding
    from mlpbench.bench.analysis.summary import CaseSummary
    from mlpbench.bench.record.ending import Ending
    from mlpbench.bench.report.document import Document

FORMATS = ("md", "html", "csv", "json")


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Run folders, result files or run ids. Default: the latest."),
    ] = None,
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
    from mlpbench.kernels.registry import nearest

    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}{nearest(format, list(FORMATS))}; there are {', '.join(FORMATS)}")
    budget_s = None if p99 is None else parse_duration(p99)
    paths = [record.resolve(run, results) for run in runs] if runs else [record.latest(results)]
    text = documents.render([run for path in paths for run in record.read_runs(path)], format, budget_s)
    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")  # noqa: T201 - data, to stdout as it is
        return
    console.err().print(f"wrote {_write(output, text)}", soft_wrap=True)


def _write(path: Path, text: str) -> Path:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another file with -o") from None
    return path


def write_reports(document: Document, folder: Path) -> list[Path]:
    """Write a report into the folder of its runs: Markdown, and HTML where the libraries for it are installed."""
    from rich.text import Text

    from mlpbench.bench.report import render as documents

    written = []
    for name in ("md", "html"):
        try:
            text = documents.write(document, name)
        except UserError as missing:
            console.err().print(Text(f"no {name} report: {missing}", "yellow"))
            continue
        written.append(_write(folder / f"report.{name}", text))
    return written


def tell(document: Document, *, as_json: bool) -> None:
    """Print the headline and the table of a report to stdout, or all of it as JSON.

    The table has every case of one run, and of several, with their hundreds of cases, every kernel.
    """
    from rich.text import Text

    from mlpbench.bench.report import render as documents
    from mlpbench.bench.report.sections import trust

    if as_json:
        print(documents.write(document, "json"))  # noqa: T201
        return
    found, runs = document.headline, document.runs
    out = console.out()
    out.print(Text(found.lead, "bold"))
    for line in document.lines():
        out.print(console.indented(line))
    if document.cases:
        out.print()
        endings = {run.name: run.ending for run in runs if run.ending}
        if document.overviews:
            console.show(_kernels(found.kernels), heads=2)
        else:
            console.show(_table(document.cases, endings), heads=4 if len(runs) > 1 else 3)
        # What is said of one run begins with its grade: the notice would say that twice.
        for notice in trust.notices(runs) if len(runs) > 1 else trust.refusals(runs):
            out.print(Text(notice, "bold"))
        for line in trust.lines(runs[0]) if len(runs) == 1 else trust.advice(runs):
            out.print(Text(line))
    for run in runs:
        before = f"{run.name}: " if len(runs) > 1 else ""
        if run.ending and (said := run.ending.sentence()):
            out.print(Text(before + said))


def _kernels(found: Sequence[KernelFinding]) -> Table:
    from rich.text import Text

    from mlpbench.bench.report.sections.tables import finding_table

    made = finding_table(found)
    names = [column.name for column in made.columns]
    right = tuple(column.name for column in made.columns if column.number)
    shown = console.table("Median over repeats", *names, right=right)
    before = None
    for run, kernel, *cells in made.rows:
        shown.add_row(Text("" if run == before else run), Text(kernel, "bold"), *cells)
        before = run
    shown.caption = "with 95 % intervals; speedup: time per sample one at a time / in the best batch, paired by repeat"
    shown.caption_justify = "left"
    return shown


def _table(cases: Sequence[CaseSummary], endings: Mapping[str, Ending]) -> Table:
    from rich.text import Text

    from mlpbench.bench import words

    right = ("batch size", "time per sample (95 % interval)", "samples/s", "speedup (95 % interval)", "rounds")
    adaptive = any(ending.target is not None for ending in endings.values())
    last = ("stopped by",) if adaptive else ()
    several = ("run",) if len({case.run for case in cases}) > 1 else ()
    shown = console.table("Median over repeats", *several, "kernel", "mode", *right, *last, right=right)
    before = None
    for case in cases:
        new = (case.run, case.kernel) != before
        ending = endings.get(case.run)
        shown.add_row(
            *([Text(case.run if new else "")] if several else []),
            Text(case.kernel if new else "", "bold"),
            case.mode,
            f"{case.batch_size:,}" if case.mode != "per_sample" else "one at a time",
            words.duration(case.sample),
            words.count(case.throughput),
            "" if case.speedup is None else words.ratio(case.speedup),
            f"{case.repeats} x {case.rounds}" + (f", {case.disturbed} disturbed" if case.disturbed else ""),
            *([(ending and ending.limit(case.kernel, case.mode, case.batch_size)) or ""] if adaptive else []),
        )
        before = case.run, case.kernel
    shown.caption = "speedup: time per sample one at a time / here, paired by repeat; rounds: repeats x fewest in one"
    shown.caption_justify = "left"
    return shown
