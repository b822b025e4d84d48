"""Behind the clock of one process of a run: asks the checks of `honesty` and `witness` at their moments.

What they find are the record's refusals: such a case has no rounds in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mlpbench.bench.cases import Case
from mlpbench.bench.machine import look
from mlpbench.bench.measure import witness
from mlpbench.bench.measure.honesty import Honesty, Prepared
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.record.trust import Refusal

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


class Timed(Protocol):
    """A case as `bench.measure.turns` times it: its whole rounds, and what was prepared of it (not of the book's)."""

    case: Case
    rounds_s: list[float]

    @property
    def prepared(self) -> Prepared | None:
        """The inputs; None for the book's cell."""


@dataclass
class Behind:
    """What is known of a process before any kernel was in it, and what was seen since.

    ``timer``: the clock of pytest-benchmark. ``given``: the threads that the run gives the kernel.
    """

    timer: Callable[[], float]
    given: int
    tools: dict[str, object] = field(default_factory=witness.tools, repr=False)
    processors: frozenset[int] = field(default_factory=witness.processors)
    priority: tuple[int, int] = field(default_factory=witness.priority)
    threads: witness.Threads | None = None
    honesty: Honesty | None = None
    clocks: dict[Case, witness.RawClock] = field(default_factory=dict)
    usages: dict[Case, witness.Usage] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def all_warm(self, contestant: Contestant, cases: Iterable[Timed]) -> None:
        """Write fresh values over the inputs; nothing the second time."""
        if self.honesty is None:
            self.threads = witness.Threads()
            self.honesty = Honesty(contestant.kernel, contestant.workload.params, contestant.inputs)
            self.honesty.freshen({one.case: one.prepared for one in cases if one.prepared is not None})

    def clock_of(self, case: Case) -> witness.RawClock:
        """Return the raw clock that runs around the rounds of a case."""
        return self.clocks.setdefault(case, witness.RawClock())

    def block_begins(self, case: Case) -> None:
        """Look, before a block of rounds."""
        self.usages.setdefault(case, witness.Usage()).begin()

    def block_ended(self, case: Case, benchmark: BenchmarkFixture) -> None:
        """Look, after it."""
        self.usages[case].end()
        if reason := witness.tampered(benchmark, self.timer):
            self._refuse(None, "timer", reason)

    def rounds_over(self, one: Timed, result: Any) -> None:
        """Keep what the last timed call of a case returned."""
        if self.honesty is not None and one.prepared is not None:
            self.honesty.rounds_over(one.case, one.prepared, result)

    def verdict(self, contestant: Contestant, cases: Sequence[Timed]) -> dict[str, Any]:
        """Return members of `bench.record.trust.Trust`, when all rounds are over."""
        if changed := witness.changed(self.tools):
            self._refuse(None, "timer", f"{changed[0]} is not what it was before the kernel was loaded")
        if more := sorted(witness.processors() - self.processors):
            self._refuse(None, "affinity", f"it may use processor {more[0]}, which the run did not give it")
        if (now := witness.priority()) != self.priority:
            told = f"policy and niceness {now}, and {self.priority} when the process began"
            self._refuse(None, "priority", f"it changed how its thread is scheduled: {told}")
        if self.threads and (reason := self.threads.too_many(self.given, look.helpers())):
            self._refuse(None, "threads", reason)
        for one in cases:
            if one.rounds_s and (reason := witness.rounds_off(one.rounds_s, self.clocks[one.case].spans_s)):
                self._refuse(one.case, "timer", reason)
            if one.rounds_s and (reason := self.usages[one.case].too_many(self.given)):
                self._refuse(one.case, "threads", reason)
        if self.honesty is not None:
            self._honest(self.honesty, contestant, cases)
        found = dict.fromkeys(self.refusals + (self.honesty.refusals if self.honesty else []))
        return {"refusals": tuple(found), "known_work": witness.known_work(self.timer)}

    @staticmethod
    def _honest(honesty: Honesty, contestant: Contestant, cases: Sequence[Timed]) -> None:
        honesty.inputs_unchanged()
        honesty.accuracies(contestant.accuracy)
        for one in cases:
            if one.prepared is not None and one.rounds_s:
                honesty.examine(one.case, one.prepared)
        honesty.judge()

    def _refuse(self, case: Case | None, check: str, reason: str) -> None:
        mode, size = (None, None) if case is None else (case.mode, case.batch_size)
        self.refusals.append(Refusal(mode=mode, batch_size=size, check=check, reason=reason))


def is_refused(refusals: Iterable[Refusal], mode: str, batch_size: int) -> bool:
    """Return whether a case is among those that are refused."""
    return any(one.mode is None or (one.mode, one.batch_size) == (mode, batch_size) for one in refusals)
