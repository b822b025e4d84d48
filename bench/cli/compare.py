"""`mlpbench compare`: two sides case by case."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mlpbench.bench import words
from mlpbench.bench.analysis import compare as analysis
from mlpbench.bench.analysis import sides
from mlpbench.bench.analysis.compare import Comparison
from mlpbench.bench.cli import console, options
from mlpbench.bench.cli.options import AsJson, Results
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import environment
from mlpbench.bench.registered import modules
from mlpbench.bench.report.formats import markdown
from mlpbench.bench.report.sections import compare as section
from mlpbench.kernels import registry

STYLES = {"faster": "green", "slower": "bold red", "not slower": "", "undecided": "yellow"}

_BASELINE = "A run, a kernel of the latest run, RUN:KERNEL, or files of pytest-benchmark: 'before*.json'."
_OTHER = "The other side, written the same way; none with --by."
_BY = "Compare the settings of one run: env, threads, dtype, or env=OLD,NEW."
_STRICT = "Exit with 4 if a case could not be decided or compared."
_ANYWAY = "Compare even if machine, network, data or weights differ."


def compare(
    baseline: Annotated[str, typer.Argument(metavar="RUN", help=_BASELINE, autocompletion=options.sides)],
    candidate: Annotated[str | None, typer.Argument(metavar="RUN", help=_OTHER, autocompletion=options.sides)] = None,
    by: Annotated[str | None, typer.Option(metavar="AXIS", help=_BY)] = None,
    fail_if_slower: options.FailIfSlower = None,
    strict: Annotated[bool, typer.Option("--strict", help=_STRICT)] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help=_ANYWAY)] = False,
    results: Results = Path("results"),
    format: options.Format = None,  # noqa: A002 - the option's name
    as_json: AsJson = False,
) -> None:
    """Compare two runs, or two kernels of one run: speedup with its interval, and a verdict, for each case.

    A sweep over threads, dtypes or networks is compared setting by setting; latest/threads-1 names one of them. With
    --by, the settings of one run are compared with each other: compare latest --by env. Files that any project's
    pytest-benchmark wrote are compared by the names of their benchmarks: compare 'before*.json' 'after*.json'.

    It says by how much the candidate is not slower; with --fail-if-slower, whether it is by that. Exit 1 if the
    candidate is slower in any case, 3 if nothing can be compared; with --strict 4 if any is undecided.

    Example: mlpbench compare numpy numba --fail-if-slower 5% --format md
    """
    check_format(format, as_json=as_json)
    if (by is None) == (candidate is None):
        raise UserError("name two sides, or one run and --by with an axis of it, such as --by env")
    comparison = analysis.of_files(baseline, candidate, fail_if_slower, anyway=anyway) if candidate else None
    if comparison is None:
        here = environment.machine_id()
        typed = [registry.typed_name(text) for text in (baseline, candidate) if text is not None]
        parsed = [sides.parse_sides(text, results, here) for text in typed]
        left, right, axis = parsed[0], parsed[-1], None
        if by:
            axis, left, right = sides.by_axis(left, by)
        if any(name.startswith("latest") or side[0].kernel == name for name, side in zip(typed, parsed, strict=True)):
            console.tell_of_latest(results, here)
        comparison = analysis.decide(left, right, fail_if_slower, anyway=anyway, by=axis)
    tell(comparison, format=format, as_json=as_json, strict=strict)


def check_format(name: str | None, *, as_json: bool) -> None:
    """Raise UserError for another format, or for two at once."""
    if name:
        registry.one_of("format", name, _formats())
    if name and as_json:
        raise UserError(f"--json and --format {name} are two formats: give one of them")


def _formats() -> dict[str, Callable[[Comparison, str], None]]:
    """Return what writes a comparison, given its Markdown too, by the format's name."""
    of_wings = {name: write for wing in modules("annotations") for name, write in wing.FORMATS.items()}
    return {"md": lambda _, text: print(text, end=""), **of_wings}  # noqa: T201 - data, to stdout as it is


def tell(comparison: Comparison, *, format: str | None, as_json: bool, strict: bool = False) -> None:  # noqa: A002 - the option's name
    """Print a comparison. End with 1 where something is slower, and ``strict`` with 4 where it is not known."""
    if as_json:
        console.print_json(comparison.as_dict())
    elif format:
        text = markdown.page(f"{comparison.candidate} against {comparison.baseline}", section.blocks(comparison))
        _formats()[format](comparison, text)
    else:
        _show(comparison)
    if comparison.slower:
        raise typer.Exit(1)
    if strict and (comparison.undecided or comparison.unmatched):
        raise typer.Exit(4)


def _show(comparison: Comparison) -> None:
    """Print a comparison as a table, with what differs besides, what weakens it, and what it comes to."""
    out, notes = console.out(), list(comparison.notes)
    for difference in comparison.differences:
        out.print(Text(f"not the same on both sides: {difference}", "yellow"))
    content = section.table(comparison)
    table = console.report_table(content, content.caption, section.caption(comparison))
    for line, row in zip(table.rows, section.ordered(comparison), strict=True):
        line.style = STYLES[row.verdict]
    out.print(table)
    if comparison.unmatched:
        notes.append(f"{words.things(len(comparison.unmatched), 'case')} not compared: --json says why")
    for note in notes:
        out.print(Text(note, "dim"))
    out.print(Text(comparison.conclusion, "bold"))
