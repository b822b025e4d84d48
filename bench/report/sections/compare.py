"""A comparison as a document: what it comes to, what else differs, and every case with its verdict."""

import math
from collections.abc import Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis.compare import Comparison, Row
from mlpbench.bench.report.document import Block, Column, Paragraph, Points, Table, columns
from mlpbench.bench.stats.significance import MOST_REPEATS
from mlpbench.bench.trust import apart

#: Cases that the sentence about two versions names, of each verdict.
_NAMED = 3
#: Verdicts, and what that sentence says of those whose cases it does not name.
_VERDICTS = {"faster": "", "slower": "", "same": "the same", "unclear": "unclear"}


def versions_apart(found: Comparison, old: str, new: str) -> str:
    """Return in one sentence which of two versions is faster, by how much, and in which cases."""
    total = words.things(len(found.rows), "case")
    of = {verdict: [row for row in found.rows if row.verdict == verdict] for verdict in _VERDICTS}
    if not of["faster"] and not of["slower"]:
        if not of["unclear"]:
            return f"{new} and {old} are equally fast in {total}, within {100 * found.threshold:.3g} %."
        rest = f"the same in {len(of['same'])} of {total}, unclear in {len(of['unclear'])}"
        return f"No difference between {new} and {old} was found: {rest}; more repeats may tell."
    told = [
        f"{verdict} in {len(of[verdict])}: {_named(of[verdict])}" for verdict in ("faster", "slower") if of[verdict]
    ]
    told += [f"{word} in {len(of[verdict])}" for verdict, word in _VERDICTS.items() if word and of[verdict]]
    return f"{new} against {old}, {total}: {'; '.join(told)}."


def _named(rows: Sequence[Row]) -> str:
    """Return cases with their ratios, the largest difference first; of many, how many more there are."""
    largest = sorted(rows, key=lambda row: -abs(math.log(row.speedup.value)))
    told = [f"{row.label}, {words.case(row.mode, row.batch_size)} {words.ratio(row.speedup)}" for row in largest]
    more = [f"and {len(told) - _NAMED} more"] if len(told) > _NAMED else []
    return "; ".join([*told[:_NAMED], *more])


def title(found: Comparison) -> str:
    """Return what is compared with what, by which threshold."""
    share = f"{100 * found.threshold:.3g} %"
    return f"{found.candidate} against {found.baseline}: speedup above 1 is faster, threshold {share}"


def caption(found: Comparison) -> str:
    """Return what all verdicts together are worth."""
    rate, pairs = found.false_discovery_rate, "paired by repeat" if found.paired else "unpaired"
    if found.repeats_apart is not None and not apart.claimed(found.repeats_apart):
        close = (
            f"repeats of a kernel began {found.repeats_apart:.1f} lengths of a process apart, not {apart.ENOUGH:.0f}"
        )
        return f"{pairs}; neither 95 % nor a rate of false verdicts is claimed: {close}"
    return f"{pairs}; faster and slower hold for all {len(found.rows)} cases at once, {rate:.0%} wrong at most"


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
        f"speedup ({'95 % ' if apart.claimed(found.repeats_apart) else ''}interval)",
        "slowdown seen from",
    )
    rows = [
        (
            *((row.label,) if heads else ()),
            row.mode,
            "one at a time" if row.mode == "per_sample" else f"{row.batch_size:,}",
            words.marked(words.seconds(row.baseline.value), row.baseline_kernel in found.unchecked),
            words.marked(words.seconds(row.candidate.value), row.candidate_kernel in found.unchecked),
            words.ratio(row.speedup),
            _seen_from(row.detectable),
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
    """Return the verdict; of an unclear case with what would tell."""
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
