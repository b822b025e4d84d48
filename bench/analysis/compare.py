"""Two sides, case by case: ratio, interval, verdict.

The sides are two runs (kernels of the same name, unpaired), two kernels of one run or two settings of one sweep (paired
within each repeat), two sweeps, each setting with its like, or what a wing reads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, NamedTuple

from mlpbench.bench import words
from mlpbench.bench.analysis import sides, times
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.sides import Side
from mlpbench.bench.analysis.summary import USUAL_WANDER, learnt_wander
from mlpbench.bench.analysis.times import CaseTimes
from mlpbench.bench.cases import AXES, Setting
from mlpbench.bench.errors import NothingComparable
from mlpbench.bench.groups import grouped
from mlpbench.bench.registered import modules
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import NO_WANDER, Estimate, Wander
from mlpbench.bench.stats.verdicts import FALSE_DISCOVERY_RATE, Judgement, Verdict, judge
from mlpbench.bench.trust.rounds import At
from mlpbench.bench.words import MARK, UNCHECKED, plain


@dataclass(frozen=True, kw_only=True)
class Row(Judgement):
    """One case on both sides, in seconds per sample, and what its repeats decide; settings where the files say them."""

    baseline_kernel: str
    candidate_kernel: str
    mode: str
    batch_size: int
    baseline: Estimate
    candidate: Estimate
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
        return sides.shared_setting(self.baseline_setting, self.candidate_setting)

    @property
    def label(self) -> str:
        """What the row is about: kernels, and the setting if there is a choice."""
        return f"{self.kernels}, {self.setting}" if self.setting else self.kernels


@dataclass(frozen=True)
class Unmatched:
    """A case that could not be compared, and why; of a whole kernel or ``setting`` (in words) the rest is None."""

    kernel: str | None
    mode: str | None
    batch_size: int | None
    reason: str
    setting: str | None = None

    def __str__(self) -> str:
        case = " ".join(str(word) for word in (self.kernel, self.mode, self.batch_size) if word)
        return f"{', '.join(filter(None, (case, self.setting)))}: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """What came out. ``threshold``: of "is it slower by more?"; ``wander``: the share by which whole runs differ.

    ``differences``: what else differs between the sides; ``notes``: what weakens the result.
    """

    baseline: str
    candidate: str
    threshold: float | None
    false_discovery_rate: float
    paired: bool
    wander: float
    rows: tuple[Row, ...]
    unmatched: tuple[Unmatched, ...] = ()
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    #: Seconds that one more repeat of both sides takes, None where the files do not say.
    repeat_s: float | None = None

    @property
    def slower(self) -> tuple[Row, ...]:
        """The cases in which the candidate is slower, worst first."""
        return tuple(sorted(self._with("slower"), key=lambda row: row.speedup.value))

    @property
    def undecided(self) -> tuple[Row, ...]:
        """The cases in which the candidate may be slower by more than was asked, and that is not decided."""
        return self._with("undecided")

    def _with(self, verdict: Verdict) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict == verdict)

    @property
    def conclusion(self) -> str:
        """What all of it comes to, and where it is open what would decide it."""
        new, old, clauses = self.candidate, self.baseline, list[str]()
        kernels = {(row.baseline_kernel, row.candidate_kernel) for row in self.rows}
        if self.paired and len(kernels) == 1 and len({*min(kernels)}) == 2:  # two kernels of one run
            ((old, new),) = kernels

        def head(word: str, more: str = "") -> str:
            return f"{word}{more}" if clauses else f"{new} is {word} than {old}{more}"

        if slower := self._with("slower"):
            longer = _ends([1 / row.speedup.value for row in slower])
            clauses.append(f"{head('slower')} in {self._of(slower)}: it takes {longer} as long")
        if faster := self._with("faster"):
            clauses.append(f"{head('faster')} in {self._of(faster)}: {_ends([row.speedup.value for row in faster])}")
        if kept := self._with("not slower"):
            shown = words.slowdown(max(row.decides for row in kept))
            most = shown if self.threshold is None else f"{100 * self.threshold:.3g} %"
            clauses.append(f"{head('not slower', f' by more than {most}')} in {self._of(kept)}")
        if self.undecided:
            which = "undecided" if clauses else f"Whether {new} is slower than {old} is undecided"
            clauses.append(f"{which} in {self._of(self.undecided)}")
        text = f"{'; '.join(clauses)}."
        return f"{text} {self._what_would_decide()}" if self.undecided else text

    def _of(self, rows: Sequence[Row]) -> str:
        """Return how many of the cases these are: ``2 of 6 cases``, ``all 6 cases``."""
        total = len(self.rows)
        every = "the case" if total == 1 else f"all {total:,} cases"
        return every if len(rows) == total else f"{len(rows):,} of {words.things(total, 'case')}"

    def _what_would_decide(self) -> str:
        needed = [row.repeats_needed for row in self.undecided]
        most = max(filter(None, needed), default=0)
        more_s = (most - min(row.speedup.n for row in self.undecided)) * (self.repeat_s or 0.0)
        more = f"about {max(1, math.ceil(more_s / 60)):,} more minutes" if more_s else f"{most:,} repeats"
        ways = [more] if most else []
        if None in needed:
            single = all(row.speedup.n == 1 for row in self.undecided)
            quieter = self.paired or all(math.isnan(row.speedup.low) for row in self.undecided)
            ways.append("more repeats" if single else "a quieter hour" if quieter else "both sides in one run")
        return f"To decide the rest: {', or '.join(ways)}."

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it; an interval that does not exist is null, with its ``reason``."""
        whole = asdict(self)
        cases = whole.pop("rows")
        for case, row in zip(cases, self.rows, strict=True):
            for side, setting in (("baseline", row.baseline_setting), ("candidate", row.candidate_setting)):
                case |= {f"{side}_s": case.pop(side), f"{side}_setting": setting and setting.as_dict()}
        result: dict[str, Any] = plain({**whole, "cases": cases, "conclusion": self.conclusion})
        return result


def compare(
    baseline: Side | Judged | Sequence[Side],
    candidate: Side | Judged | Sequence[Side],
    threshold: float | None = None,
    *,
    anyway: bool = False,
    level: Wander = USUAL_WANDER,
    by: str | None = None,
) -> Comparison:
    """Compare two runs, two kernels of one run, or two sweeps setting by setting; kernels that are not named by name.

    ``threshold``: of "is it slower by more?"; without one, each case says how much it decides. ``by``: the axis in
    which the sides' settings differ. ``level``: how far whole runs wander, for sides that did not run together. Raises
    NothingComparable if no case has times on both sides, and as `bench.analysis.sides.differences`.
    """
    lefts, rights = _listed(baseline), _listed(candidate)
    matched, unmatched = _matched(lefts, rights, by)
    pairs = [sides.complete(*pair) for pair in matched]
    runs = {side.run.path: side.run for pair in pairs for side in pair}
    measured = {path: times.cases([run], runs.values()) for path, run in runs.items()}
    cases, unequal = list[Pair](), dict[str, None]()
    for one, other in [pair for left, right in pairs for pair in sides.kernel_by_kernel(left, right)]:
        times_of = [
            {case.at: case for case in measured[side.run.path] if case.kernel == side.kernel} for side in (one, other)
        ]
        comparable, left_out = _cases(one, other, *times_of)
        cases += comparable
        unmatched += left_out
        if comparable:
            unequal |= dict.fromkeys(sides.differences(one, other, anyway=anyway or by == "threads"))
    names = sides.name_of(lefts, pairs[0][0], by), sides.name_of(rights, pairs[0][1], by)
    if not cases:
        why = f": {unmatched[0]}" if unmatched else ""
        raise NothingComparable(f"nothing to compare: {names[0]} and {names[1]} have no case in common{why}")
    comparison = of_cases(names, cases, threshold, sides.ran_together(*pairs[0]), level, "run more repeats")
    marked = tuple(dict.fromkeys(side.kernel for case in cases for side in case[:2] if side.unchecked))
    problems = (f"{run.id}: {it}" for run in runs.values() for it in (*run.problems, *run.damaged, *run.contradictions))
    unchecked = [f"{', '.join(marked)}{MARK} {UNCHECKED}"] if marked else []
    records = {record.path: record for case in cases for side in case[:2] for record, _ in side.sources}.values()
    lasted = grouped(((record.path.parent, record.kernel), record.ran.took_s) for record in records if record.ran)
    return replace(
        comparison,
        repeat_s=sum(map(median, lasted.values())) if all(record.ran for record in records) else None,
        unmatched=tuple(unmatched),
        differences=tuple(unequal),
        notes=(*problems, *unchecked, *comparison.notes),
        unchecked=marked,
    )


def of_cases(
    names: tuple[str, str], cases: Sequence[Pair], threshold: float | None, paired: bool, level: Wander, advice: str
) -> Comparison:
    """Return the comparison of cases that have times on both sides; ``advice``: what to do about single repeats."""
    level = NO_WANDER if paired else level
    scatter = estimates.shared_scatter(side.by_repeat for case in cases for side in case[:2])
    known = [case.sides(paired) for case in cases if not case.disturbed(paired)]
    judged = iter(judge(known, paired, threshold, level))
    rows = tuple(
        Row(
            **vars(_unknown(case, paired) if case.disturbed(paired) else next(judged)),
            baseline_kernel=case.baseline.kernel,
            candidate_kernel=case.candidate.kernel,
            mode=case.baseline.mode,
            batch_size=case.baseline.batch_size,
            baseline=case.baseline.estimate(scatter),
            candidate=case.candidate.estimate(scatter),
            baseline_setting=case.settings[0],
            candidate_setting=case.settings[1],
        )
        for case in cases
    )
    single = sum(row.speedup.n == 1 for row in rows)
    note = f"{single} of {len(rows)} cases have 1 repeat only: no interval, so no verdict; {advice}"
    notes = (note,) if single else ()
    return Comparison(*names, threshold, FALSE_DISCOVERY_RATE, paired, level.sd, rows, notes=notes)


def of_files(
    baseline: str, candidate: str, threshold: float | None = None, *, anyway: bool = False
) -> Comparison | None:
    """Return the comparison of two sides that the module ``foreign`` of a wing reads; None where they are none."""
    comparisons = (wing.compare(baseline, candidate, threshold, anyway=anyway) for wing in modules("foreign"))
    return next(filter(None, comparisons), None)


def decide(
    baseline: Sequence[Side],
    candidate: Sequence[Side],
    threshold: float | None,
    *,
    anyway: bool = False,
    by: str | None = None,
) -> Comparison:
    """Compare two sides, with what the machine's other runs tell of it."""
    level = learnt_wander(candidate[0].run, baseline[0].run)
    return compare(baseline, candidate, threshold, anyway=anyway, level=level, by=by)


def _listed(side: Side | Judged | Sequence[Side]) -> list[Side]:
    if isinstance(side, Judged):
        return [Side(side)]
    return [side] if isinstance(side, Side) else list(side)


def _matched(lefts: list[Side], rights: list[Side], by: str | None) -> tuple[list[tuple[Side, Side]], list[Unmatched]]:
    """Return the pairs of sides with the same setting, and the settings of two sweeps that only one of them has."""
    if len(lefts) == len(rights) == 1:
        return [(lefts[0], rights[0])], []
    left, right = _by_setting(lefts, by), _by_setting(rights, by)
    pairs = [(left[point], right[point]) for point in left if point in right]
    if not pairs:
        settings_of = (f"{sides.name_of(side, side[0])} ({_settings(side)})" for side in (lefts, rights))
        raise NothingComparable(f"nothing to compare: no setting is on both sides: {' against '.join(settings_of)}")
    unmatched = []
    for here, there, others in ((left, right, rights), (right, left, lefts)):
        reason = f"not in {sides.name_of(others, others[0])}: no such setting"
        alone = [side for point, side in here.items() if point not in there and len(others) > 1]
        unmatched += [Unmatched(side.kernel, None, None, reason, _settings([side])) for side in alone]
    return pairs, unmatched


def _by_setting(of_side: list[Side], by: str | None) -> dict[tuple[Any, ...], Side]:
    axes = [axis for axis in AXES if axis != by]
    return {tuple(getattr(side.run.setting, axis) for axis in axes): side for side in of_side if side.run.setting}


def _settings(of_side: list[Side]) -> str:
    return "; ".join(side.run.setting.words if side.run.setting else "nothing measured" for side in of_side)


def _unknown(case: Pair, paired: bool) -> Judgement:
    speedup = estimates.ratio(*case.sides(paired), paired)
    speedup = replace(speedup, low=math.nan, high=math.nan, reason=times.DISTURBED)
    return Judgement(speedup, math.nan, math.nan, "undecided", math.nan, math.nan, None)


def _ends(ratios: Sequence[float]) -> str:
    ends = dict.fromkeys(f"{end:.3g}x" for end in (min(ratios), max(ratios)))
    return " to ".join(ends)


class Pair(NamedTuple):
    """The times of one case on both sides."""

    baseline: CaseTimes
    candidate: CaseTimes
    settings: tuple[Setting | None, Setting | None] = (None, None)

    def sides(self, paired: bool) -> tuple[Mapping[int, float], Mapping[int, float]]:
        """Return the repeats that count; of paired sides those that both have, none if no repeat has both."""
        if paired:
            return times.pairs(self.baseline, self.candidate)
        return self.baseline.by_repeat, self.candidate.by_repeat

    def disturbed(self, paired: bool) -> bool:
        """Return whether one side has no repeat that other programs left alone, of several."""
        hits = self.baseline.hit, self.candidate.hit
        hits = (hits[0] | hits[1],) * 2 if paired else hits
        return any(len(side) > 1 and side.keys() <= hit for side, hit in zip(self.sides(paired), hits, strict=True))


def _cases(
    one: Side, other: Side, baseline: Mapping[At, CaseTimes], candidate: Mapping[At, CaseTimes]
) -> tuple[list[Pair], list[Unmatched]]:
    """Return the cases that can be compared of one kernel on each side, and the others with the reason."""
    cases, unmatched, paired = [], [], sides.ran_together(one, other)
    alike = one.kernel == other.kernel
    label = str(one.kernel if alike else f"{other.kernel} against {one.kernel}")
    where = sides.shared_setting(one.run.setting, other.run.setting)
    if not baseline and not candidate:
        reasons = [_absent(side, alike, (None, None)) for side in (one, other)]
        return [], [Unmatched(label, None, None, "; ".join(reasons), where)]
    for at in dict.fromkeys((*baseline, *candidate)):
        reasons = [_absent(side, alike, at) for side, own in ((one, baseline), (other, candidate)) if at not in own]
        if not reasons:
            case = Pair(baseline[at], candidate[at], (one.run.setting, other.run.setting))
            if all(case.sides(paired)):
                cases.append(case)
                continue
            reasons = ["no repeat has both sides"]
        unmatched.append(Unmatched(label, *at, "; ".join(reasons), where))
    return cases, unmatched


def _absent(side: Side, alike: bool, at: tuple[str | None, int | None]) -> str:
    """Return on which side a case (or of None a whole kernel) has no time, and why."""
    run, kernel = side.run, side.kernel
    reasons = [f"skipped: {run.skipped[kernel]}"] if kernel is not None and kernel in run.skipped else []
    reasons += [
        f"failed ({failure.phase}): {failure.why}"
        for failure in run.failures
        if failure.kernel == kernel and (None in at or (failure.mode, failure.batch_size) in ((None, None), at))
    ]
    if any(name == kernel for name, _ in run.missing):
        reasons.append("the run was interrupted before it")
    return f"not in {run.id if alike else side.label}: {reasons[0] if reasons else 'not measured'}"
