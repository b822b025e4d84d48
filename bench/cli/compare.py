"""`mlpbench compare`: two runs, or two kernels of one run, case by case."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mlpbench.bench import words
from mlpbench.bench.cli import console, options
from mlpbench.bench.cli.options import AsJson, Results

if TYPE_CHECKING:
    from rich.table import Table

    from mlpbench.bench.analysis.compare import Comparison, Row


#: How it ends where most cases may be slower or not.
UNDECIDED = 4


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
    fail_if_slower: Annotated[
        str, typer.Option(metavar="SHARE", help="Fail if slower by more than this: 5%, or 0.05.")
    ] = "2.5%",
    strict: Annotated[
        bool, typer.Option("--strict", help="Also fail if a case is unclear or could not be compared.")
    ] = False,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Compare even if machine, network, data or weights differ, or a clock was false."
        ),
    ] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Say what was not compared and why, and how times were made comparable.")
    ] = False,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Compare two runs, or two kernels of one run: speedup with its interval, and a verdict, for each case.

    A sweep over threads, dtypes or networks is compared setting by setting; latest/threads-1 names one of them. With
    --by, the settings of one run are compared with each other: compare latest --by env.

    Exit 1 if the candidate is slower in any case, 3 if nothing can be compared, 4 if most cases are undecided.

    Example: mlpbench compare numpy numba --fail-if-slower 5%
    """
    from mlpbench.bench import values
    from mlpbench.bench.analysis import calibration, sides
    from mlpbench.bench.analysis import compare as compare_
    from mlpbench.bench.errors import UserError
    from mlpbench.bench.machine import environment
    from mlpbench.bench.stats.drift import ASSUMED

    threshold = values.parse_threshold(fail_if_slower)
    here = environment.machine_id()
    if (by is None) == (candidate is None):
        raise UserError("name two sides, or one run and --by with an axis of it, such as --by env")
    typed = [text for text in (baseline, candidate) if text is not None]
    parsed = [sides.parse_sides(text, results, here) for text in typed]
    axis, left, right = sides.by_axis(parsed[0], by) if by else (None, parsed[0], parsed[1])
    if any(name.startswith("latest") or side[0].kernel == name for name, side in zip(typed, parsed, strict=True)):
        console.tell_of_latest(results, here)
    machine = right[0].run.machine
    calibrated = calibration.of_machine(results / machine) if left[0].run.machine == machine else None
    drifts = calibrated.drifts if calibrated else ASSUMED
    found = compare_.compare(left, right, threshold, anyway=anyway, drifts=drifts, by=axis)
    fewest = min(row.speedup.n for row in found.rows)
    said = calibrated.sentence(fewest, paired=found.paired) if calibrated else None
    if as_json:
        console.print_json({**found.as_dict(), "smallest_slowdown": said, "conclusion": found.conclusion()})
    else:
        _print(found, details=details)
        if said:
            console.out().print(said)
        console.out().print(Text(found.conclusion(), "bold"))
    if found.slower or (strict and (found.unclear or found.unmatched)):
        raise typer.Exit(1)
    if 2 * len(found.undecided) > len(found.rows):
        raise typer.Exit(UNDECIDED)


def _print(found: Comparison, *, details: bool) -> None:
    out = console.out()
    for difference in found.differences:
        out.print(Text(f"not the same on both sides: {difference}", "yellow"))
    console.show(_table(found), heads=2 if _in_title(found) else 3)
    for note in (*found.notes, *(found.basis if details else ())):
        out.print(Text(note, "dim"))
    for case in found.unmatched if details else ():
        out.print(Text(f"not compared: {case}", "dim"))
    if found.unmatched and not details:
        out.print(Text(f"{words.things(len(found.unmatched), 'case')} not compared: --details says why", "dim"))


def _in_title(found: Comparison) -> bool:
    """Whether the title says what every row is about: two kernels that were named, of one setting."""
    return all(row.baseline_kernel != row.candidate_kernel and row.setting is None for row in found.rows)


def _table(found: Comparison) -> Table:
    right = ("batch size", "baseline", "candidate", "speedup (95 % interval)", "slowdown seen from")
    share = f"{100 * found.threshold:.3g} %"
    title = f"{found.candidate} against {found.baseline}: speedup above 1 is faster, threshold {share}"
    shown = console.table(title, *([] if _in_title(found) else ["case"]), "mode", *right, "verdict", right=right)
    styles = {"faster": "green", "slower": "bold red", "same": "", "unclear": "yellow"}
    labels = list(dict.fromkeys(row.label for row in found.rows))
    for row in sorted(found.rows, key=lambda row: (labels.index(row.label), row.mode != "per_sample", row.batch_size)):
        shown.add_row(
            *([] if _in_title(found) else [Text(row.label)]),
            row.mode,
            "one at a time" if row.mode == "per_sample" else f"{row.batch_size:,}",
            words.marked(words.seconds(row.baseline.value), row.baseline_kernel in found.unchecked),
            words.marked(words.seconds(row.candidate.value), row.candidate_kernel in found.unchecked),
            words.ratio(row.speedup),
            _seen_from(row.detectable),
            Text(_verdict(row), styles[row.verdict]),
        )
    rate, pairs = found.false_discovery_rate, "paired by repeat" if found.paired else "unpaired"
    shown.caption = f"{pairs}; faster and slower hold for all {len(found.rows)} cases at once, {rate:.0%} wrong at most"
    return shown


def _verdict(row: Row) -> str:
    from mlpbench.bench.stats.significance import MOST_REPEATS

    if row.verdict != "unclear" or math.isnan(row.p):
        return row.verdict
    if row.repeats_needed is None and row.drift.sd:
        return "unclear (repeats do not tell: measure both sides in one run)"
    if row.repeats_needed is None:
        return f"unclear (more than {MOST_REPEATS:,} repeats would tell)"
    return f"unclear (about {row.repeats_needed:,} repeats would tell)"


def _seen_from(share: float) -> str:
    if math.isnan(share):
        return "none"
    return f"{100 * share:.2g} %" if share < 1 else "beyond 2x"
