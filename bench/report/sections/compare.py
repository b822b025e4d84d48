"""A comparison as a document: what it comes to, what else differs, and every case with its verdict."""

import math

from mlpbench.bench import words
from mlpbench.bench.analysis import compare, sides
from mlpbench.bench.analysis.compare import Comparison, Row
from mlpbench.bench.cases import ITERATION
from mlpbench.bench.errors import NothingComparable
from mlpbench.bench.report import document
from mlpbench.bench.report.document import Block, Findings, Part, Table


def caption(comparison: Comparison) -> str:
    """Return what all verdicts together are worth."""
    pairs = "paired by repeat" if comparison.paired else "unpaired"
    wander = f", two runs differ by {100 * comparison.wander:.2g} % anyway" if comparison.wander else ""
    worth = f"faster and slower hold for all {len(comparison.rows)} cases at once"
    return f"{pairs}{wander}; {worth}, {comparison.false_discovery_rate:.0%} wrong at most"


def ordered(comparison: Comparison) -> list[Row]:
    """Return the rows as tables show them: kernel by kernel, single calls first."""
    labels = list(dict.fromkeys(row.label for row in comparison.rows))
    return sorted(comparison.rows, key=lambda row: (labels.index(row.label), row.mode != "per_sample", row.batch_size))


def table(comparison: Comparison) -> Table:
    """Return a row for each case, in the order of `ordered`: both times, the speedup, and the verdict last."""
    foreign = all(row.mode == ITERATION for row in comparison.rows)
    # The title says what every row is about where two kernels were named, of one setting.
    named = not foreign and all(
        row.baseline_kernel != row.candidate_kernel and not row.setting for row in comparison.rows
    )
    rows = []
    for row in ordered(comparison):
        size = "one at a time" if row.mode == "per_sample" else f"{row.batch_size:,}"
        case = (*(() if named else (row.label,)), *(() if foreign else (row.mode, size)))
        sides = ((row.baseline, row.baseline_kernel), (row.candidate, row.candidate_kernel))
        times = (words.marked(words.time(time), kernel in comparison.unchecked) for time, kernel in sides)
        rows.append((*case, *times, words.ratio(row.speedup), _decided(row), verdict(row)))
    speedup = "speedup" if all(math.isnan(row.speedup.low) for row in comparison.rows) else "speedup (95 % interval)"
    texts = ("benchmark",) if foreign else ("mode",) if named else ("case", "mode")
    numbers = (*(() if foreign else ("batch size",)), "baseline", "candidate", speedup, "not slower by more than")
    threshold = comparison.threshold
    asked = "" if threshold is None else f", slower by more than {100 * threshold:.3g} % or not"
    title = f"{comparison.candidate} against {comparison.baseline}: speedup above 1 is faster{asked}"
    return document.table(title, texts, numbers, ("verdict",), rows=rows)


def blocks(comparison: Comparison) -> tuple[Block, ...]:
    """Return all of a comparison."""
    return (
        comparison.conclusion,
        tuple(f"not the same on both sides: {difference}" for difference in comparison.differences),
        table(comparison),
        (caption(comparison), *comparison.notes),
        tuple(f"not compared: {case}" for case in comparison.unmatched),
    )


def verdict(row: Row) -> str:
    """Return the verdict; of an undecided case, with how many repeats would tell."""
    repeats = row.repeats_needed
    return row.verdict if repeats is None else f"undecided (about {repeats:,} repeats would tell)"


def _decided(row: Row) -> str:
    """Return by how much the candidate is not slower, as far as its interval tells."""
    if row.verdict in ("faster", "slower"):
        return ""
    return "not known" if math.isnan(row.decides) else words.slowdown(row.decides)


def _versions(findings: Findings) -> list[Comparison]:
    """Return the comparison of the two environments of a sweep; none where there are not two, or nothing in common."""
    runs = findings.runs
    names = list(dict.fromkeys(run.setting.env for run in runs if run.setting and run.setting.env))
    sweeps = {run.plan.sweep if run.plan else None for run in runs}
    if len(names) != 2 or len(sweeps) != 1 or None in sweeps:
        return []
    axis, left, right = sides.by_axis([sides.Side(run) for run in runs], f"env={names[0]},{names[1]}")
    try:
        return [compare.compare(left, right, by=axis)]
    except NothingComparable:  # the report says what is missing
        return []


SECTIONS = (
    Part(
        20,
        "versions",
        "One environment against the other",
        lambda findings: [block for versions in findings.of(_versions) for block in blocks(versions)],
        answer=lambda findings: next((versions.conclusion for versions in findings.of(_versions)), None),
    ),
)
