"""Two sides, case by case: ratio, interval, verdict.

The sides are two runs (kernels of the same name are compared; runs know nothing of each other's disturbances, so the
ratio is unpaired), two kernels of one run (paired within each repeat), or two sweeps over several settings, each
setting with its like. Two settings of one sweep ran side by side, and are paired as well. Times are seconds per sample,
at one pace of the processor where the records tell it (`bench.trust.pace`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.refused import settled
from mlpbench.bench.analysis.sides import (
    Side,
    between_kernels,
    between_runs,
    complete,
    kernel_by_kernel,
    name_of,
    pace_of,
    ran_together,
    same_run,
    shared_setting,
    that_forbid,
)
from mlpbench.bench.analysis.summary import unchecked
from mlpbench.bench.analysis.times import CaseTimes
from mlpbench.bench.cases import AXES, Setting
from mlpbench.bench.errors import NothingComparable
from mlpbench.bench.record.runs import Run
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.drift import ASSUMED, Drifts
from mlpbench.bench.stats.estimates import NO_DRIFT, Drift, Estimate, Ratio, Verdict
from mlpbench.bench.stats.significance import FALSE_DISCOVERY_RATE, THRESHOLD, judge
from mlpbench.bench.trust import apart
from mlpbench.bench.trust.pace import Pace
from mlpbench.bench.trust.quiet import At
from mlpbench.bench.words import MARK, UNCHECKED, plain

#: Where more repeats than this would be needed, a quieter machine is the better advice.
MANY_REPEATS = 40


@dataclass(frozen=True)
class Row:
    """One case on both sides, in seconds per sample; ``speedup`` is baseline / candidate: above 1 is faster.

    ``p_adjusted`` is corrected for the number of cases; ``repeats_needed``, of an unclear case, is how many would tell.
    ``detectable``: the smallest slowdown, as a share, that these repeats would have found in 95 % of cases.
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
    detectable: float
    #: What repeats do not tell; none of sides that ran together.
    drift: Drift = NO_DRIFT
    #: Network, threads and dtype of each side, where the files say them.
    baseline_setting: Setting | None = None
    candidate_setting: Setting | None = None

    @property
    def kernels(self) -> str:
        """The kernel, or both."""
        if self.baseline_kernel == self.candidate_kernel:
            return self.baseline_kernel
        return f"{self.candidate_kernel} against {self.baseline_kernel}"

    @property
    def setting(self) -> str | None:
        """Which setting of a sweep both sides are, in words; None where there was no choice, or they are different."""
        return shared_setting(self.baseline_setting, self.candidate_setting)

    @property
    def label(self) -> str:
        """What the row is about: kernels, and the setting if there is a choice."""
        return f"{self.kernels}, {self.setting}" if self.setting else self.kernels


@dataclass(frozen=True)
class Unmatched:
    """A case that could not be compared, and why; ``mode`` and ``batch_size`` are None for a whole kernel.

    ``setting``: of a sweep, in words; ``kernel`` is None for a whole setting.
    """

    kernel: str | None
    mode: str | None
    batch_size: int | None
    reason: str
    setting: str | None = None

    def __str__(self) -> str:
        case = None if self.mode is None else f"{self.mode} {self.batch_size}"
        what = " ".join(word for word in (self.kernel, case) if word)
        return f"{', '.join(word for word in (what, self.setting) if word)}: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """What came out. ``differences``: what else differs between the sides; ``notes``: what weakens the result.

    ``basis``: how times were made comparable. ``pace_s``: seconds for a calibration spin at the pace of all times.
    ``repeats_apart``: of the side whose repeats lie closest together, in lengths of a process (`bench.trust.apart`).
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
    basis: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    repeats_apart: float | None = None

    @property
    def slower(self) -> tuple[Row, ...]:
        """The cases in which the candidate is slower, worst first."""
        return tuple(sorted((row for row in self.rows if row.verdict == "slower"), key=lambda r: r.speedup.value))

    @property
    def unclear(self) -> tuple[Row, ...]:
        """The cases in which the data cannot tell."""
        return tuple(row for row in self.rows if row.verdict == "unclear")

    @property
    def undecided(self) -> tuple[Row, ...]:
        """The unclear cases in which the candidate may be slower by more than the threshold."""
        return tuple(row for row in self.unclear if not row.speedup.low * (1 + self.threshold) >= 1)

    def conclusion(self) -> str:
        """Return what all of it comes to, in one sentence, and where it is open what would decide it."""
        total, slower, open_ = len(self.rows), len(self.slower), len(self.undecided)
        if slower:
            said = f"{slower} of {words.things(total, 'case')} {'is' if slower == 1 else 'are'} slower"
        else:
            said = f"{total - open_} of {words.things(total, 'case')}: not slower"
        more = f"; {open_} may be, by more than {100 * self.threshold:.3g} %, and could not be decided"
        said = "Nothing could be decided" if open_ == total else f"{said}{more if open_ else ''}"
        return f"{said}. {self._what_would_decide()}" if open_ else f"{said}."

    def _what_would_decide(self) -> str:
        rows = self.undecided
        needed = [row.repeats_needed for row in rows]
        told = [f"about {most:,} repeats on each side"] if (most := max(filter(None, needed), default=0)) else []
        if not self.paired and None in needed and any(row.drift.sd for row in rows):
            told.append("both sides in one run")
        if None in needed or most > MANY_REPEATS:
            told.append("more repeats" if all(row.speedup.n == 1 for row in rows) else "a quieter hour or machine")
        case = "whether the one left" if len(rows) == 1 else f"whether {len(rows)} cases"
        return f"What would decide {case} {'is' if len(rows) == 1 else 'are'} slower: {', or '.join(told)}."

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it.

        ``cases`` hold ``baseline_s`` and ``candidate_s`` (seconds per sample) and ``speedup``, each with ``value``,
        ``low``, ``high``, ``n``; an interval that does not exist is null, with its ``reason``.
        """
        whole = asdict(self)
        named = {"baseline": "baseline_s", "candidate": "candidate_s"}
        cases = [{named.get(key, key): value for key, value in row.items()} for row in whole.pop("rows")]
        for case, row in zip(cases, self.rows, strict=True):
            settings = {"baseline_setting": row.baseline_setting, "candidate_setting": row.candidate_setting}
            case |= {side: setting and setting.as_dict() for side, setting in settings.items()}
        result: dict[str, Any] = plain({**whole, "cases": cases})
        return result


def compare(
    baseline: Side | Run | Sequence[Side],
    candidate: Side | Run | Sequence[Side],
    threshold: float = THRESHOLD,
    *,
    anyway: bool = False,
    drifts: Drifts = ASSUMED,
    by: str | None = None,
) -> Comparison:
    """Compare two runs, two kernels of one run, or two sweeps setting by setting.

    A side without a kernel takes the other side's; if neither names one, kernels of the same name are compared.
    ``by``: the axis, one of `bench.cases.AXES`, in which the settings of the sides differ.
    ``drifts``: how far the level of a whole run wanders on the machine, for sides that did not run together.
    Raises NothingComparable if no case has times on both sides and, unless ``anyway``, if a side's clock was false, or
    the sides are of different machines or compute different things (`bench.analysis.sides.that_forbid`).
    """
    matched, unmatched = _matched(_listed(baseline), _listed(candidate), by)
    sides = [complete(*(replace(side, run=settled(side.run)) for side in pair)) for pair in matched]
    false_clocks = list(dict.fromkeys(said for pair in sides for side in pair if (said := side.false_clock())))
    if false_clocks and not anyway:
        raise NothingComparable(f"{' '.join(false_clocks)} Measure again, or compare --anyway")
    pace = pace_of(*_runs(sides).values())
    measured = {path: times.by_kernel(run, pace) for path, run in _runs(sides).items()}
    cases, unequal = list[_Case](), dict[str, None]()
    for one, other in [pair for left, right in sides for pair in kernel_by_kernel(left, right)]:
        together = same_run(one.run, other.run)
        found = [measured[side.run.path].get(str(side.kernel), {}) for side in (one, other)]
        compared, left_out = _cases(one, other, *found, paired=ran_together(one, other))
        cases += compared
        unmatched += left_out
        if compared:
            unequal |= dict.fromkeys(_differences(one, other, together, anyway=anyway))
    names = name_of(_listed(baseline), sides[0][0], by), name_of(_listed(candidate), sides[0][1], by)
    if not cases:
        why = f": {unmatched[0]}" if unmatched else ""
        raise NothingComparable(f"nothing to compare: {names[0]} and {names[1]} have no case in common{why}")
    paired = ran_together(*sides[0])
    rows = _judged(cases, paired, threshold, drifts if pace.spin_s else replace(drifts, one=drifts.of(alone=False)))
    marked = _unchecked(_runs(sides).values(), rows)
    return Comparison(
        *names,
        threshold,
        FALSE_DISCOVERY_RATE,
        paired,
        pace.spin_s,
        tuple(rows),
        tuple(unmatched),
        tuple(unequal),
        (*false_clocks, *_notes(_runs(sides).values(), rows, marked)),
        tuple(_basis(rows, pace)),
        marked,
        apart.least(run.records for run in _runs(sides).values()),
    )


def _runs(sides: Sequence[tuple[Side, Side]]) -> dict[Path, Run]:
    return {side.run.path: side.run for pair in sides for side in pair}


def _listed(side: Side | Run | Sequence[Side]) -> list[Side]:
    if isinstance(side, Run):
        return [Side(side)]
    return [side] if isinstance(side, Side) else list(side)


def _matched(lefts: list[Side], rights: list[Side], by: str | None) -> tuple[list[tuple[Side, Side]], list[Unmatched]]:
    """Return the pairs of sides that are compared, and the settings of two sweeps that only one of them has.

    Of a sweep and a run, it is the setting of the sweep that is the run's.
    """
    if len(lefts) == len(rights) == 1:
        return [(lefts[0], rights[0])], []
    left, right = _by_setting(lefts, by), _by_setting(rights, by)
    pairs = [(left[point], right[point]) for point in left if point in right]
    if not pairs:
        told = (f"{name_of(sides, sides[0])} ({_settings(sides)})" for sides in (lefts, rights))
        raise NothingComparable(f"nothing to compare: no setting is on both sides: {' against '.join(told)}")
    unmatched = []
    for here, there, others in ((left, right, rights), (right, left, lefts)):
        reason = f"not in {name_of(others, others[0])}: no such setting"
        alone = [side for point, side in here.items() if point not in there and len(others) > 1]
        unmatched += [Unmatched(side.kernel, None, None, reason, _settings([side])) for side in alone]
    return pairs, unmatched


def _by_setting(sides: list[Side], by: str | None) -> dict[tuple[Any, ...], Side]:
    axes = [axis for axis in AXES if axis != by]
    return {tuple(getattr(side.run.setting, axis) for axis in axes): side for side in sides if side.run.setting}


def _settings(sides: list[Side]) -> str:
    return "; ".join(side.run.setting.words if side.run.setting else "nothing measured" for side in sides)


def _judged(cases: list[_Case], paired: bool, threshold: float, drifts: Drifts) -> list[Row]:
    wander = None if paired else [drifts.of(case.alone) for case in cases]
    sides = [case.sides(paired) for case in cases]
    return [
        Row(
            case.baseline.kernel,
            case.candidate.kernel,
            case.baseline.mode,
            case.baseline.batch_size,
            estimates.estimate(case.baseline.by_repeat),
            estimates.estimate(case.candidate.by_repeat),
            **vars(found),
            baseline_setting=case.settings[0],
            candidate_setting=case.settings[1],
        )
        for case, found in zip(cases, judge(sides, paired, threshold, drifts=wander), strict=True)
    ]


@dataclass(frozen=True)
class _Case:
    """The times of one case on both sides; ``alone``: on both, one thread did all the work."""

    baseline: CaseTimes
    candidate: CaseTimes
    alone: bool
    settings: tuple[Setting | None, Setting | None]

    def sides(self, paired: bool) -> tuple[Mapping[int, float], Mapping[int, float]]:
        """Return the repeats that count; of paired sides those that both have, none if no repeat has both."""
        if paired:
            return times.pairs(self.baseline, self.candidate)
        return self.baseline.by_repeat, self.candidate.by_repeat


def _cases(
    one: Side, other: Side, baseline: Mapping[At, CaseTimes], candidate: Mapping[At, CaseTimes], *, paired: bool
) -> tuple[list[_Case], list[Unmatched]]:
    alone = one.alone() & other.alone()
    cases, unmatched = [], []
    alike = one.kernel == other.kernel
    label = str(one.kernel if alike else f"{other.kernel} against {one.kernel}")
    where = shared_setting(one.run.setting, other.run.setting)
    for at in dict.fromkeys((*baseline, *candidate, *_failed(one), *_failed(other))):
        reasons = [_absent(side, alike, *at) for side, own in ((one, baseline), (other, candidate)) if at not in own]
        if not reasons:
            case = _Case(baseline[at], candidate[at], at in alone, (one.run.setting, other.run.setting))
            if all(case.sides(paired)):
                cases.append(case)
                continue
            reasons = ["no repeat has both sides"]
        unmatched.append(Unmatched(label, *at, "; ".join(reasons), where))
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
    lefts, rights = ([r for r in side.run.records if r.kernel == side.kernel and r.cases] for side in (one, other))
    forbidding = [] if anyway else that_forbid(lefts[0], rights[0], together=together)
    if forbidding:
        told = "; ".join(forbidding)
        raise NothingComparable(f"not comparable, {told}: measure both sides alike, or compare --anyway")
    return between_kernels(lefts[0], rights[0]) if together else between_runs(lefts, rights)


def _unchecked(runs: Iterable[Run], rows: list[Row]) -> tuple[str, ...]:
    compared = {kernel for row in rows for kernel in (row.baseline_kernel, row.candidate_kernel)}
    marked = (one.kernel for run in runs for one in run.records if one.kernel in compared and unchecked(one))
    return tuple(dict.fromkeys(marked))


def _notes(runs: Iterable[Run], rows: list[Row], unchecked: Sequence[str]) -> Iterator[str]:
    told = [(run, problem) for run in runs for problem in (*run.problems, *run.damaged, *run.contradictions)]
    yield from (f"{run.id}: {problem}" for run, problem in told)
    if unchecked:
        yield f"{', '.join(unchecked)}{MARK} {UNCHECKED}"
    if single := sum(row.speedup.n == 1 for row in rows):
        yield f"{single} of {len(rows)} cases have 1 repeat only: no interval, so no verdict; run more repeats"


def _basis(rows: list[Row], pace: Pace) -> Iterator[str]:
    if pace.spin_s is None:
        yield f"times are as measured, not at one pace of the processor: {pace.reason}"
    else:
        yield f"times at one pace of the processor, which moved by up to {100 * pace.spread:.2g} %"
    if wander := {row.drift.sd: row.drift for row in rows if row.drift.sd}:
        sizes = " or ".join(f"{100 * sd:.2g} %" for sd in sorted(wander))
        assumed = any(math.isinf(drift.degrees) for drift in wander.values())
        how = "assumed: `mlpbench calibrate` measures it" if assumed else "measured by `mlpbench calibrate`"
        yield f"two runs: the level of a run is taken to wander by {sizes} ({how}); kernels of one run share it"
