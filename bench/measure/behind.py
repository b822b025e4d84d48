"""Behind the clock of one process of a run: asks the checks of `honesty` and `witness` at their moments.

What they find are the record's refusals (docs/evidence/honesty.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mlpbench.bench.cases import Case
from mlpbench.bench.measure import witness
from mlpbench.bench.measure.audit import Audit
from mlpbench.bench.measure.case import Prepared
from mlpbench.bench.measure.honesty import REMEMBERS, Honesty, inputs_of, place, snapshot
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.record.trust import Refusal

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


#: Rounds on values that no call has seen: so many of a case, fewer of large batches, and more where all are slow; fewer
#: than the fewest tell nothing. Each is held against the longest but one of so many others before it.
SURPRISES, LARGE_SURPRISES, MANY_SURPRISES, FEWEST_SURPRISES, BEFORE = 8, 6, 12, 4, 5


class Timed(Protocol):
    """A case as `bench.measure.turns` times it: its whole rounds, and what was prepared of it (not of the book's)."""

    case: Case
    rounds_s: list[float]
    #: The same by the hardware's own clock.
    spans_s: list[float]

    @property
    def calls(self) -> int:
        """In one round."""

    @property
    def prepared(self) -> Prepared | None:
        """The inputs; None for the book's cell."""


@dataclass
class Surprises:
    """Rounds of a case, in the second half, whose inputs have just got values that no call has seen.

    Nothing else tells such a round from the others, so a kernel that remembers is slow in them whenever it guesses that
    nobody looks. `begin` comes just before the round, the last of its block, and `end` after the block.
    """

    honesty: Honesty
    one: Timed
    #: How many times as long as some rounds before it each has taken.
    ratios: list[float] = field(default_factory=list)
    _usual: list[float] = field(default_factory=list)
    #: The batches that were written over, with their values; None where none were.
    _written: dict[int, Any] | None = None
    _last: int = 0

    def is_due(self, progress: float) -> bool:
        """Return whether a block has one, when it is so far, from 0 to 1; more where all so far are slow."""
        planned = LARGE_SURPRISES if self.honesty.is_large(self.one.case) else SURPRISES
        if len(self.ratios) >= 2 and min(self.ratios) > REMEMBERS:
            planned = MANY_SURPRISES
        return len(self._usual) >= BEFORE and len(self.ratios) < planned * (2 * progress - 1)

    def begin(self, call: Callable[[], Any]) -> None:
        """Write over the inputs that come next but one; the next one wakes threads and comes before the round."""
        prepared, case = self.one.prepared, self.one.case
        if prepared is None:
            return
        batches = prepared.batches
        at, many = place(batches, prepared.take()), len(batches)
        first = at + 1 if many == 1 else at + 2
        places = [(first + n) % many for n in range(min(self.one.calls, max(1, many - 1)))]
        there = inputs_of(case, [batches[n] for n in places])
        values = self.honesty.new_values(case, len(there))()
        of_each = len(there) // len(places)
        self._written = {place: values[n * of_each : (n + 1) * of_each] for n, place in enumerate(places)}
        self._last = (first + self.one.calls - 1) % many
        if not all(self.honesty.write(*pair) for pair in zip(there, values, strict=True)):
            self._restore(prepared)
        elif many > 1:
            call()

    def end(self, rounds_s: Sequence[float], result: Any, *, at_last: bool) -> bool:
        """Look at the rounds of a block, and at what the last one returned; return whether it was a surprise.

        ``rounds_s`` are without what their thread waited for a processor, where that is known.
        """
        prepared, case = self.one.prepared, self.one.case
        if self._written is None or prepared is None:
            self._usual += rounds_s
            return False
        before = (self._usual + list(rounds_s[:-1]))[-BEFORE:]
        self.ratios.append(rounds_s[-1] / max(sorted(before)[-2], 1e-9))
        self._usual += rounds_s[:-1]
        if self._last in self._written:
            x = self._written[self._last][-1]
        else:  # all batches but one were written over, and it is that one
            x = self.honesty.values_of(case, self._last)
            x = x[-1] if case.mode == "per_sample" else x
        y = snapshot(self.honesty.kernel, result)
        x, y = (x.copy(), y) if at_last else self.honesty.some(case, x, y)
        self.honesty.claim(case, "a timed result", x, y)
        self._restore(prepared)
        return True

    def remembers(self) -> str | None:
        """Return how much longer the rounds took whose values were new, where every one of them did."""
        if len(self.ratios) < FEWEST_SURPRISES or min(self.ratios) <= REMEMBERS:
            return None
        return f"timed on values that it has not seen it takes at least {min(self.ratios):.1f} times as long"

    def _restore(self, prepared: Prepared) -> None:
        case = self.one.case
        for number in self._written or ():
            values = self.honesty.values_of(case, number)
            inputs = inputs_of(case, [prepared.batches[number]])
            for there, x in zip(inputs, values if case.mode == "per_sample" else [values], strict=True):
                self.honesty.write(there, x)
        self._written = None


@dataclass
class Behind:
    """What was seen of a kernel beside its rounds. ``given``: the threads that the run gives it.

    ``audit``: what `mlpbench audit` asks besides.
    """

    given: int
    audit: Audit | None = None
    honesty: Honesty | None = None
    usages: dict[Case, witness.Usage] = field(default_factory=dict)
    surprises: dict[Case, Surprises] = field(default_factory=dict)

    def all_warm(self, contestant: Contestant, cases: Iterable[Timed]) -> None:
        """Write fresh values over the inputs; nothing the second time."""
        if self.honesty is None:
            self.honesty = Honesty(contestant.kernel, contestant.workload.params, contestant.inputs)
            self.honesty.freshen({one.case: one.prepared for one in cases if one.prepared is not None})

    def surprises_of(self, one: Timed) -> Surprises | None:
        """Return the rounds of a case on values that nobody has seen; None of the book's cell."""
        if self.honesty is None or one.prepared is None:
            return None
        return self.surprises.setdefault(one.case, Surprises(self.honesty, one))

    def block_begins(self, case: Case) -> None:
        """Look, before a block of rounds."""
        self.usages.setdefault(case, witness.Usage()).begin()

    def block_ended(self, case: Case, benchmark: BenchmarkFixture) -> None:
        """Look, after it."""
        self.usages[case].end()
        if self.audit is not None:
            self.audit.block_ended(benchmark)

    def rounds_over(self, one: Timed, result: Any) -> None:
        """Keep what the last timed call of a case returned."""
        if self.honesty is not None and one.prepared is not None:
            self.honesty.rounds_over(one.case, one.prepared, result)

    def refusals(self, contestant: Contestant, cases: Sequence[Timed]) -> tuple[Refusal, ...]:
        """Return what speaks against the kernel, when all rounds are over."""
        seen = list(self.audit.refusals()) if self.audit is not None else []
        for one in cases:
            reasons = {
                "timer": witness.rounds_off(one.rounds_s, one.spans_s),
                "memory": self.surprises[one.case].remembers() if one.case in self.surprises else None,
                "threads": self.usages[one.case].too_many(self.given),
            }
            seen += [Refusal.of(one.case, check, reason) for check, reason in reasons.items() if reason]
        if self.honesty is not None:
            self.honesty.inputs_unchanged()
            self.honesty.accuracies(contestant.accuracy)
            for one in cases:
                if one.prepared is None:
                    self.honesty.examine_book(one.case)
                elif one.rounds_s:
                    self.honesty.examine(one.case, one.prepared)
            self.honesty.judge()
            seen += self.honesty.refusals
        return tuple(dict.fromkeys(seen))
