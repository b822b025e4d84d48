"""Two sides, case by case: ratio, interval, verdict.

The sides are two runs (kernels of the same name are compared; runs know nothing of each other's disturbances, so the
ratio is unpaired) or two kernels of one run (paired within each repeat). Times are seconds per sample, at one pace of
the processor where the records tell it (`bench.trust.pace`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from bench import differences, statistics
from bench.errors import NothingComparable, UserError
from bench.record import Run
from bench.sides import Side, kernel_of, kernels_of, pace_of, parse_side, parse_threshold
from bench.significance import FALSE_DISCOVERY_RATE
from bench.verdicts import THRESHOLD, judge

if TYPE_CHECKING:
    import pandas as pd

    from bench.statistics import Estimate, Ratio, Verdict
    from bench.trust.pace import Pace

__all__ = ["Comparison", "Row", "Side", "Unmatched", "compare", "parse_side", "parse_threshold"]


@dataclass(frozen=True)
class Row:
    """One case on both sides, in seconds per sample; ``speedup`` is baseline / candidate: above 1 is faster.

    ``p_adjusted`` is corrected for the number of cases; ``repeats_needed``, of an unclear case, is how many would tell.
    """

    baseline_kernel: str
    candidate_kernel: str
    mode: str
    batch_size: int
    baseline: Estimate
    candidate: Estimate
    speedup: Ratio
    p: float
    p_adjusted: float
    verdict: Verdict
    repeats_needed: int | None

    @property
    def kernels(self) -> str:
        """The kernel, or both."""
        if self.baseline_kernel == self.candidate_kernel:
            return self.baseline_kernel
        return f"{self.candidate_kernel} against {self.baseline_kernel}"


@dataclass(frozen=True)
class Unmatched:
    """A case that could not be compared, and why; ``mode`` and ``batch_size`` are None for a whole kernel."""

    kernel: str
    mode: str | None
    batch_size: int | None
    reason: str

    def __str__(self) -> str:
        case = "" if self.mode is None else f" {self.mode} {self.batch_size}"
        return f"{self.kernel}{case}: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """What came out. ``differences`` says what else differs between the sides, ``notes`` what weakens the result.

    ``pace_s``: seconds for a calibration spin at the pace of all times; None where they are as measured.
    """

    baseline: str
    candidate: str
    threshold: float
    false_discovery_rate: float
    paired: bool
    pace_s: float | None
    rows: tuple[Row, ...]
    unmatched: tuple[Unmatched, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def slower(self) -> tuple[Row, ...]:
        """The cases in which the candidate is slower, worst first."""
        return tuple(sorted((row for row in self.rows if row.verdict == "slower"), key=lambda r: r.speedup.value))

    @property
    def unclear(self) -> tuple[Row, ...]:
        """The cases in which the data cannot tell."""
        return tuple(row for row in self.rows if row.verdict == "unclear")

    @property
    def worst(self) -> Row | None:
        """The case in which the candidate is slowest against the baseline, if it is slower in any."""
        return next(iter(self.slower), None)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each case: times in seconds per sample, speedup, its interval, n, p, verdict."""
        import pandas as pd

        columns = ["baseline_kernel", "candidate_kernel", "mode", "batch_size", "baseline_s", "candidate_s"]
        columns += ["speedup", "speedup_low", "speedup_high", "n", "p", "p_adjusted", "verdict", "repeats_needed"]
        values = []
        for row in self.rows:
            case = (row.baseline_kernel, row.candidate_kernel, row.mode, row.batch_size)
            ratio = (row.speedup.value, row.speedup.low, row.speedup.high, row.speedup.n)
            judged = (row.p, row.p_adjusted, row.verdict, row.repeats_needed)
            values.append((*case, row.baseline.value, row.candidate.value, *ratio, *judged))
        return pd.DataFrame(values, columns=columns)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it.

        ``cases`` hold ``baseline_s`` and ``candidate_s`` (seconds per sample) and ``speedup``, each with ``value``,
        ``low``, ``high``, ``n``; an interval that does not exist is null, with its ``reason``.
        """
        whole = asdict(self)
        cases = [
            {{"baseline": "baseline_s", "candidate": "candidate_s"}.get(key, key): value for key, value in row.items()}
            for row in whole.pop("rows")
        ]
        result: dict[str, Any] = _without_nan({**whole, "cases": cases})
        return result


def compare(
    baseline: Side | Run, candidate: Side | Run, threshold: float = THRESHOLD, *, anyway: bool = False
) -> Comparison:
    """Compare two runs, or two kernels of one run.

    A side without a kernel takes the other side's; if neither names one, kernels of the same name are compared.
    Raises NothingComparable if no case has times on both sides and, unless ``anyway``, if a side's clock was false, or
    the sides are of different machines or compute different things (`bench.differences.that_forbid`).
    """
    left, right = _sides(baseline, candidate)
    false_clocks = list(dict.fromkeys(said for side in (left, right) if (said := side.false_clock())))
    if false_clocks and not anyway:
        raise NothingComparable(f"{' '.join(false_clocks)} Measure again, or compare --anyway")
    together = _same_run(left.run, right.run)
    pace = pace_of(left.run, right.run)
    cases: list[_Case] = []
    unmatched: list[Unmatched] = []
    unequal: dict[str, None] = {}
    for one, other in _pairs(left, right):
        compared, left_out = _cases(one, other, pace, paired=together and one.kernel != other.kernel)
        cases += compared
        unmatched += left_out
        if compared:
            unequal |= dict.fromkeys(_differences(one, other, together, anyway=anyway))
    if not cases:
        why = f": {unmatched[0]}" if unmatched else ""
        raise NothingComparable(f"nothing to compare: {left.label} and {right.label} have no case in common{why}")
    paired = together and left.kernel != right.kernel
    rows = _judged(cases, paired, threshold)
    return Comparison(
        left.label,
        right.label,
        threshold,
        FALSE_DISCOVERY_RATE,
        paired,
        pace.spin_s,
        tuple(rows),
        tuple(unmatched),
        tuple(unequal),
        (*false_clocks, *_notes(left, right, rows, pace)),
    )


def _judged(cases: list[_Case], paired: bool, threshold: float) -> list[Row]:
    judgements = judge([(case.baseline, case.candidate) for case in cases], paired, threshold)
    rows = []
    for case, found in zip(cases, judgements, strict=True):
        names = (case.baseline_kernel, case.candidate_kernel, case.mode, case.batch_size)
        sides = statistics.estimate(case.baseline), statistics.estimate(case.candidate)
        tested = (found.p, found.p_adjusted)
        rows.append(Row(*names, *sides, found.speedup, *tested, found.verdict, found.repeats_needed))
    return rows


def _sides(baseline: Side | Run, candidate: Side | Run) -> tuple[Side, Side]:
    sides = [Side(side) if isinstance(side, Run) else side for side in (baseline, candidate)]
    # A single record is one kernel, whether or not it is named.
    sides = [
        replace(side, kernel=side.run.kernels[0]) if side.kernel is None and side.run.path.is_file() else side
        for side in sides
    ]
    left, right = sides
    if left.kernel and not right.kernel:
        right = replace(right, kernel=kernel_of(right.run, left.kernel))
    elif right.kernel and not left.kernel:
        left = replace(left, kernel=kernel_of(left.run, right.kernel))
    if left.run.path.resolve() == right.run.path.resolve() and left.kernel == right.kernel:
        raise UserError(f"nothing to compare: both sides are {left.label}; name two runs, or two kernels of one")
    return left, right


def _pairs(left: Side, right: Side) -> list[tuple[Side, Side]]:
    if left.kernel:
        return [(left, right)]
    names = dict.fromkeys((*kernels_of(left.run), *kernels_of(right.run)))
    return [(replace(left, kernel=name), replace(right, kernel=name)) for name in names]


@dataclass(frozen=True)
class _Case:
    """The times of one case on both sides, by repeat."""

    baseline_kernel: str
    candidate_kernel: str
    mode: str
    batch_size: int
    baseline: dict[int, float]
    candidate: dict[int, float]


def _cases(one: Side, other: Side, pace: Pace, paired: bool) -> tuple[list[_Case], list[Unmatched]]:
    baseline, candidate = one.times(pace), other.times(pace)
    cases, unmatched = [], []
    alike = one.kernel == other.kernel
    label = one.kernel if alike else f"{other.kernel} against {one.kernel}"
    for mode, size in dict.fromkeys((*baseline, *candidate, *_failed(one), *_failed(other))):
        a, b = baseline.get((mode, size), {}), candidate.get((mode, size), {})
        reasons = [_absent(side, alike, mode, size) for side, t in ((one, a), (other, b)) if not t]
        if not reasons and paired and not a.keys() & b.keys():
            reasons = ["no repeat has both sides"]
        if reasons:
            unmatched.append(Unmatched(str(label), mode, size, "; ".join(reasons)))
            continue
        cases.append(_Case(str(one.kernel), str(other.kernel), mode, size, a, b))
    if not cases and not unmatched:
        reasons = [_absent(side, alike, None, None) for side in (one, other)]
        unmatched.append(Unmatched(str(label), None, None, "; ".join(reasons)))
    return cases, unmatched


def _failed(side: Side) -> list[tuple[str, int]]:
    return [
        (failure.mode, failure.batch_size)
        for failure in side.run.failures
        if failure.kernel == side.kernel and failure.mode is not None and failure.batch_size is not None
    ]


def _absent(side: Side, alike: bool, mode: str | None, batch_size: int | None) -> str:
    """Return on which side a case (or with None a whole kernel) has no time, and why."""
    return f"not in {side.run.id if alike else side.label}: {_why(side, mode, batch_size)}"


def _why(side: Side, mode: str | None, batch_size: int | None) -> str:
    for skipped in side.run.skipped:
        if skipped.kernel == side.kernel:
            return f"skipped: {skipped.reason}"
    for failure in side.run.failures:
        if failure.kernel == side.kernel and (failure.mode, failure.batch_size) in ((None, None), (mode, batch_size)):
            return f"failed ({failure.phase}): {failure.reason}"
    if any(kernel == side.kernel for kernel, _ in side.run.missing):
        return "the run was interrupted before it"
    return "not measured"


def _differences(one: Side, other: Side, together: bool, *, anyway: bool) -> list[str]:
    a, b = (next(r for r in side.run.records if r.kernel == side.kernel and r.cases) for side in (one, other))
    forbidding = [] if together or anyway else differences.that_forbid(a, b)
    if forbidding:
        told = "; ".join(forbidding)
        raise NothingComparable(f"not comparable, {told}: measure both sides alike, or compare --anyway")
    return differences.between_kernels(a, b) if together else differences.between_runs(a, b)


def _notes(left: Side, right: Side, rows: list[Row], pace: Pace) -> list[str]:
    sides = {side.run.path: side for side in (left, right)}.values()
    notes = [f"{side.run.id}: {problem}" for side in sides for problem in side.run.problems]
    single = sum(row.speedup.n == 1 for row in rows)
    if single:
        notes.append(f"{single} of {len(rows)} cases have 1 repeat only: no interval, so no verdict; run more repeats")
    if pace.spin_s is None:
        notes.append(f"times are as measured, not at one pace of the processor: {pace.reason}")
    else:
        notes.append(f"times at one pace of the processor, which moved by up to {100 * pace.spread:.2g} %")
    return notes


def _same_run(a: Run, b: Run) -> bool:
    return a.path.resolve() == b.path.resolve() or (a.plan is not None and (a.id, a.machine) == (b.id, b.machine))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
