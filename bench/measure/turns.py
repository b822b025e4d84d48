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
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import processor_s, raw_s, wait_for_others
from mlpbench.bench.groups import grouped
from mlpbench.bench.machine import look as look_
from mlpbench.bench.machine.look import Look
from mlpbench.bench.measure import watch
from mlpbench.bench.measure.behind import Behind, Surprises, is_refused
from mlpbench.bench.measure.case import Prepared, Ready, by_round, make_ready, round_of, rounds_ended
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.measure.witness import RawClock
from mlpbench.bench.record.trust import Refusal

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

#: How long a block is, and how many a case has at most: of longer measurements, blocks are longer. With several
#: threads small batches wait until a pool stops spinning behind a large one: less often in longer blocks.
BLOCK_S, BLOCK_OF_SEVERAL_S, MOST_TURNS = 0.03, 0.06, 60
#: A block has so many rounds at least: a case of few long rounds is not due in every turn.
FEWEST_ROUNDS = 2
#: Untimed calls before a block, as a share of a round's, bring weights and inputs back into the caches. A call as long
#: as this brings them itself.
WARM_SHARE, WARM_UP_TO_S = 0.25, 0.005
#: With so much time of other threads for each second of the one that calls, a case is one of several threads.
SEVERAL = 0.1
#: Where this process waits for a processor for such a share of its time, a round of several threads is this short. Its
#: threads meet only while nobody else has a processor of theirs, which is just after a look on all of them; a round of
#: five calls was undisturbed once in twenty, of one call three times in four.
WAITS, BUSY_ROUND_S = 0.1, 1e-4
#: Such a case has so many rounds in a block at least, since threads that sleep come late for the first. It goes on for
#: so many times as long as is asked, since rounds that wait take that time; and it has so many rounds at most.
BUSY_ROUNDS, BUSY_PATIENCE, MOST_BUSY_ROUNDS = 8, 3, 500
#: Of one thread's rounds of 2 ms, half are interrupted at a load of 11. A case has so many there at least, as far as
#: they fit into the patience: of ten, too few are left quiet in every third process.
FEWEST_BUSY_ROUNDS = 25
#: A pool of threads gives up spinning within that time.
SPINS_ON_S = 0.3


@dataclass(frozen=True)
class Wanted:
    """What pytest-benchmark's options ask of a case: a round's fewest seconds, rounds in all, and seconds in all.

    ``block_s``: how long a block is to be.
    """

    round_s: float
    rounds: int
    seconds: float
    block_s: float = BLOCK_S

    @property
    def turns(self) -> int:
        """How many turns there are: one in which all cases are made ready, and those in which they are timed."""
        return 1 + min(MOST_TURNS, max(self.rounds, math.ceil(self.seconds / self.block_s)))


@dataclass
class Waits:
    """How long a thread waited for a processor in each round, while its process did nothing.

    ``read`` tells how long it has waited so far, in nanoseconds; None where that is not known, or does not tell: of
    several threads. What other threads of the process do meanwhile is no waiting.
    """

    read: Callable[[], int] | None
    found_ns: list[int] = field(default_factory=list)
    _began: tuple[int, float] = (0, 0.0)

    def round_begins(self) -> None:
        """Look, before a round."""
        if self.read is not None:
            self._began = self.read(), raw_s() - processor_s()

    def round_ended(self) -> None:
        """Look again behind it; before the first round there is nothing to be found."""
        if self.read is not None:
            waited, idle_s = self.read() - self._began[0], raw_s() - processor_s() - self._began[1]
            self.found_ns.append(max(0, min(waited, round(1e9 * idle_s))))


@dataclass
class Series:
    """One case in one process. Its rounds grow block by block."""

    contestant: Contestant
    case: Case
    wanted: Wanted
    ready: Ready
    look: Look | None
    #: Calls in one round.
    calls: int
    #: Whether this process waits for processors.
    waits: bool = False
    rounds_s: list[float] = field(default_factory=list)
    looks_ns: list[tuple[int, int]] = field(default_factory=list)
    waits_ns: list[int] = field(default_factory=list)
    block_rounds: list[int] = field(default_factory=list)
    #: What the last timed call returned.
    result: Any = None
    ended: bool = False

    @property
    def several(self) -> bool:
        """Whether it uses several threads."""
        return self.ready.others > SEVERAL

    @property
    def busy(self) -> bool:
        """Whether it has several threads, on a machine where they wait for processors."""
        return self.waits and self.several

    def due(self, turn: int) -> int:
        """Return how many rounds are to be timed in this turn: those left, spread evenly over the turns left."""
        if turn == 0:
            return 0
        done, turns, left = len(self.rounds_s), self.wanted.turns, self._left()
        if self.ended or left <= 0 or turn + 1 >= turns:
            return 0 if self.ended else max(left, 0)
        share = (done + left) * turn / (turns - 1) - done
        if self.busy:
            return min(left, max(math.ceil(share), BUSY_ROUNDS))
        return math.ceil(share) if share >= min(FEWEST_ROUNDS, left) else 0

    def progress(self, turn: int) -> float:
        """Return how far the case is, from 0 to 1: rounds that take longer than was thought end it before its turns."""
        done = len(self.rounds_s)
        return max(turn / (self.wanted.turns - 1), done / max(1, done + self._left()))

    def _left(self) -> int:
        """Return how many rounds are left, as far as can be told."""
        done = len(self.rounds_s)
        mean_s = statistics.fmean(self.rounds_s) if done else self.ready.call_s * self.calls
        # Of rounds of mean length, as pytest-benchmark itself decides.
        within, patient = (
            math.ceil((seconds - sum(self.rounds_s)) / mean_s)
            for seconds in (self.wanted.seconds, BUSY_PATIENCE * self.wanted.seconds)
        )
        left = max(self.wanted.rounds - done, within)
        if self.busy:
            left = min(max(self.wanted.rounds - done, patient), MOST_BUSY_ROUNDS - done)
        elif self.waits:
            left = max(left, min(FEWEST_BUSY_ROUNDS - done, patient))
        return left

    @property
    def prepared(self) -> Prepared | None:
        """The inputs, None for the book's cell."""
        return self.ready.prepared

    def take_block(
        self, benchmark: BenchmarkFixture, turn: int, raw: RawClock, surprises: Surprises | None = None
    ) -> bool:
        """Time the rounds that are due, with a look before and after each; the ``raw`` clock runs around them.

        Return whether the last of them was a surprise.
        """
        rounds, call, looks = self.due(turn), self.ready.call, list[int]()
        if self.ready.call_s < WARM_UP_TO_S:
            for _ in range(math.ceil(WARM_SHARE * self.calls)):
                call()

        alone = not self.several and self.contestant.kernel.device == "cpu"
        waits = Waits(watch.waiting() if alone else None)
        to_come = rounds if surprises is not None and surprises.is_due(self.progress(turn)) else -1

        def look() -> None:
            raw.round_ended()
            waits.round_ended()
            nonlocal to_come
            to_come -= 1
            if to_come == 0 and surprises is not None:
                surprises.begin(call)
            if self.look is not None:
                looks.append(self.look.take())
            waits.round_begins()
            raw.round_begins()

        self._benchmark = benchmark
        self.result = benchmark.pedantic(round_of(call, self.calls), setup=look, rounds=rounds)  # type: ignore[no-untyped-call]
        look()
        raw.stop()
        if benchmark.stats is None:  # pytest-benchmark is disabled: nothing was timed
            self.ended = True
            return False
        its_s = list(benchmark.stats.stats.data)
        self.rounds_s += its_s
        self._benchmark = None
        self.looks_ns += itertools.pairwise(looks)
        self.waits_ns += waits.found_ns[1:]
        self.block_rounds.append(rounds)
        self.ended = self.due(self.wanted.turns) == 0 or turn + 1 >= self.wanted.turns
        if surprises is None:
            return False
        waited_ns = waits.found_ns[1:] or [0] * rounds
        worked_s = [one - ns / 1e9 for one, ns in zip(its_s, waited_ns, strict=True)]
        return surprises.end(worked_s, self.result, at_last=self.ended)

    _benchmark: BenchmarkFixture | None = None

    def rounds_ended(self) -> int:
        """Return how many rounds have been timed, those of a block that goes on included."""
        return len(self.rounds_s) + (rounds_ended(self._benchmark) if self._benchmark is not None else 0)

    def facts(self) -> dict[str, Any]:
        """Return the member ``extra_info`` of the case."""
        parts = by_round(self.ready.parts, len(self.rounds_s), self.calls) if self.ready.parts else None
        found = replace(
            self.contestant.facts(self.case),
            looks_ns=tuple(self.looks_ns),
            look_processors=self.look.processors if self.look else None,
            block_rounds=tuple(self.block_rounds),
            waits_ns=tuple(self.waits_ns),
        )
        return {**found.as_dict(), **replace(self.ready.beside, parts=parts).as_dict()}


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
        surprised = one.take_block(fixture, turn, self.behind.clock_of(case), self.behind.surprises_of(one))
        self.behind.block_ended(case, fixture)
        if one.ended and not surprised:
            self.behind.rounds_over(one, one.result)

    def verdict(self) -> dict[str, Any]:
        """Return what the checks behind the clock say, as members of the block "trust": when all rounds are over."""
        timed = [one for case, one in self.series.items() if case not in self.failed]
        return self.behind.verdict(timed[0].contestant, timed) if timed else {}

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
        look = look_.everywhere() if several else look_.here()
        waits = watch.waited_share() > WAITS
        calls = max(1, math.ceil((BUSY_ROUND_S if waits and several else self.wanted.round_s) / ready.call_s))
        made.append(Series(contestant, case, self.wanted, ready, look, calls, waits))
        return made[0]

    def looks(self) -> list[Look]:
        """Return the kinds of looks that were taken, the one of more processors last."""
        found = {one.look.processors: one.look for one in self.series.values() if one.look is not None}
        return [found[processors] for processors in sorted(found)]

    def merged(self, rows: Iterable[dict[str, Any]], refusals: Sequence[Refusal]) -> list[dict[str, Any]]:
        """Return pytest-benchmark's rows of blocks as one for each case, as it would have written it itself.

        Cases that are refused have none.
        """
        found = grouped((Case(row["extra_info"]["mode"], row["extra_info"]["batch_size"]), row) for row in rows)
        lost = {case for case in found if is_refused(refusals, case.mode, case.batch_size)} | self.failed
        return [_one(blocks, self.series[case]) for case, blocks in found.items() if case not in lost]


def _one(blocks: list[dict[str, Any]], series: Series) -> dict[str, Any]:
    from pytest_benchmark.stats import Stats

    first, stats = blocks[0], Stats()  # type: ignore[no-untyped-call]
    stats.data += [seconds / series.calls for block in blocks for seconds in block["stats"]["data"]]
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
