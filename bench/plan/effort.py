"""How often to repeat: until every interval is narrow enough, or the time is spent. Knows no files and no clock.

The plan's repeats come first, each through all kernels, as far as the budget goes: a process that would not end within
it is left out, by name. Then come rounds of those kernels whose intervals are too wide. docs/statistics.md says which,
and what it costs that an interval decides when to stop (`scripts/stopping_table.py`). The number of the round is the
number of the repeat: processes of one number ran next to each other, and their ratios stay paired.
"""

import math
import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from mlpbench.bench import words
from mlpbench.bench.record.plan import CaseEnd, Ending, Plan
from mlpbench.bench.stats import estimates

#: Half the width of an interval, as a share of the time, at which a case needs no more repeats.
TARGET = 0.02
#: An interval that is wider, to either side, tells little: 1.2x is then not told from 1.
USEFUL = 0.1
#: Of the timings: with more of them disturbed, more repeats are not what helps.
BUSY = 0.25
#: Nobody waits longer for a useful interval.
PATIENCE_S = 1800.0
#: However long the budget is.
MOST_REPEATS = 1000
#: Of the widest kernel's width: narrower ones wait for it.
WIDE_ENOUGH = 0.5
#: Times the target: wider than that is as wide as that, so that a hopeless kernel does not keep all others waiting.
WIDEST = 4
#: The next process of a kernel is taken to last as long as the longest of so many before it.
LOOK_BACK = 3
#: What all processes do beside timing, as a share of the first one without compiling: only that one looks closer
#: (decision 21).
LATER = 0.7
#: Where the planned processes would not fit the budget, each times its cases for a shorter while: down to this share.
SHORTEST = 0.5
#: A process that takes longer than expected may use so much more than the budget, as a share and in seconds at least.
GRACE, LEAST_GRACE_S = 0.1, 5.0

_Case = tuple[str, int]


def half_width(by_repeat: Mapping[int, float]) -> float | None:
    """Return half the width of the interval as a share of the value; None for fewer than two repeats."""
    if len(by_repeat) < 2:
        return None
    found = estimates.estimate(by_repeat)
    # The interval of two wildly different repeats spans hundreds of decades.
    return min((found.high - found.low) / (2 * found.value), 1e9)


def repeats_for(width: float, repeats: int, wanted: float) -> int:
    """Return how many repeats make half a width of ``wanted``, if so many make ``width`` and the scatter stays."""
    scatter = width * math.sqrt(repeats) / estimates.student(0.975, repeats - 1)
    enough = (
        n
        for n in range(repeats, MOST_REPEATS)
        if scatter * estimates.student(0.975, n - 1) <= 1.000001 * wanted * n**0.5
    )
    return next(enough, MOST_REPEATS)


class Effort:
    """The processes of a run, one after the other; what came of each is told by `note` before the next is asked for.

    A kernel is a name, and no more: in a sweep over several settings each pair of setting and kernel has one.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rng = random.Random(f"{plan.seed} effort")  # noqa: S311 - an order, not a secret
        self._done: list[tuple[str, int]] = []
        #: Seconds of each process of a kernel without its rounds, and those of its rounds at full length.
        self._besides: dict[str, list[float]] = defaultdict(list)
        self._timed: dict[str, list[float]] = defaultdict(list)
        self._once: dict[str, float] = {}
        self._spent: dict[str, float] = defaultdict(float)
        self._times: dict[str, dict[_Case, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        self._disturbed: dict[tuple[str, _Case], set[int]] = defaultdict(set)
        self._failing: set[str] = set()
        self._stopped: set[str] = set()
        self._ahead = list(plan.order)
        #: Seconds of processes, and of what was measured besides any: the budget pays for both.
        self.spent_s = self.besides_s = 0.0
        #: The planned processes for which there was no time.
        self.left_out: list[tuple[str, int]] = []

    @property
    def ahead(self) -> tuple[tuple[str, int], ...]:
        """The planned (kernel, repeat) that are still to come."""
        return tuple(self._ahead)

    @property
    def done(self) -> int:
        """How many processes have ended."""
        return len(self._done)

    @property
    def left_budget_s(self) -> float:
        """The seconds of the budget that are left; 0 where there is none."""
        return max(0.0, self._left)

    @property
    def goes_on(self) -> bool:
        """Whether the number of repeats is open."""
        return self._plan.budget_s is not None

    def processes(self) -> Iterator[tuple[str, int]]:
        """Yield (kernel, repeat) of the next process until there is no reason, or no time, for another.

        Those that were noted before are not yielded again: a run that is resumed goes on where it stopped.
        """
        before = set(self._done)
        while self._ahead:
            kernel, repeat = self._ahead.pop(self._next_planned())
            if self._fits(kernel) and kernel not in self._stopped:
                yield kernel, repeat
            else:
                self.left_out.append((kernel, repeat))
        repeat = max([self._plan.repeats, *(repeat for _, repeat in before)])
        while repeat < MOST_REPEATS and (kernels := self._next_round()):
            for kernel in kernels:
                if self._lasts(kernel) <= self._left and (kernel, repeat) not in before:
                    yield kernel, repeat
            repeat += 1

    def note(
        self,
        kernel: str,
        repeat: int,
        seconds: float,
        times: Mapping[_Case, float],
        disturbed: Collection[_Case] = (),
        construct_s: float = 0.0,
        timed_s: float = 0.0,
        share: float = 1.0,
    ) -> None:
        """Take in a process that ended: how long it took, and seconds per sample of each case that has a time.

        ``construct_s`` of it made the kernel: compiled code is found by the next. ``timed_s`` were timed rounds, which
        had this ``share`` of their full length. A repeat in which a case was ``disturbed`` is replaced within the
        budget: it does not count (`counted`).
        """
        self._done.append((kernel, repeat))
        self._ahead = [process for process in self._ahead if process != (kernel, repeat)]
        self._once.setdefault(kernel, construct_s)
        self._besides[kernel].append(seconds - timed_s)
        self._timed[kernel].append(timed_s / share)
        self._pay(kernel, seconds)
        if not times:
            self._failing.add(kernel)
        for case in disturbed:
            self._disturbed[kernel, case].add(repeat)
        for case, value in times.items():
            self._times[kernel][case][repeat] = value

    def pay(self, kernel: str, seconds: float) -> None:
        """Add to a kernel's last process what was measured for it besides, which its next one is taken to need too."""
        if kernel in self._timed:
            self._besides[kernel][-1] += seconds
            self._pay(kernel, seconds)
        else:  # it was stopped
            self.besides_s += seconds

    def _pay(self, kernel: str, seconds: float) -> None:
        self._spent[kernel] += seconds
        self.spent_s += seconds

    def cut(self, kernel: str, repeat: int, seconds: float) -> None:
        """Take in a process that was stopped because it took longer than `limit_s`."""
        self.left_out.append((kernel, repeat))
        self._stopped.add(kernel)
        self.besides_s += seconds

    def stopped(self, kernel: str, repeat: int, seconds: float) -> None:
        """Take in a process that was stopped because it went beyond a limit of its own: of time, memory or output."""
        self._done.append((kernel, repeat))
        self._failing.add(kernel)
        self._stopped.add(kernel)
        self.besides_s += seconds

    def share(self, kernel: str) -> float:
        """Return how long the next process, of ``kernel``, is to time its cases: as a share of what the profile says.

        Less than 1 where that makes room for all planned processes.
        """
        if self._plan.budget_s is None or not self._done:
            return 1.0
        ahead = [self._parts(name) for name in (kernel, *(name for name, _ in self._ahead))]
        besides, timed = (sum(part) for part in zip(*ahead, strict=True))
        return min(1.0, max(SHORTEST, (self._left - besides) / timed)) if timed > 0 else 1.0

    def limit_s(self) -> float | None:
        """Return the seconds after which the next process is to be stopped; None for the first, and for no budget."""
        if self._plan.budget_s is None or not self._done:
            return None
        return max(self._left, 0.0) + max(LEAST_GRACE_S, GRACE * self._plan.budget_s)

    def left_s(self) -> float | None:
        """Return the seconds still to come, with an open number of repeats at most; None while that is not known."""
        if self.goes_on:
            return max(0.0, self._left) if self._timed.keys() >= set(self._plan.kernels) else None
        expected = [self._lasts(kernel) for kernel, _ in self._ahead]
        return sum(expected) if all(expected) else None

    def advice(self, *, busy: bool = False) -> str | None:
        """Say what would give a finding, where intervals of the middle case are wider than `USEFUL`; else None.

        ``busy``: there is no finding since too many timings were spoiled, however narrow the intervals of others are.
        """
        cases = [(kernel, case) for kernel, found in self._times.items() for case, times in found.items() if times]
        if not cases:
            return None
        measured = dict(cases).keys()
        never = [kernel for kernel in self._plan.kernels if kernel not in measured | self._failing]
        hit, timed = sum(map(len, self._disturbed.values())), sum(len(self._times[name][case]) for name, case in cases)
        busy = busy or hit > BUSY * timed
        hour = "A quieter hour would give a finding." if busy else "A quieter hour would."
        if self._several:
            hour += " So may one thread, which waits for no other: mlpbench run --threads 1."
        widths = [*(self._counted_width(*case) for case in cases), *[None] * (len(never) * len(self._plan.cases))]
        middle = sorted(width for width in widths if width is not None)[len(widths) // 2 :][:1]
        if self._plan.repeats < estimates.LEAST_REPEATS or (middle and middle[0] <= USEFUL):
            return hour if busy else None  # nobody asked for intervals, or they are useful
        wide = f"the middle one is {words.half_width(middle[0])}" if middle else "half of the cases or more have none"
        more_s = sum(self._more_s(kernel) for kernel in [*measured, *never])
        if busy or more_s > PATIENCE_S:
            why = "the machine was busy" if busy else "more time would not narrow them"
            return f"The intervals are too wide to tell much ({wide}): {why}. {hour}"
        minutes = f"{max(1, math.ceil(more_s / 60))} more minute{'s' if more_s > 60 else ''}"
        total = math.ceil((self.spent_s + self.besides_s + more_s) / 60)
        how = f"--budget {total}m" if self.goes_on else f"--repeats {self._plan.repeats * 2}"
        return f"The intervals are too wide to tell much ({wide}): {minutes} would make them useful ({how})."

    @property
    def _several(self) -> bool:
        return (self._plan.threads or 1) > 1

    def _counted_width(self, kernel: str, case: _Case) -> float | None:
        """Return half the width that the reader sees; None for fewer repeats than an interval needs."""
        by_repeat = self._times[kernel][case]
        if len(by_repeat) < estimates.LEAST_REPEATS:
            return None
        return half_width(estimates.counted(by_repeat, self._disturbed[kernel, case]))

    def _more_s(self, kernel: str) -> float:
        """Return the seconds that give a kernel a useful interval in its middle case."""
        times = self._times.get(kernel, {})
        done = max(map(len, times.values()), default=0)
        found = [self._counted_width(kernel, case) for case in times]
        widths = sorted(width for width in found if width is not None)
        if not widths:
            return (estimates.LEAST_REPEATS - done) * sum(self._parts(kernel))
        return max(repeats_for(widths[len(widths) // 2], done, USEFUL) - done, 0) * self._lasts(kernel)

    def ending(self, *, interrupted: bool = False, kernels: Mapping[str, str] | None = None) -> Ending:
        """Return how the run ended.

        ``kernels`` chooses those of one setting of a sweep, by their names here, and says which kernel each of them is.
        """
        names = dict(zip(self._plan.kernels, self._plan.kernels, strict=True)) if kernels is None else kernels
        spent_s = sum(self._spent.get(name, 0.0) for name in names)
        cases = [(case.mode, case.batch_size) for case in self._plan.cases]
        lost = {at for at in self.left_out if at[0] in names}
        ends = [self._end(name, names[name], case, interrupted) for name in names for case in cases]
        return Ending(
            target=self._plan.target,
            budget_s=self._plan.budget_s,
            spent_s=round(spent_s, 3),
            interrupted=interrupted,
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            order=tuple((names[name], repeat) for name, repeat in self._done if name in names),
            cases=tuple(ends),
            left_out=tuple((names[name], repeat) for name, repeat in self._plan.order if (name, repeat) in lost),
            sweep_s=None if kernels is None else round(self.spent_s, 3),
        )

    def _width(self, kernel: str, case: _Case) -> float | None:
        """Return half the width of a case; endless while too few of its repeats were undisturbed."""
        by_repeat, disturbed = self._times[kernel][case], self._disturbed[kernel, case]
        few = len(by_repeat.keys() - disturbed) < estimates.LEAST_REPEATS
        return math.inf if disturbed and few else half_width(estimates.counted(by_repeat, disturbed))

    @property
    def _left(self) -> float:
        return (self._plan.budget_s or 0.0) - self.spent_s - self.besides_s

    def _next_planned(self) -> int:
        """Return which of the planned processes comes next: the first of a kernel that will have all of its repeats.

        One repeat has no interval, and that of two tells nothing. So where time is short some kernels have all their
        repeats rather than all kernels one; the others wait for what that leaves.
        """
        if self._plan.budget_s is None or not self._done:
            return 0
        lasts: dict[str, float] = defaultdict(float)
        for kernel, _ in self._ahead:
            besides, timed = self._parts(kernel)
            lasts[kernel] += besides + SHORTEST * timed
        begun = {kernel for kernel, _ in self._done}
        left = self._left - sum(lasts[kernel] for kernel in begun - self._stopped)
        comes = (n for n, (kernel, _) in enumerate(self._ahead) if kernel in begun or lasts[kernel] <= left)
        return next(comes, 0)

    def _fits(self, kernel: str) -> bool:
        """Whether there is time for a planned process. The first of all comes whatever the budget."""
        if self._plan.budget_s is None or not self._done:
            return True
        # What a kernel that has not run yet will compile is not known, and `limit_s` ends that.
        besides, timed = self._parts(kernel)
        return besides + self.share(kernel) * timed <= self._left

    def _lasts(self, kernel: str) -> float:
        """Return the seconds that the next process of a kernel is taken to need, 0 where it has had none."""
        return sum(self._parts(kernel)) if kernel in self._timed else 0.0

    def _parts(self, kernel: str) -> tuple[float, float]:
        """Return the seconds that the next process of a kernel is taken to need, without its rounds, and for them.

        The first process compiles and looks closer, which those behind it do not. Of a kernel that has not run yet,
        others tell: the middle one.
        """
        if kernel not in self._timed:
            found = sorted((self._parts(name) for name in self._timed), key=sum)
            return found[len(found) // 2] if found else (0.0, 0.0)
        (first_s, first_timed_s), *later = zip(self._besides[kernel], self._timed[kernel], strict=True)
        first = LATER * (first_s - self._once[kernel]), first_timed_s
        return max([first, *later][-LOOK_BACK:], key=sum)

    def _next_round(self) -> list[str]:
        """Return the kernels of the next round in running order."""
        if self._plan.target is None or not self.goes_on:
            return []
        too_wide = {}
        for kernel, cases in self._times.items():
            widest = max((self._width(kernel, case) or 0.0 for case in cases), default=0.0)
            if widest > self._plan.target and kernel not in self._failing:
                too_wide[kernel] = min(widest, WIDEST * self._plan.target)
        left, chosen = self._left, list[str]()
        for kernel in sorted(too_wide, key=lambda name: -too_wide[name]):
            # One that is not so wide comes only where nothing wider has the time.
            if chosen and too_wide[kernel] < WIDE_ENOUGH * max(too_wide.values()):
                break
            if self._lasts(kernel) <= left:
                left -= self._lasts(kernel)
                chosen.append(kernel)
        return self._rng.sample(chosen, len(chosen))

    def _end(self, name: str, kernel: str, case: _Case, interrupted: bool) -> CaseEnd:
        by_repeat, width = self._times[name][case], self._width(name, case)
        if interrupted:
            limit = "interrupted"
        elif not by_repeat and name not in self._failing and self.left_out:
            limit = "budget"
        elif self._plan.target is None:
            limit = "repeats" if by_repeat else "failed"
        elif width is not None and width <= self._plan.target:
            limit = "target"
        elif name in self._failing or not by_repeat:
            limit = "failed"
        else:
            limit = "repeats" if max(by_repeat) + 1 >= MOST_REPEATS else "budget"
        shown = half_width(estimates.counted(by_repeat, self._disturbed[name, case]))
        return CaseEnd(kernel, *case, len(by_repeat), shown, limit)


class WholeRounds(Effort):
    """Rounds of all kernels until the budget is spent, whatever their intervals."""

    def _next_planned(self) -> int:
        return 0

    def _next_round(self) -> list[str]:
        kernels = self._plan.kernels
        fits = sum(map(self._lasts, kernels)) <= self._left
        return self._rng.sample(kernels, len(kernels)) if fits else []
