"""Two sides, case by case: ratio, interval, verdict.

The sides are two runs (kernels of the same name are compared; runs know nothing of each other's disturbances, so the
ratio is unpaired), two kernels of one run (paired within each repeat), or two sweeps over several settings, each
setting with its like. Two settings of one sweep ran side by side, and are paired as well. Times are seconds per sample,
at one pace of the processor where the records tell it (`bench.trust.pace`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlpbench.bench.analysis import sides as differences
from mlpbench.bench.analysis.comparison import Comparison, Row, Unmatched, shared_setting
from mlpbench.bench.analysis.sides import Side, kernel_of, kernels_of, pace_of
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.record.runs import Run
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.drift import ASSUMED, Drifts
from mlpbench.bench.stats.significance import FALSE_DISCOVERY_RATE, THRESHOLD, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.cases import Setting
    from mlpbench.bench.trust.pace import Pace


def compare(
    baseline: Side | Run | Sequence[Side],
    candidate: Side | Run | Sequence[Side],
    threshold: float = THRESHOLD,
    *,
    anyway: bool = False,
    drifts: Drifts = ASSUMED,
) -> Comparison:
    """Compare two runs, two kernels of one run, or two sweeps setting by setting.

    A side without a kernel takes the other side's; if neither names one, kernels of the same name are compared.
    ``drifts``: how far the level of a whole run wanders on the machine, for sides that did not run together.
    Raises NothingComparable if no case has times on both sides and, unless ``anyway``, if a side's clock was false, or
    the sides are of different machines or compute different things (`bench.analysis.sides.that_forbid`).
    """
    matched, unmatched = _matched(_listed(baseline), _listed(candidate))
    sides = [_sides(*pair) for pair in matched]
    false_clocks = list(dict.fromkeys(said for pair in sides for side in pair if (said := side.false_clock())))
    if false_clocks and not anyway:
        raise NothingComparable(f"{' '.join(false_clocks)} Measure again, or compare --anyway")
    pace = pace_of(*(side.run for pair in sides for side in pair))
    cases: list[_Case] = []
    unequal: dict[str, None] = {}
    for one, other in [pair for left, right in sides for pair in _pairs(left, right)]:
        together = _same_run(one.run, other.run)
        compared, left_out = _cases(one, other, pace, paired=_is_paired(one, other))
        cases += compared
        unmatched += left_out
        if compared:
            unequal |= dict.fromkeys(_differences(one, other, together, anyway=anyway))
    names = _name(_listed(baseline), sides[0][0]), _name(_listed(candidate), sides[0][1])
    if not cases:
        why = f": {unmatched[0]}" if unmatched else ""
        raise NothingComparable(f"nothing to compare: {names[0]} and {names[1]} have no case in common{why}")
    paired = _is_paired(*sides[0])
    rows = _judged(cases, paired, threshold, drifts if pace.spin_s else replace(drifts, one=drifts.of(alone=False)))
    notes = _notes([side for pair in sides for side in pair], rows, pace)
    return Comparison(
        *names,
        threshold,
        FALSE_DISCOVERY_RATE,
        paired,
        pace.spin_s,
        tuple(rows),
        tuple(unmatched),
        tuple(unequal),
        (*false_clocks, *notes),
    )


def _listed(side: Side | Run | Sequence[Side]) -> list[Side]:
    if isinstance(side, Run):
        return [Side(side)]
    return [side] if isinstance(side, Side) else list(side)


def _matched(lefts: list[Side], rights: list[Side]) -> tuple[list[tuple[Side, Side]], list[Unmatched]]:
    """Return the pairs of sides that are compared, and the settings of two sweeps that only one of them has.

    Of a sweep and a run, it is the setting of the sweep that is the run's.
    """
    if len(lefts) == len(rights) == 1:
        return [(lefts[0], rights[0])], []
    left, right = _by_setting(lefts), _by_setting(rights)
    pairs = [(left[point], right[point]) for point in left if point in right]
    if not pairs:
        told = (f"{_name(sides, sides[0])} ({_settings(sides)})" for sides in (lefts, rights))
        raise NothingComparable(f"nothing to compare: no setting is on both sides: {' against '.join(told)}")
    unmatched = []
    for here, there, others in ((left, right, rights), (right, left, lefts)):
        reason = f"not in {_name(others, others[0])}: no such setting"
        alone = [side for point, side in here.items() if point not in there and len(others) > 1]
        unmatched += [Unmatched(side.kernel, None, None, reason, _settings([side])) for side in alone]
    return pairs, unmatched


def _by_setting(sides: list[Side]) -> dict[tuple[str, int, str], Side]:
    return {side.run.setting.point: side for side in sides if side.run.setting}


def _settings(sides: list[Side]) -> str:
    return "; ".join(side.run.setting.words if side.run.setting else "nothing measured" for side in sides)


def _name(sides: list[Side], first: Side) -> str:
    """Return the side as the command line takes it; of a whole sweep its name instead of those of its settings."""
    plan = first.run.plan
    if len(sides) == 1 or plan is None or plan.sweep is None:
        return first.label
    return plan.sweep if first.kernel is None else f"{plan.sweep}:{first.kernel}"


def _is_paired(one: Side, other: Side) -> bool:
    """Whether repeats of the same number ran next to each other: in one run, or in two settings of one sweep."""
    if _same_run(one.run, other.run):
        return one.kernel != other.kernel
    plans = one.run.plan, other.run.plan
    sweeps = {(plan and plan.sweep, side.run.machine) for plan, side in zip(plans, (one, other), strict=True)}
    return len(sweeps) == 1 and None not in {plan and plan.sweep for plan in plans}


def _judged(cases: list[_Case], paired: bool, threshold: float, drifts: Drifts) -> list[Row]:
    wander = None if paired else [drifts.of(case.alone) for case in cases]
    judgements = judge([(case.baseline, case.candidate) for case in cases], paired, threshold, drifts=wander)
    rows = []
    for case, found in zip(cases, judgements, strict=True):
        names = (case.baseline_kernel, case.candidate_kernel, case.mode, case.batch_size)
        sides = estimates.estimate(case.baseline), estimates.estimate(case.candidate)
        tested = (found.p, found.p_adjusted)
        row = Row(*names, *sides, found.speedup, *tested, found.verdict, found.repeats_needed, found.drift)
        rows.append(replace(row, baseline_setting=case.settings[0], candidate_setting=case.settings[1]))
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
    """The times of one case on both sides, by repeat; ``alone``: on both, one thread did all the work."""

    baseline_kernel: str
    candidate_kernel: str
    mode: str
    batch_size: int
    baseline: dict[int, float]
    candidate: dict[int, float]
    alone: bool
    settings: tuple[Setting | None, Setting | None]


def _cases(one: Side, other: Side, pace: Pace, paired: bool) -> tuple[list[_Case], list[Unmatched]]:
    baseline, candidate = one.times(pace), other.times(pace)
    alone = one.alone() & other.alone()
    cases, unmatched = [], []
    alike = one.kernel == other.kernel
    label = str(one.kernel if alike else f"{other.kernel} against {one.kernel}")
    where = shared_setting(one.run.setting, other.run.setting)
    for mode, size in dict.fromkeys((*baseline, *candidate, *_failed(one), *_failed(other))):
        a, b = baseline.get((mode, size), {}), candidate.get((mode, size), {})
        reasons = [_absent(side, alike, mode, size) for side, t in ((one, a), (other, b)) if not t]
        if not reasons and paired and not a.keys() & b.keys():
            reasons = ["no repeat has both sides"]
        if reasons:
            unmatched.append(Unmatched(label, mode, size, "; ".join(reasons), where))
            continue
        settings = one.run.setting, other.run.setting
        cases.append(_Case(str(one.kernel), str(other.kernel), mode, size, a, b, (mode, size) in alone, settings))
    if not cases and not unmatched:
        reasons = [_absent(side, alike, None, None) for side in (one, other)]
        unmatched.append(Unmatched(label, None, None, "; ".join(reasons), where))
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


def _notes(sides: list[Side], rows: list[Row], pace: Pace) -> list[str]:
    runs = {side.run.path: side.run for side in sides}.values()
    notes = [f"{run.id}: {problem}" for run in runs for problem in run.problems]
    single = sum(row.speedup.n == 1 for row in rows)
    if single:
        notes.append(f"{single} of {len(rows)} cases have 1 repeat only: no interval, so no verdict; run more repeats")
    if pace.spin_s is None:
        notes.append(f"times are as measured, not at one pace of the processor: {pace.reason}")
    else:
        notes.append(f"times at one pace of the processor, which moved by up to {100 * pace.spread:.2g} %")
    wander = {row.drift.sd: row.drift for row in rows if row.drift.sd}
    if wander:
        sizes = " or ".join(f"{100 * sd:.2g} %" for sd in sorted(wander))
        assumed = any(math.isinf(drift.degrees) for drift in wander.values())
        how = "assumed: `mlpbench calibrate` measures it" if assumed else "measured by `mlpbench calibrate`"
        notes.append(f"two runs: the level of a run is taken to wander by {sizes} ({how}); kernels of one run share it")
    return notes


def _same_run(a: Run, b: Run) -> bool:
    return a.path.resolve() == b.path.resolve() or (a.plan is not None and (a.id, a.machine) == (b.id, b.machine))
