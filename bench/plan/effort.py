"""How often to repeat: until every interval is narrow enough, or the time is spent. Knows no files and no clock.

The plan's repeats come first, as far as the budget goes; then rounds of those kernels whose intervals are too wide.
Sides of a pair come both or not at all. `scripts/stopping_table.py` counts what the rule costs.
"""

import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from mlpbench.bench.plan.plan import in_any_order
from mlpbench.bench.record.plan import CaseEnd, Ending, Plan
from mlpbench.bench.stats import estimates

#: Half the width of an interval, as a share of the time, at which a case needs no more repeats.
TARGET = 0.05
#: However long the budget is.
MOST_REPEATS = 1000
#: What all processes do beside timing, as a share of the first one without compiling: only that one looks closer.
LATER = 0.7
#: Where the planned processes would not fit the budget, each times its cases for a shorter while: down to this share.
SHORTEST = 0.5

_Case = tuple[str, int]


class Effort:
    """The processes of a run, one after the other; `note` takes what came of each before the next is asked for.

    A kernel is a name of the whole plan. ``together``: those that are sides of a pair (`bench.plan.sweep.together`).
    """

    def __init__(self, plan: Plan, together: Sequence[Sequence[str]] | None = None) -> None:
        self._plan = plan
        self._together = together or [[kernel] for kernel in plan.kernels]
        self._rng = random.Random(f"{plan.seed} effort")  # noqa: S311 - an order, not a secret
        self._done: list[tuple[str, int]] = []
        #: Seconds that each process of a kernel would take again: beside its rounds, and for these at full length.
        self._lasted: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._spent: dict[str, float] = defaultdict(float)
        self._times: dict[str, dict[_Case, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        self._disturbed: dict[tuple[str, _Case], set[int]] = defaultdict(set)
        self._failing: set[str] = set()
        self._stopped: set[str] = set()
        #: The planned (kernel, repeat) that are still to come, and those for which there was no time.
        self.ahead = list(plan.order)
        self.left_out: list[tuple[str, int]] = []

    @property
    def done(self) -> int:
        """How many processes have ended."""
        return len(self._done)

    @property
    def spent_s(self) -> float:
        """The seconds of all processes, stopped ones too."""
        return sum(self._spent.values())

    @property
    def goes_on(self) -> bool:
        """Whether the number of repeats is open."""
        return self._plan.budget_s is not None

    @property
    def left_budget_s(self) -> float:
        """The seconds of the budget that are left, below 0 where more was spent."""
        return (self._plan.budget_s or 0.0) - self.spent_s

    def processes(self) -> Iterator[tuple[str, int]]:
        """Yield (kernel, repeat) of the next process while there is reason and time; none that was noted before."""
        before = set(self._done)
        while self.ahead:
            at = self.ahead.pop(0)
            if self._has_time(*at):
                yield at
            else:
                self.left_out.append(at)
        for repeat in range(max([self._plan.repeats, *(repeat for _, repeat in before)]), MOST_REPEATS):
            if not (kernels := self._next_round()):
                return
            for kernel in kernels:
                if (kernel, repeat) not in before and self._has_time(kernel, repeat):
                    yield kernel, repeat

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
        ``share`` of their full length. ``disturbed`` cases count only where others are too few.
        """
        self._done.append((kernel, repeat))
        self.ahead = [at for at in self.ahead if at != (kernel, repeat)]
        besides_s = seconds - timed_s if self._lasted[kernel] else LATER * (seconds - timed_s - construct_s)
        self._lasted[kernel].append((besides_s, timed_s / share))
        self._spent[kernel] += seconds
        if not times:
            self._failing.add(kernel)
        for case in disturbed:
            self._disturbed[kernel, case].add(repeat)
        for case, value in times.items():
            self._times[kernel][case][repeat] = value

    def stopped(self, kernel: str, repeat: int, seconds: float, *, by_budget: bool = False) -> None:
        """Take in a process that was stopped: after `limit_s`, or beyond its own limit: time, memory or output."""
        self._stopped.add(kernel)
        self._spent[kernel] += seconds
        if by_budget:
            self.left_out.append((kernel, repeat))
        else:
            self._done.append((kernel, repeat))
            self._failing.add(kernel)

    def share(self, kernel: str) -> float:
        """Return for which share of the profile's time the next process times its cases, to make room for others."""
        if not self.goes_on or not self._done:
            return 1.0
        parts = [self._next_s(name) for name in (kernel, *(name for name, _ in self.ahead))]
        besides_s, timed_s = map(sum, zip(*parts, strict=True))
        return min(1.0, max(SHORTEST, (self.left_budget_s - besides_s) / timed_s)) if timed_s > 0 else 1.0

    def limit_s(self) -> float | None:
        """Return the seconds after which the next process is to be stopped; None for the first, and for no budget.

        It may take a tenth of the budget more than is left, and five seconds at least.
        """
        if self._plan.budget_s is None or not self._done:
            return None
        return max(self.left_budget_s, 0.0) + max(5.0, self._plan.budget_s / 10)

    def left_s(self) -> float | None:
        """Return the seconds still to come, with an open number of repeats at most; None while that is not known."""
        if self.goes_on:
            return max(0.0, self.left_budget_s)
        kernels = [kernel for kernel, _ in self.ahead]
        return self._lasts(*kernels) if all(self._lasted[kernel] for kernel in kernels) else None

    def ending(self, *, interrupted: bool = False, kernels: Mapping[str, str] | None = None) -> Ending:
        """Return how the run ended, or one setting of a sweep, whose ``kernels`` are given by their names here."""
        names = {name: name for name in self._plan.kernels} if kernels is None else kernels
        scatter, cases = self._scatter(), [(case.mode, case.batch_size) for case in self._plan.cases]
        ends = [self._end(name, own, case, scatter) for name, own in names.items() for case in cases]
        return Ending(
            spent_s=round(sum(self._spent[name] for name in names), 3),
            interrupted=interrupted,
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            order=tuple((names[name], repeat) for name, repeat in self._done if name in names),
            cases=tuple(replace(end, limit="interrupted") if interrupted else end for end in ends),
            left_out=tuple((names[at[0]], at[1]) for at in self._plan.order if at in self.left_out and at[0] in names),
        )

    def _end(self, name: str, kernel: str, case: _Case, scatter: estimates.Error) -> CaseEnd:
        by_repeat, width = self._times[name][case], self._width(name, case, scatter)
        if not by_repeat and name not in self._failing and self.left_out:
            limit = "budget"
        elif self._plan.target is None:
            limit = "repeats" if by_repeat else "failed"
        elif width is not None and width <= self._plan.target:
            limit = "target"
        elif name in self._failing or not by_repeat:
            limit = "failed"
        else:
            limit = "repeats" if max(by_repeat) + 1 >= MOST_REPEATS else "budget"
        return CaseEnd(kernel, *case, len(by_repeat), limit, width)

    def _scatter(self) -> estimates.Error:
        """Return what all cases know of their scatter together."""
        return estimates.shared_scatter(times for of_kernel in self._times.values() for times in of_kernel.values())

    def _width(self, kernel: str, case: _Case, scatter: estimates.Error) -> float | None:
        """Return half the width that the reader sees, as a share of the time; None for fewer than two repeats."""
        values = estimates.counted(self._times[kernel][case], self._disturbed[kernel, case])
        if len(values) < 2:
            return None
        time = estimates.estimate(values, scatter)
        # The interval of two wildly different repeats spans hundreds of decades.
        return min((time.high - time.low) / (2 * time.value), 1e9)

    def _has_time(self, kernel: str, repeat: int) -> bool:
        """Whether there is time for a process and its pair, or that has begun. The first comes whatever the budget."""
        sides = next(group for group in self._together if kernel in group)
        if self._stopped.intersection(sides):
            return False
        if not self.goes_on or not self._done or any((name, repeat) in self._done for name in sides):
            return True
        # What a kernel that has not run yet will compile is not known, and `limit_s` ends that.
        share = self.share(kernel)
        return sum(besides_s + share * timed_s for besides_s, timed_s in map(self._next_s, sides)) <= self.left_budget_s

    def _next_s(self, kernel: str) -> tuple[float, float]:
        """Return the seconds that the next process of a kernel is taken to need, beside its rounds, and for them.

        As many as the longest of the three before it; of one that has not run yet, the middle one of others tells.
        """
        if lasted := self._lasted[kernel]:
            return max(lasted[-3:], key=sum)
        others = sorted((self._next_s(name) for name, lasted in self._lasted.items() if lasted), key=sum)
        return others[len(others) // 2] if others else (0.0, 0.0)

    def _lasts(self, *kernels: str) -> float:
        """Return the seconds that the next process of each kernel is taken to need, 0 where it has had none."""
        return sum(sum(self._next_s(kernel)) for kernel in kernels if self._lasted[kernel])

    def _next_round(self) -> list[str]:
        """Return the kernels of the next round in running order, pair by pair; all of them where there is no target."""
        if not self.goes_on:
            return []
        if self._plan.target is None:
            fits = self._lasts(*self._plan.kernels) <= self.left_budget_s
            return in_any_order(self._together, self._rng) if fits else []
        scatter, chosen = self._scatter(), []
        for sides in self._together:
            widths = (self._width(name, case, scatter) or 0.0 for name in sides for case in self._times[name])
            fits = self._lasts(*sides) <= self.left_budget_s and not self._failing.intersection(sides)
            if fits and max(widths, default=0.0) > self._plan.target:
                chosen.append(sides)
        return in_any_order(chosen, self._rng)
