"""`mlpbench report`: a document from saved results; and what `mlpbench run` ends with."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mlpbench.bench.analysis import judge
from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import Results, Runs
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs as record
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.write import write_document
from mlpbench.bench.registered import modules
from mlpbench.bench.report import render
from mlpbench.bench.report.document import Document
from mlpbench.bench.report.sections import gaps, setup, times
from mlpbench.bench.values import parse_duration

_FORMAT = "md, html, csv or json; default: as the file's name ends, else md."
_OUTPUT = "File to write; default: stdout."
_P99 = "Find the largest batch with a p99 under this, such as 5ms."


def report(
    runs: Runs = None,
    format: Annotated[str | None, typer.Option(metavar="FORMAT", help=_FORMAT)] = None,  # noqa: A002 - the option's name
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help=_OUTPUT)] = None,
    p99: Annotated[float | None, typer.Option("--p99", metavar="TIME", parser=parse_duration, help=_P99)] = None,
    browse: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    results: Results = Path("results"),
) -> None:
    """Make a document from saved results: Markdown, one self-contained HTML page, CSV or JSON.

    With --open, the page is made in the folder of the run and shown by the browser. A page of all runs is
    index.html in the folder of results.

    Example: mlpbench report -o report.html
    """
    ending = output.suffix.lower().removeprefix(".") if output else ""
    folders = console.resolve(runs, results)
    chosen = [run for path in folders for run in record.read_runs(path)]
    if browse:
        if output or format:
            raise UserError("--open makes the page in the folder of the run: leave --output and --format out")
        page = write_reports(render.build(chosen, p99), folders[0])[-1].resolve().as_uri()
        name_left_out(chosen)
        console.out().print(Text(f"page: {page}"), soft_wrap=True)
        typer.launch(page)
        return
    text = render.render(chosen, format or (ending if ending in render.FORMATS else "md"), p99)
    name_left_out(chosen)
    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")  # noqa: T201 - data, to stdout as it is
        return
    write_document(output, text)
    console.say(f"wrote {output}")


def name_left_out(runs: Sequence[Run]) -> bool:
    """Name the files of runs that cannot be read, or cannot be true; return whether there are any."""
    lines = [line for run in runs for line in run.damaged]
    for line in lines:
        console.say(f"left out: {line}", "yellow")
    return bool(lines)


def write_reports(document: Document, folder: Path, stem: str = "report") -> list[Path]:
    """Write a report into the folder of its runs: Markdown, and HTML where the libraries for it are installed.

    The page of all runs, in the folder of results, is made again.
    """
    texts = {"md": render.write(document, "md")}
    try:
        texts["html"] = render.write(document, "html")
    except UserError as missing:
        console.say(f"no html report: {missing}", "yellow")
    written = {folder / f"{stem}.{ending}": text for ending, text in texts.items()}
    for path, text in written.items():
        write_document(path, text)
    for wing in modules("pages") if stem == "report" else ():
        wing.write(folder.parents[1])
    return list(written)


def tell(document: Document, *, as_json: bool = False, verbose: bool = False) -> None:
    """Print the kernels as a table, then the finding and how busy the machine was, to stdout; or a report as JSON.

    ``verbose``: every case of one run too, and what the harness costs.
    """
    if as_json:
        print(render.write(document, "json"))  # noqa: T201
        return
    headline, out, several = document.headline, console.out(), bool(document.overviews)
    if document.cases:
        table = times.kernel_table(headline.kernels, several=several)
        out.print(console.report_table(table, table.caption.rstrip(".")))
        if verbose and not several:
            cases = times.case_table(document.cases)
            out.print("", console.report_table(cases, "Case by case", cases.caption, without="first call"), sep="\n")
        out.print()
    out.print(Text(headline.lead, "bold"))
    for line in document.lines() if verbose or several else headline.remarks:
        out.print(Text(f"  {line}"))
    if document.cases:
        for line in filter(None, (document.state, *(setup.harness(document) if verbose else ()))):
            out.print(Text(line, "dim"))
    tell_doubts(document)
    for run in document.runs:
        before = f"{run.name}: " if len(document.runs) > 1 else ""
        for text in filter(None, (run.shortfall, run.outcome if verbose else None)):
            out.print(Text(before + text))


def tell_doubts(document: Document, shown: Document | None = None) -> None:
    """Print what is refused, and what is not checked; of a document that follows one ``shown``, what is new."""
    for phase, style in ((judge.PHASE, "bold red"), (judge.UNSURE, "yellow")):
        before = gaps.doubted(shown.runs, phase) if shown else ()
        warning = "Not to be believed in the table above. " if shown and phase == judge.PHASE else ""
        for line in gaps.doubted(document.runs, phase):
            if line not in before:
                console.out().print(Text(warning + line, style))


def print_end(document: Document, page: Path) -> None:
    """Print where the page of a run is, and what one may type next."""
    out, several = console.out(), bool(document.overviews)
    out.print()
    out.print(Text(f"page: {page.resolve().as_uri()}"), soft_wrap=True)  # a link that is folded is none
    # The results may be anywhere: the folder of the machine lies in theirs.
    folder = document.runs[0].path.parent if several else document.runs[0].path
    results = folder.parents[1]
    if record.latest(results, folder.parent.name) != folder:
        return
    commands = ["mlpbench explain"]
    if len({run.setting.env for run in document.runs if run.setting}) == 2:
        commands.insert(0, "mlpbench compare latest --by env")
    checked = [kernel.kernel for kernel in document.headline.kernels if not kernel.unchecked]
    if not several and len(checked) > 1:
        commands.append(f"mlpbench compare {checked[1]} {checked[0]}")
    where = "" if results == Path("results") else f" {shlex.join(['--results', str(results)])}"
    out.print(Text(f"next: {', '.join(command + where for command in commands)}"))
