"""How often to repeat: until every interval is narrow enough, or the time is spent. Knows no files and no clock.

The plan's repeats come first, as far as the budget goes: a process that would not end within it is left out, by name.
Then come rounds of those kernels whose intervals are too wide; the number of the round is that of the repeat. Sides of
a pair come both or not at all. docs/evidence/statistics.md has the rule, `scripts/stopping_table.py` what it costs.
"""

import math
import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property

from mlpbench.bench.plan.plan import in_any_order
from mlpbench.bench.record.plan import CaseEnd, Ending, Plan
from mlpbench.bench.stats import estimates

#: Half the width of an interval, as a share of the time, at which a case needs no more repeats.
TARGET = 0.05
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


class Effort:
    """The processes of a run, one after the other; what came of each is told by `note` before the next is asked for.

    A kernel is a name: in a sweep each pair of setting and kernel has one. ``together``: the kernels that are sides of
    a pair (`bench.plan.sweep.together`); None where each is alone.
    """

    def __init__(self, plan: Plan, together: Sequence[Sequence[str]] | None = None) -> None:
        self._plan = plan
        self._together = together or [[kernel] for kernel in plan.kernels]
        self._rng = random.Random(f"{plan.seed} effort")  # noqa: S311 - an order, not a secret
        self._done: list[tuple[str, int]] = []
        #: Seconds of each process of a kernel without its rounds, and those of its rounds at full length.
        self._besides: dict[str, list[float]] = defaultdict(list)
        self._timed: dict[str, list[float]] = defaultdict(list)
        self._once: dict[str, float] = {}
        #: Seconds of its processes.
        self._spent: dict[str, float] = defaultdict(float)
        self._times: dict[str, dict[_Case, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        self._disturbed: dict[tuple[str, _Case], set[int]] = defaultdict(set)
        #: What all cases know of it, until the next process ends.
        self._scatter: estimates.Scatter | None = None
        self._failing: set[str] = set()
        self._stopped: set[str] = set()
        self._ahead = list(plan.order)
        #: Seconds of processes that were stopped: the budget pays for them too.
        self.besides_s = 0.0
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
    def spent_s(self) -> float:
        """The seconds of the processes that ended by themselves."""
        return sum(self._spent.values())

    @property
    def left_budget_s(self) -> float:
        """The seconds of the budget that are left; 0 where there is none."""
        return max(0.0, self._left)

    @property
    def goes_on(self) -> bool:
        """Whether the number of repeats is open."""
        return self._plan.budget_s is not None

    def processes(self) -> Iterator[tuple[str, int]]:
        """Yield (kernel, repeat) of the next process while there is reason and time; none that was noted before."""
        before = set(self._done)
        while self._ahead:
            kernel, repeat = self._ahead.pop(0)
            if self._begun(kernel, repeat) or self._fits(kernel):
                yield kernel, repeat
            else:
                self.left_out.append((kernel, repeat))
        repeat = max([self._plan.repeats, *(repeat for _, repeat in before)])
        while repeat < MOST_REPEATS and (kernels := self._next_round()):
            for kernel in kernels:
                fits = self._begun(kernel, repeat) or self._lasts(*self._sides(kernel)) <= self._left
                if fits and (kernel, repeat) not in before:
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
        """Take in a process that ended, in ``seconds``, with the seconds per sample of each case that has a time.

        ``construct_s`` of it made the kernel, which the next finds compiled. ``timed_s`` were timed rounds, of this
        ``share`` of their full length. A repeat in which a case was ``disturbed`` is replaced within the budget.
        """
        self._scatter = None
        self._done.append((kernel, repeat))
        self._ahead = [process for process in self._ahead if process != (kernel, repeat)]
        self._once.setdefault(kernel, construct_s)
        self._besides[kernel].append(seconds - timed_s)
        self._timed[kernel].append(timed_s / share)
        self._spent[kernel] += seconds
        if not times:
            self._failing.add(kernel)
        for case in disturbed:
            self._disturbed[kernel, case].add(repeat)
        for case, value in times.items():
            self._times[kernel][case][repeat] = value

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
        """Return for which share of the profile's time the next process times its cases, to make room for others."""
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

    def ending(self, *, interrupted: bool = False, kernels: Mapping[str, str] | None = None) -> Ending:
        """Return how the run ended, or one setting of a sweep, whose ``kernels`` are given by their names here."""
        names = {name: name for name in self._plan.kernels} if kernels is None else kernels
        cases = [(case.mode, case.batch_size) for case in self._plan.cases]
        return Ending(
            spent_s=round(sum(self._spent.get(name, 0.0) for name in names), 3),
            interrupted=interrupted,
            ended=self._ended,
            order=tuple((names[name], repeat) for name, repeat in self._done if name in names),
            cases=tuple(self._end(name, names[name], case, interrupted) for name in names for case in cases),
            left_out=tuple((names[at[0]], at[1]) for at in self._plan.order if at in self.left_out and at[0] in names),
            sweep_s=None if kernels is None else round(self.spent_s, 3),
        )

    @cached_property
    def _ended(self) -> str:
        """The moment at which it was first asked for: the same in every file that says so."""
        return datetime.now(UTC).isoformat(timespec="seconds")

    def _width(self, kernel: str, case: _Case) -> float | None:
        """Return half the width of a case; endless while fewer than two of its repeats were undisturbed."""
        by_repeat, disturbed = self._times[kernel][case], self._disturbed[kernel, case]
        few = len(by_repeat.keys() - disturbed) < 2
        return math.inf if disturbed and few else self._shown_width(kernel, case)

    def _shown_width(self, kernel: str, case: _Case) -> float | None:
        """Return half the width that the reader sees, as a share; None for fewer than two repeats."""
        values = estimates.counted(self._times[kernel][case], self._disturbed[kernel, case])
        if len(values) < 2:
            return None
        if self._scatter is None:
            several = (times for own in self._times.values() for times in own.values() if len(times) > 1)
            self._scatter = estimates.shared_scatter(several)
        time = estimates.estimate(values, self._scatter)
        # The interval of two wildly different repeats spans hundreds of decades.
        return min((time.high - time.low) / (2 * time.value), 1e9)

    @property
    def _left(self) -> float:
        return (self._plan.budget_s or 0.0) - self.spent_s - self.besides_s

    def _sides(self, kernel: str) -> Sequence[str]:
        """Return the kernels that are together with this one, and itself."""
        return next((group for group in self._together if kernel in group), (kernel,))

    def _begun(self, kernel: str, repeat: int) -> bool:
        """Whether another side of its pair has had its turn in this repeat, and nothing stopped it."""
        others = [name for name in self._sides(kernel) if name != kernel]
        return not self._stopped.intersection(others) and any((name, repeat) in self._done for name in others)

    def _fits(self, kernel: str) -> bool:
        """Whether there is time for a planned process and its pair. The first of all comes whatever the budget."""
        sides = self._sides(kernel)
        if self._stopped.intersection(sides):
            return False
        if self._plan.budget_s is None or not self._done:
            return True
        # What a kernel that has not run yet will compile is not known, and `limit_s` ends that.
        share = self.share(kernel)
        return sum(besides + share * timed for besides, timed in map(self._parts, sides)) <= self._left

    def _lasts(self, *kernels: str) -> float:
        """Return the seconds that the next process of each kernel is taken to need, 0 where it has had none."""
        return sum(sum(self._parts(kernel)) for kernel in kernels if kernel in self._timed)

    def _parts(self, kernel: str) -> tuple[float, float]:
        """Return the seconds that the next process of a kernel is taken to need, without its rounds, and for them.

        The first process compiles and looks closer. Of a kernel that has not run yet, the middle one of others tells.
        """
        if kernel not in self._timed:
            others = sorted((self._parts(name) for name in self._timed), key=sum)
            return others[len(others) // 2] if others else (0.0, 0.0)
        (first_s, first_timed_s), *later = zip(self._besides[kernel], self._timed[kernel], strict=True)
        first = LATER * (first_s - self._once[kernel]), first_timed_s
        return max([first, *later][-LOOK_BACK:], key=sum)

    def _next_round(self) -> list[str]:
        """Return the kernels of the next round in running order, pair by pair; all of them where there is no target."""
        if not self.goes_on:
            return []
        if self._plan.target is None:
            return in_any_order(self._together, self._rng) if self._lasts(*self._plan.kernels) <= self._left else []
        too_wide: list[tuple[float, Sequence[str]]] = []
        for sides in self._together:
            widths = [self._width(name, case) or 0.0 for name in sides for case in self._times.get(name, ())]
            if max(widths, default=0.0) > self._plan.target and not self._failing.intersection(sides):
                too_wide.append((min(max(widths), WIDEST * self._plan.target), sides))
        left, chosen = self._left, list[Sequence[str]]()
        for width, sides in sorted(too_wide, key=lambda item: -item[0]):
            # One that is not so wide comes only where nothing wider has the time.
            if chosen and width < WIDE_ENOUGH * max(too_wide)[0]:
                break
            if self._lasts(*sides) <= left:
                left -= self._lasts(*sides)
                chosen.append(sides)
        return in_any_order(chosen, self._rng)

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
        return CaseEnd(kernel, *case, len(by_repeat), limit, self._shown_width(name, case))
