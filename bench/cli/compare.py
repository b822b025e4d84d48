"""`mlpbench compare`, two sides case by case, and `mlpbench history`, the cases of a machine from run to run."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mlpbench.bench import values, words
from mlpbench.bench.cli import console, options
from mlpbench.bench.cli.options import AsJson, Results, Verbose
from mlpbench.bench.errors import UserError
from mlpbench.kernels import registry
from mlpbench.kernels.registry import nearest

if TYPE_CHECKING:
    from mlpbench.bench.analysis.compare import Comparison
    from mlpbench.bench.wings.history.history import History


FORMATS = ("md", "github")


def compare(
    baseline: Annotated[
        str, typer.Argument(help="A run, a kernel of the latest run, or RUN:KERNEL.", autocompletion=options.sides)
    ],
    candidate: Annotated[
        str | None,
        typer.Argument(help="The other side, written the same way; none with --by.", autocompletion=options.sides),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="AXIS", help="Compare the settings of one run: env, threads, dtype, or env=OLD,NEW."),
    ] = None,
    fail_if_slower: options.FailIfSlower = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 4 if a case could not be decided or compared.")
    ] = False,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Compare even if machine, network, data or weights differ."),
    ] = False,
    details: Annotated[bool, typer.Option("--details", help="Say what was not compared, and why.")] = False,
    results: Results = Path("results"),
    format: options.Format = None,  # noqa: A002 - the option's name
    as_json: AsJson = False,
) -> None:
    """Compare two runs, or two kernels of one run: speedup with its interval, and a verdict, for each case.

    A sweep over threads, dtypes or networks is compared setting by setting; latest/threads-1 names one of them. With
    --by, the settings of one run are compared with each other: compare latest --by env.

    It says by how much the candidate is not slower; with --fail-if-slower, whether it is by that. Exit 1 if the
    candidate is slower in any case, 3 if nothing can be compared; with --strict 4 if any is undecided.

    Example: mlpbench compare numpy numba --fail-if-slower 5% --format md
    """
    from mlpbench.bench.analysis import compare as analysis
    from mlpbench.bench.analysis import sides
    from mlpbench.bench.machine import identity

    check_format(format, as_json=as_json)
    here = identity.machine_id()
    if (by is None) == (candidate is None):
        raise UserError("name two sides, or one run and --by with an axis of it, such as --by env")
    typed = [registry.typed_name(text) for text in (baseline, candidate) if text is not None]
    parsed = [sides.parse_sides(text, results, here) for text in typed]
    axis, left, right = sides.by_axis(parsed[0], by) if by else (None, parsed[0], parsed[1])
    if any(name.startswith("latest") or side[0].kernel == name for name, side in zip(typed, parsed, strict=True)):
        console.tell_of_latest(results, here)
    found = analysis.decide(left, right, fail_if_slower, results, anyway=anyway, by=axis)
    tell(found, format=format, as_json=as_json, details=details, strict=strict)


def tell(
    found: Comparison,
    *,
    format: str | None,  # noqa: A002 - the option's name
    as_json: bool,
    details: bool = False,
    strict: bool = False,
) -> None:
    """Print a comparison. End with 1 where something is slower, and ``strict`` with 4 where it is not known."""
    if as_json:
        console.print_json(found.as_dict())
    elif format:
        write(found, format)
    else:
        show(found, details=details)
        if found.smallest_slowdown:
            console.out().print(found.smallest_slowdown)
        console.out().print(Text(found.conclusion(), "bold"))
    if found.slower:
        raise typer.Exit(1)
    if strict and (found.undecided or found.unmatched):
        raise typer.Exit(4)


def check_format(name: str | None, *, as_json: bool) -> None:
    """Raise UserError for another format, or for two at once."""
    if name is not None and name not in FORMATS:
        raise UserError(f"unknown format {name!r}{nearest(name, list(FORMATS))}; there are {', '.join(FORMATS)}")
    if name is not None and as_json:
        raise UserError(f"--json and --format {name} are two formats: give one of them")


def write(found: Comparison, name: str) -> None:
    """Print Markdown; for GitHub annotations, and the Markdown into the job's summary where there is one."""
    from mlpbench.bench.report.formats import markdown
    from mlpbench.bench.report.sections import compare as section
    from mlpbench.bench.wings.ci import annotations

    text = markdown.page(f"{found.candidate} against {found.baseline}", section.blocks(found))
    if name == "github":
        for line in annotations.render(found):
            print(line)  # noqa: T201 - for the runner, which reads what a step prints
        if _summarized(text):
            console.out().print(Text(found.conclusion(), "bold"))
            return
    print(text, end="")  # noqa: T201 - data, to stdout as it is


def _summarized(text: str) -> bool:
    """Append to the summary of the job; return False where there is none, or it cannot be written."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    try:
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(f"{text}\n")
    except OSError as error:
        console.complain(f"cannot write the job's summary: {error.strerror}; it follows here")
        return False
    return True


def show(found: Comparison, *, details: bool) -> None:
    """Print a comparison as a table, with what differs besides, and what weakens it."""
    out = console.out()
    for difference in found.differences:
        out.print(Text(f"not the same on both sides: {difference}", "yellow"))
    shown = _table(found)
    console.show(shown, heads=len(shown.columns) - 6)
    for note in found.notes:
        out.print(Text(note, "dim"))
    for case in found.unmatched if details else ():
        out.print(Text(f"not compared: {case}", "dim"))
    if found.unmatched and not details:
        out.print(Text(f"{words.things(len(found.unmatched), 'case')} not compared: --details says why", "dim"))


def _table(found: Comparison) -> Table:
    from mlpbench.bench.report.sections import compare as section

    made = section.table(found)
    names, right = ([column.name for column in made.columns if column.number or all_] for all_ in (True, False))
    shown = console.table(made.caption, *names, right=tuple(right))
    styles = {"faster": "green", "slower": "bold red", "not slower": "", "undecided": "yellow"}
    for row, cells in zip(section.ordered(found), made.rows, strict=True):
        shown.add_row(*map(Text, cells[:-1]), Text(cells[-1], styles[row.verdict]))
    shown.caption = section.caption(found)
    return shown


def history(
    kernels: Annotated[
        list[str] | None, typer.Argument(metavar="KERNEL", help="Kernels by name; default: every kernel of the runs.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="A folder of the results. Default: this machine's.")
    ] = None,
    fail_if_slower: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            parser=values.parse_threshold,
            help="Fail if a case got slower for good by more than this: 5%, or 0.05.",
        ),
    ] = None,
    verbose: Verbose = False,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Show which cases became faster or slower for good, since which run, and what else changed there.

    A series is one case of a kernel, with one network, data set, weights, dtype and number of threads. Exit 1 with
    --fail-if-slower if the newest change of a series is such a slowdown, in its last 10 runs.

    Example: mlpbench history numpy --fail-if-slower 5%
    """
    from mlpbench.bench.machine import identity
    from mlpbench.bench.wings.history import history as histories

    folder = results / (machine or identity.machine_id())
    found = histories.find(folder, list(map(registry.typed_name, kernels or ())))
    slower = [one for one in found.series if fail_if_slower is not None and one.slowdown(fail_if_slower)]
    if as_json:
        console.print_json({"schema": 1, **asdict(found)})
    else:
        _tell_history(found, verbose=verbose)
    for line in (*found.problems, *([found.trouble] if found.trouble else [])):
        console.say(line, "yellow")
    if slower:
        names = ", ".join(dict.fromkeys(f"{one.kernel} {one.mode} {one.batch_size}" for one in slower))
        console.say(f"slower for good by more than {100 * (fail_if_slower or 0):g}%: {names}", "bold red")
        raise typer.Exit(1)


def _tell_history(found: History, *, verbose: bool) -> None:
    from mlpbench.bench.wings.history import section

    out, several = console.out(), len({one.task for one in found.series}) > 1
    title = f"{found.machine}: {words.things(len(found.runs), 'run')}, {found.runs[0]} to {found.runs[-1]}"
    if found.changed:
        shown = section.change_table(found.changed, several=several, details=verbose)
        console.show(console.report_table(shown, title, shown.caption), shown.heads)
    else:
        out.print(Text(title, "bold"))
    out.print(Text(section.sentence(found.series), "bold"))
