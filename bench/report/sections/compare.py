"""A comparison as a document: what it comes to, what else differs, and every case with its verdict."""

import math
from collections.abc import Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis import compare, sides
from mlpbench.bench.analysis.compare import Comparison, Row
from mlpbench.bench.errors import NothingComparable
from mlpbench.bench.report.document import Block, Column, Paragraph, Points, Table, columns
from mlpbench.bench.report.parts import Findings, Part


def title(found: Comparison) -> str:
    """Return what is compared with what, and what was asked."""
    asked = "" if found.threshold is None else f", slower by more than {100 * found.threshold:.3g} % or not"
    return f"{found.candidate} against {found.baseline}: speedup above 1 is faster{asked}"


def caption(found: Comparison) -> str:
    """Return what all verdicts together are worth."""
    rate, pairs = found.false_discovery_rate, "paired by repeat" if found.paired else "unpaired"
    wander = f", two runs differ by {100 * found.wander:.2g} % anyway" if found.wander else ""
    return f"{pairs}{wander}; faster and slower hold for all {len(found.rows)} cases at once, {rate:.0%} wrong at most"


def in_title(found: Comparison) -> bool:
    """Whether the title says what every row is about: two kernels that were named, of one setting."""
    return all(row.baseline_kernel != row.candidate_kernel and row.setting is None for row in found.rows)


def ordered(found: Comparison) -> list[Row]:
    """Return the rows as tables show them: kernel by kernel, single calls first."""
    labels = list(dict.fromkeys(row.label for row in found.rows))
    return sorted(found.rows, key=lambda row: (labels.index(row.label), row.mode != "per_sample", row.batch_size))


def table(found: Comparison) -> Table:
    """Return a row for each case, in the order of `ordered`: both times, the speedup, and the verdict last."""
    heads = () if in_title(found) else ("case",)
    numbers = (
        "batch size",
        "baseline",
        "candidate",
        "speedup" if all(math.isnan(row.speedup.low) for row in found.rows) else "speedup (95 % interval)",
        "not slower by more than",
    )
    rows = [
        (
            *((row.label,) if heads else ()),
            row.mode,
            "one at a time" if row.mode == "per_sample" else f"{row.batch_size:,}",
            words.marked(words.time(row.baseline), row.baseline_kernel in found.unchecked),
            words.marked(words.time(row.candidate), row.candidate_kernel in found.unchecked),
            words.ratio(row.speedup),
            _decided(row),
            verdict(row),
        )
        for row in ordered(found)
    ]
    made = (*columns((*heads, "mode"), numbers), Column("verdict"))
    return Table(title(found), made, tuple(rows), heads=len(heads) + 2)


def blocks(found: Comparison, said: str | None = None) -> tuple[Block, ...]:
    """Return all of a comparison; ``said``: the smallest slowdown that is found here, as a sentence."""
    differences = [f"not the same on both sides: {difference}" for difference in found.differences]
    left_out = [f"not compared: {case}" for case in found.unmatched]
    notes = [caption(found), *found.notes, *([said] if said else [])]
    return (
        Paragraph(found.conclusion()),
        *_points(differences),
        table(found),
        *_points(notes),
        *_points(left_out),
    )


def _points(texts: Sequence[str]) -> tuple[Points, ...]:
    return (Points(tuple(texts)),) if texts else ()


def verdict(row: Row) -> str:
    """Return the verdict; of an undecided case, with how many repeats would tell."""
    if row.repeats_needed is None:
        return row.verdict
    return f"undecided (about {row.repeats_needed:,} repeats would tell)"


def _decided(row: Row) -> str:
    """Return by how much the candidate is not slower, as far as its interval tells."""
    if row.verdict in ("faster", "slower"):
        return ""
    if math.isnan(row.decides):
        return "not known"
    return words.slowdown(row.decides)


def _versions(found: Findings) -> Comparison | None:
    """Return the comparison of the two environments of a sweep; None where there are not two, or nothing in common."""
    runs = found.runs
    names = list(dict.fromkeys(run.setting.env for run in runs if run.setting and run.setting.env))
    sweeps = {run.plan.sweep if run.plan else None for run in runs}
    if len(names) != 2 or len(sweeps) != 1 or None in sweeps:
        return None
    axis, left, right = sides.by_axis([sides.Side(run) for run in runs], f"env={names[0]},{names[1]}")
    try:
        return compare.compare(left, right, by=axis)
    except NothingComparable:  # the report says what is missing
        return None


def _of_versions(found: Findings) -> tuple[Block, ...]:
    return blocks(versions) if (versions := found.of(_versions)) else ()


def _answer(found: Findings) -> str | None:
    return versions.conclusion() if (versions := found.of(_versions)) else None


def _asked(found: Findings) -> bool:
    return found.of(_versions) is not None


SECTIONS = (Part(20, "versions", "One environment against the other", _of_versions, asked=_asked, answer=_answer),)
