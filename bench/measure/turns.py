"""Turns: in a process of a run, all cases take turns in short blocks of rounds, with a look at the core between rounds.

A spell of noise lasts some ten milliseconds or some seconds. Blocks are short, so that a spell meets all cases and not
one of them, and each round knows from its looks whether it was alone on the core. pytest-benchmark times every round.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mlpbench.bench.cases import CPU, Case
from mlpbench.bench.clock import others_s, own_s, raw_s, wait_for_others
from mlpbench.bench.groups import grouped
from mlpbench.bench.machine import look as look_
from mlpbench.bench.machine.look import Look
from mlpbench.bench.measure import watch
from mlpbench.bench.measure.behind import Behind, Surprises
from mlpbench.bench.measure.case import LEAST_OWN_S, Prepared, Ready, by_round, make_ready, round_of, rounds_ended
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.record.trust import Refusal

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

#: How long a block is, and how many a case has at most: of longer measurements, blocks are longer. Caches are filled
#: before each, and where a pool spins on, that is waited for: shorter blocks cost more.
BLOCK_S, MOST_TURNS = 0.04, 60
#: A block has so many rounds at least: a case of few long rounds is not due in every turn.
FEWEST_ROUNDS = 2
#: Untimed calls before a block, as a share of a round's, bring weights and inputs back into the caches. A call as long
#: as this brings them itself.
WARM_SHARE, WARM_UP_TO_S = 0.25, 0.005
#: With so much time of other threads for each second of the one that calls, a case is one of several threads. Its
#: rounds are this short: its threads meet only while nobody else has a processor of theirs, which is just after a look
#: on all of them. Beside a program that kept one of two processors busy, rounds of 1 ms left 6 of 24 timings of NumPy
#: undisturbed, these 13 (2026-12-02).
SEVERAL, ROUND_OF_SEVERAL_S = 0.1, 2e-4
#: A pool of threads gives up spinning within that time.
SPINS_ON_S = 0.3


@dataclass(frozen=True)
class Wanted:
    """What pytest-benchmark's options ask of a case: a round's fewest seconds, rounds in all, and seconds in all."""

    round_s: float
    rounds: int
    seconds: float

    @property
    def turns(self) -> int:
        """How many turns there are: one in which all cases are made ready, and those in which they are timed."""
        return 1 + min(MOST_TURNS, max(self.rounds, math.ceil(self.seconds / BLOCK_S)))


@dataclass
class _Between:
    """What is done before each round of a block and behind the last: the round's clocks are read, and a look is taken.

    ``surprise`` is called before the last of ``rounds``.
    """

    look: Look | None
    waiting: watch.Waiting | None
    surprise: Callable[[], None] | None
    rounds: int
    looks_ns: list[int] = field(default_factory=list)
    spans_s: list[float] = field(default_factory=list)
    _times: int = 0
    _began_s: float = 0.0

    def __call__(self) -> None:
        if self._times:
            self.spans_s.append(raw_s() - self._began_s)
            if self.waiting:
                self.waiting.round_ended()
        self._times += 1
        if self._times == self.rounds and self.surprise:
            self.surprise()
        if self.look:
            self.looks_ns.append(self.look.take())
        if self.waiting:
            self.waiting.round_begins()
        self._began_s = raw_s()


@dataclass
class Series:
    """One case in one process. Its rounds grow block by block.

    ``given``: the threads that the run gives the kernel.
    """

    contestant: Contestant
    case: Case
    wanted: Wanted
    given: int
    ready: Ready
    #: Whether it uses several threads: as far as its warming tells, and from its first block on as that does.
    several: bool
    rounds_s: list[float] = field(default_factory=list)
    looks_ns: list[tuple[int, int]] = field(default_factory=list)
    waits_ns: list[int] = field(default_factory=list)
    #: The rounds by the hardware's own clock, which no time server bends.
    spans_s: list[float] = field(default_factory=list)
    block_rounds: list[int] = field(default_factory=list)
    #: What the last timed call returned.
    result: Any = None
    ended: bool = False
    _benchmark: BenchmarkFixture | None = None

    @property
    def look(self) -> Look | None:
        """The look beside its rounds: on every processor that its threads may use."""
        return look_.everywhere() if self.several else look_.here()

    @property
    def calls(self) -> int:
        """Calls in one round."""
        round_s = min(self.wanted.round_s, ROUND_OF_SEVERAL_S) if self.several else self.wanted.round_s
        return max(1, math.ceil(round_s / self.ready.call_s))

    def due(self, turn: int) -> int:
        """Return how many rounds are to be timed in this turn: those left, spread evenly over the turns left."""
        if turn == 0 or self.ended:
            return 0
        done, turns, left = len(self.rounds_s), self.wanted.turns, max(self._left(), 0)
        if turn + 1 >= turns:
            return left
        share = (done + left) * turn / (turns - 1) - done
        return math.ceil(share) if share >= min(FEWEST_ROUNDS, left) else 0

    def progress(self, turn: int) -> float:
        """Return how far the case is, from 0 to 1: rounds that take longer than was thought end it before its turns."""
        done = len(self.rounds_s)
        return max(turn / (self.wanted.turns - 1), done / max(1, done + self._left()))

    def _left(self) -> int:
        """Return how many rounds are left: of rounds of mean length, as pytest-benchmark itself decides."""
        done = len(self.rounds_s)
        mean_s = statistics.fmean(self.rounds_s) if done else self.ready.call_s * self.calls
        return max(self.wanted.rounds - done, math.ceil((self.wanted.seconds - sum(self.rounds_s)) / mean_s))

    @property
    def prepared(self) -> Prepared | None:
        """The inputs, None for the book's cell."""
        return self.ready.prepared

    def take_block(self, benchmark: BenchmarkFixture, turn: int, surprises: Surprises | None = None) -> bool:
        """Time the rounds that are due, with a look before and after each; return whether the last was a surprise."""
        rounds, call = self.due(turn), self.ready.call
        if self.ready.call_s < WARM_UP_TO_S:
            for _ in range(math.ceil(WARM_SHARE * self.calls)):
                call()
        waiting = watch.Waiting(every=self.several) if self.contestant.kernel.device == CPU else None
        is_due = surprises is not None and surprises.is_due(self.progress(turn))
        between = _Between(self.look, waiting, partial(surprises.begin, call) if surprises and is_due else None, rounds)
        self._benchmark = benchmark
        others, own = others_s() - look_.helpers_s(), own_s()
        self.result = benchmark.pedantic(round_of(call, self.calls), setup=between, rounds=rounds)  # type: ignore[no-untyped-call]
        between()
        others, own = others_s() - look_.helpers_s() - others, own_s() - own
        if waiting:
            waiting.close()
        if benchmark.stats is None:  # pytest-benchmark is disabled: nothing was timed
            self.ended = True
            return False
        its_s, waits_ns = list(benchmark.stats.stats.data), waiting.rounds_ns if waiting else []
        self._benchmark = None
        if not self.rounds_s and self._is_another(others / max(own, LEAST_OWN_S)) and turn + 1 < self.wanted.turns:
            return False  # the looks of this block were on the wrong processors: its rounds are not kept
        self.rounds_s += its_s
        self.spans_s += between.spans_s
        self.looks_ns += itertools.pairwise(between.looks_ns)
        self.waits_ns += waits_ns
        self.block_rounds.append(rounds)
        self.ended = self.due(self.wanted.turns) == 0 or turn + 1 >= self.wanted.turns
        if surprises is None:
            return False
        worked_s = [seconds - ns / 1e9 for seconds, ns in zip(its_s, waits_ns or [0] * rounds, strict=True)]
        return surprises.end(worked_s, self.result, at_last=self.ended)

    def _is_another(self, others: float) -> bool:
        """Note whether it uses several threads by the time of ``others``; return whether that was not known before.

        While it was warmed, a pool behind another case may have spun on.
        """
        before, self.several = self.several, self.given > 1 and others > SEVERAL
        return before != self.several

    def rounds_ended(self) -> int:
        """Return how many rounds have been timed, those of a block that goes on included."""
        return len(self.rounds_s) + (rounds_ended(self._benchmark) if self._benchmark is not None else 0)

    def facts(self) -> dict[str, Any]:
        """Return the member ``extra_info`` of the case."""
        parts = by_round(self.ready.parts, len(self.rounds_s), self.calls) if self.ready.parts else None
        facts = replace(
            self.contestant.facts(self.case),
            looks_ns=tuple(self.looks_ns),
            look_processors=self.look.processors if self.look else None,
            block_rounds=tuple(self.block_rounds),
            waits_ns=tuple(self.waits_ns),
        )
        return {**facts.as_dict(), **replace(self.ready.beside, parts=parts).as_dict()}


@dataclass
class Turns:
    """The cases of one process and how far they are.

    ``order``: the cases of each turn. ``given``: the threads that the run gives the kernel.
    """

    wanted: Wanted
    order: Sequence[Sequence[Case]]
    given: int
    #: What is looked at beside the rounds.
    behind: Behind
    series: dict[Case, Series] = field(default_factory=dict)
    #: Cases that have no time, because something went wrong.
    failed: set[Case] = field(default_factory=set)
    _last: Series | None = None

    def is_due(self, case: Case, turn: int) -> bool:
        """Return whether a case has something to do in a turn."""
        if case in self.failed:
            return False
        return case not in self.series or self.series[case].due(turn) > 0

    def is_over(self, case: Case) -> bool:
        """Return whether no block of a case is to come."""
        return case in self.failed or (case in self.series and self.series[case].ended)

    def settle(self, case: Case) -> None:
        """Wait until a pool that spins on behind another case is no neighbour of this one, nor taken for its own."""
        before, this = self._last, self.series.get(case)
        if self.given > 1 and (this is None or (before is not None and before.several and not this.several)):
            wait_for_others(SPINS_ON_S)

    def take(self, contestant: Contestant, case: Case, turn: int, benchmark: Callable[[], BenchmarkFixture]) -> None:
        """Do what a case has to do in a turn: in its first, also all that comes before its rounds.

        ``benchmark()`` is asked only where there are rounds to time.
        """
        if case not in self.series:
            self.series[case] = self._begin(contestant, case)
        one = self.series[case]
        if one.due(turn) == 0:
            return
        self._last = one
        fixture = benchmark()
        fixture.group = f"{case.mode}-{case.batch_size}"
        fixture.extra_info.update(mode=case.mode, batch_size=case.batch_size)
        self.behind.all_warm(contestant, self.series.values())
        self.behind.block_begins(case)
        surprised = one.take_block(fixture, turn, self.behind.surprises_of(one))
        self.behind.block_ended(case, fixture)
        if one.ended and not surprised:
            self.behind.rounds_over(one, one.result)

    def refusals(self) -> tuple[Refusal, ...]:
        """Return what speaks against the kernel, when all rounds are over."""
        timed = [one for case, one in self.series.items() if case not in self.failed and one.rounds_s]
        return self.behind.refusals(timed[0].contestant, timed) if timed else ()

    def _begin(self, contestant: Contestant, case: Case) -> Series:
        made: list[Series] = []
        ready = make_ready(
            contestant.kernel,
            case,
            contestant.inputs,
            contestant.book,
            lambda: made[0].rounds_ended() if made else 0,
        )
        several = self.given > 1 and ready.others > SEVERAL
        made.append(Series(contestant, case, self.wanted, self.given, ready, several))
        return made[0]

    def looks(self) -> list[Look]:
        """Return the kinds of looks that were taken, the one of more processors last."""
        found = {one.look.processors: one.look for one in self.series.values() if one.look is not None}
        return [found[processors] for processors in sorted(found)]

    def merged(self, rows: Iterable[dict[str, Any]], refusals: Sequence[Refusal]) -> list[dict[str, Any]]:
        """Return pytest-benchmark's rows of blocks as one for each case, as it would have written it itself.

        Cases have none that are refused for sure.
        """
        found = grouped((Case(row["extra_info"]["mode"], row["extra_info"]["batch_size"]), row) for row in rows)
        sure = [one for one in refusals if not one.by_time]
        lost = {case for case in found if any(one.hits(case.mode, case.batch_size) for one in sure)} | self.failed
        return [_one(blocks, self.series[case]) for case, blocks in found.items() if case not in lost]


def _one(blocks: list[dict[str, Any]], series: Series) -> dict[str, Any]:
    from pytest_benchmark.stats import Stats

    first, stats = blocks[0], Stats()  # type: ignore[no-untyped-call]
    stats.data += [seconds / series.calls for seconds in series.rounds_s]
    as_dict: dict[str, Any] = stats.as_dict()  # type: ignore[no-untyped-call]
    own = f"-{TURN}{first['params']['turn']}"
    return {
        **first,
        "name": first["name"].replace(f"{own}]", "]"),
        "fullname": first["fullname"].replace(f"{own}]", "]"),
        "param": first["param"].removesuffix(own),
        "params": {name: value for name, value in first["params"].items() if name != "turn"},
        "extra_info": series.facts(),
        "stats": {**as_dict, "data": stats.data, "iterations": series.calls},
    }


#: What the name of a block ends with, before the number of its turn.
TURN = "turn"
