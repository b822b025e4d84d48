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
from mlpbench.bench.report import render
from mlpbench.bench.report.document import Document
from mlpbench.bench.report.sections import gaps, machine, times
from mlpbench.bench.values import parse_duration

_TITLE = "Median over repeats, with 95 % intervals"
_CAPTION = "speedup: time per sample one at a time / here, paired by repeat; rounds: of each repeat, the fewest"
_CAPTION_OF_MANY = "speedup: time per sample one at a time / in the best batch, paired by repeat"
#: The style of what is refused.
_REFUSED = "bold red"

_FORMAT = "md, html, csv or json; default: as the file's name ends, else md."
_OUTPUT = "File to write; default: stdout."
_P99 = "Find the largest batch with a p99 under this, such as 5ms."


def report(
    runs: Runs = None,
    format: Annotated[str | None, typer.Option(metavar="FORMAT", help=_FORMAT)] = None,  # noqa: A002 - the option's name
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help=_OUTPUT)] = None,
    p99: Annotated[float | None, typer.Option("--p99", metavar="TIME", parser=parse_duration, help=_P99)] = None,
    results: Results = Path("results"),
) -> None:
    """Make a document from saved results: Markdown, one self-contained HTML page, CSV or JSON.

    Example: mlpbench report -o report.html
    """
    written_as = _format(format, output)
    chosen = [run for path in console.resolve(runs, results) for run in record.read_runs(path)]
    text = render.render(chosen, written_as, p99)
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


def _format(asked: str | None, output: Path | None) -> str:
    """Return the format that was asked for or that the file's name says. Raises UserError where they contradict."""
    ending = output.suffix.lower().removeprefix(".") if output else ""
    if ending not in render.FORMATS:
        return asked or "md"
    if asked not in (None, ending):
        raise UserError(f"{output} ends as {ending}, and --format is {asked}: leave --format out, or name another file")
    return ending


def write_reports(document: Document, folder: Path, stem: str = "report") -> list[Path]:
    """Write a report into the folder of its runs: Markdown, and HTML where the libraries for it are installed."""
    written = []
    for name in ("md", "html"):
        try:
            text = render.write(document, name)
        except UserError as missing:
            console.say(f"no {name} report: {missing}", "yellow")
            continue
        written.append(folder / f"{stem}.{name}")
        write_document(written[-1], text)
    return written


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
        caption = _CAPTION_OF_MANY if several else None
        out.print(console.report_table(table, table.caption.rstrip("."), caption, said_once=several))
        if verbose and not several:
            cases = times.case_table(document.cases)
            out.print("", console.report_table(cases, _TITLE, _CAPTION, said_once=1, without="first call"), sep="\n")
        out.print()
    out.print(Text(headline.lead, "bold"))
    for line in document.lines() if verbose or several else headline.remarks:
        out.print(console.indented(line))
    if document.cases:
        for line in filter(None, (document.state, *(machine.harness(document) if verbose else ()))):
            out.print(Text(line, "dim"))
    for line, style in _doubts(document).items():
        out.print(Text(line, style))
    for run in document.runs:
        before = f"{run.name}: " if len(document.runs) > 1 else ""
        ending = (run.shortfall, run.outcome if verbose else None)
        for text in filter(None, ending):
            out.print(Text(before + text))


def tell_refused(document: Document, shown: Document) -> None:
    """Print what is refused in a document and was not in the one that was ``shown``: it takes back numbers of it.

    What one process alone has found takes nothing away, and is printed too.
    """
    before = _doubts(shown)
    for line, style in _doubts(document).items():
        if line not in before:
            warning = "Not to be believed in the table above. " if style == _REFUSED else ""
            console.out().print(Text(warning + line, style))


def _doubts(document: Document) -> dict[str, str]:
    """Return what is refused, and what is not checked, with the style of each line."""
    refused, not_checked = gaps.doubted(document.runs), gaps.doubted(document.runs, judge.UNSURE)
    return dict.fromkeys(refused, _REFUSED) | dict.fromkeys(not_checked, "yellow")


def print_end(document: Document, pages: Sequence[Path]) -> None:
    """Print where the page of a run is, and what one may type next."""
    out, several = console.out(), bool(document.overviews)
    out.print()
    for page in pages:
        out.print(Text(f"page: {page.resolve().as_uri()}"), soft_wrap=True)  # a link that is folded is none
    # The results may be anywhere: the folder of the machine lies in theirs.
    folder = document.runs[0].path.parent if several else document.runs[0].path
    results = folder.parents[1]
    is_latest = record.latest(results, folder.parent.name) == folder
    commands = ["mlpbench explain" if is_latest else f"mlpbench explain {folder.name}"]
    if len({run.setting.env for run in document.runs if run.setting}) == 2:
        commands.insert(0, "mlpbench compare latest --by env")
    checked = [kernel for kernel in document.headline.kernels if not kernel.unchecked]
    if is_latest and not several and len(checked) > 1:
        fastest = min(checked, key=lambda kernel: min(time.value for time in (kernel.one, kernel.best) if time))
        other = next(kernel for kernel in checked if kernel is not fastest)
        commands.append(f"mlpbench compare {other.kernel} {fastest.kernel}")
    where = "" if results == Path("results") else f" {shlex.join(['--results', str(results)])}"
    out.print(Text(f"next: {', '.join(command + where for command in commands)}"))
