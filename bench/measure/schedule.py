"""The schedule of a process of a run: cases take turns in short blocks of rounds, with a look at the core between them.

A spell of noise lasts some ten milliseconds or some seconds: of short blocks, it meets all cases and not one of them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mlpbench.bench.cases import CPU, Case
from mlpbench.bench.clock import others_s, own_s, raw_s, wait_for_others
from mlpbench.bench.groups import grouped
from mlpbench.bench.machine import look as look_
from mlpbench.bench.machine.look import Look
from mlpbench.bench.measure.case import Contestant, Prepared, make_ready, round_of
from mlpbench.bench.measure.checks import Checks, Usage, rounds_off, waiting
from mlpbench.bench.record.schema import PARTS, ExtraInfo
from mlpbench.bench.record.trust import Refusal

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

#: How long a block is, and how many a case has at most: of longer measurements, blocks are longer.
BLOCK_S, MOST_TURNS = 0.04, 60
#: Untimed calls before a block, as a share of a round's, bring weights and inputs back into the caches.
WARM_SHARE = 0.25
#: With so much time of other threads for each second of the one that calls, a case is one of several threads. Its
#: rounds are this short: its threads meet only while nobody else has a processor of theirs, just after a look on all.
SEVERAL, ROUND_OF_SEVERAL_S = 0.1, 2e-4
#: What the name of a block ends with, before the number of its turn.
TURN = "turn"


@dataclass(frozen=True)
class Wanted:
    """What is asked of a case: a round's fewest seconds, rounds and seconds in all, and how many threads it may use."""

    round_s: float
    rounds: int
    seconds: float
    threads: int = 1

    @property
    def turns(self) -> int:
        """How many turns there are: one in which all cases are made ready, and those in which they are timed."""
        return 1 + min(MOST_TURNS, max(self.rounds, math.ceil(self.seconds / BLOCK_S)))


@dataclass
class Series:
    """One case in one process, block by block.

    ``call_s``: of its fastest call so far. ``several``: whether it uses several threads, which its first block tells.
    ``rounds_s`` by pytest-benchmark, ``spans_s`` by the hardware's own clock. ``parts_s``: the book's cell's, means of
    the calls of a round. ``looks_ns``: of each block, before each round and after the last.
    """

    contestant: Contestant
    case: Case
    wanted: Wanted
    prepared: Prepared
    call_s: float
    info: ExtraInfo
    several: bool = False
    usage: Usage = field(default_factory=Usage)
    rounds_s: list[float] = field(default_factory=list)
    spans_s: list[float] = field(default_factory=list)
    parts_s: list[tuple[float, ...]] = field(default_factory=list)
    looks_ns: list[list[int]] = field(default_factory=list)
    waits_ns: list[int] = field(default_factory=list)
    result: Any = None
    ended: bool = False

    @property
    def look(self) -> Look | None:
        """The look beside its rounds: on every processor that its threads may use."""
        return look_.everywhere() if self.several else look_.here()

    @property
    def calls(self) -> int:
        """Calls in one round."""
        round_s = min(self.wanted.round_s, ROUND_OF_SEVERAL_S) if self.several else self.wanted.round_s
        return max(1, math.ceil(round_s / self.call_s))

    def due(self, turn: int) -> int:
        """Return how many rounds are to be timed in this turn: those left, spread evenly over the turns left."""
        if turn == 0 or self.ended:
            return 0
        turns, done = self.wanted.turns, len(self.rounds_s)
        mean_s = statistics.fmean(self.rounds_s or [self.call_s * self.calls])
        # Of rounds of mean length, as pytest-benchmark itself decides.
        left = max(0, self.wanted.rounds - done, math.ceil((self.wanted.seconds - sum(self.rounds_s)) / mean_s))
        if turn + 1 >= turns:
            return left
        share = (done + left) * turn / (turns - 1) - done
        # A block has two rounds at least: a case of few long rounds is not due in every turn.
        return math.ceil(share) if share >= min(2, left) else 0

    def take_block(self, benchmark: BenchmarkFixture, turn: int) -> None:
        """Time the rounds that are due in a turn. Where pytest-benchmark is disabled, none is timed."""
        rounds, call = self.due(turn), self.prepared.call
        if self.call_s < 0.005:  # a longer one brings weights and inputs into the caches itself
            for _ in range(math.ceil(WARM_SHARE * self.calls)):
                call()
        is_first, is_last = not self.rounds_s, turn + 1 >= self.wanted.turns
        with waiting(every=self.several) as waited_ns, self.usage.of_block():
            others, own = others_s() - look_.helpers_s(), own_s()
            between = partial(next, self._between(waited_ns))
            self.result = benchmark.pedantic(round_of(call, self.calls), setup=between, rounds=rounds)  # type: ignore[no-untyped-call]
            between()
            others, own = others_s() - look_.helpers_s() - others, own_s() - own
        self.rounds_s += benchmark.stats.stats.data if benchmark.stats is not None else []
        if is_first and not is_last and self.wanted.threads > 1 and not self.several and others > SEVERAL * own:
            self.several = True  # the looks of this block were on one processor: its rounds are not kept
            for of_rounds in (self.rounds_s, self.spans_s, self.parts_s, self.looks_ns, self.waits_ns):
                of_rounds.clear()
            return
        self.ended = not self.rounds_s or is_last or self.due(self.wanted.turns) == 0

    def _between(self, waited_ns: Callable[[], int | None]) -> Iterator[None]:
        """Look before the first round of a block, and after each, and note what the round was like."""
        look, parts = self.look, self.prepared.parts
        parts.clear()
        self.looks_ns += [[look.take()]] if look else []
        while True:
            waited, began_s = waited_ns(), raw_s()
            yield
            self.spans_s.append(raw_s() - began_s)
            if waited is not None and self.contestant.kernel.device == CPU:
                self.waits_ns.append(max(0, (waited_ns() or 0) - waited))
            if parts:
                self.parts_s.append(tuple(map(statistics.fmean, zip(*parts, strict=True))))
                parts.clear()
            if look:
                self.looks_ns[-1].append(look.take())

    def facts(self) -> dict[str, Any]:
        """Return the member ``extra_info`` of the case."""
        return replace(
            self.info,
            looks_ns=tuple(map(tuple, self.looks_ns)),
            look_processors=self.look.processors if self.look else None,
            waits_ns=tuple(self.waits_ns),
            parts_s=dict(zip(PARTS, zip(*self.parts_s, strict=True), strict=False)),
        ).as_dict()

    def row(self, blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return pytest-benchmark's rows of the blocks as one, as it would have written it itself."""
        from pytest_benchmark.stats import Stats

        first, stats = blocks[0], Stats()  # type: ignore[no-untyped-call]
        # Five digits are finer than rounds repeat. What the parts of a round leave of it is a small difference.
        call_s = (seconds / self.calls for seconds in self.rounds_s)
        stats.data += call_s if self.parts_s else (float(f"{seconds:.5g}") for seconds in call_s)
        as_dict: dict[str, Any] = stats.as_dict()  # type: ignore[no-untyped-call]
        own = f"-{TURN}{first['params']['turn']}"
        return {
            **first,
            **{name: "".join(first[name].rsplit(own, 1)) for name in ("name", "fullname", "param")},
            "params": {name: value for name, value in first["params"].items() if name != "turn"},
            "extra_info": self.facts(),
            "stats": {**as_dict, "data": stats.data, "iterations": self.calls},
        }


@dataclass
class Schedule:
    """The cases of one process and how far they are; ``order``: those of each turn; ``failed``: without a time."""

    wanted: Wanted
    order: Sequence[Sequence[Case]]
    series: dict[Case, Series] = field(default_factory=dict)
    failed: set[Case] = field(default_factory=set)
    _checks: Checks | None = None
    _last: Series | None = None

    def is_due(self, case: Case, turn: int) -> bool:
        """Return whether a case has something to do in a turn."""
        return case not in self.failed and (case not in self.series or self.series[case].due(turn) > 0)

    def settle(self, case: Case) -> None:
        """Wait until a pool that spins on behind another case is no neighbour of this one, nor taken for its own."""
        before, this = self._last, self.series.get(case)
        if self.wanted.threads == 1 or (this is not None and this.several):
            return
        if this is None or not this.rounds_s or (before is not None and before.several):
            wait_for_others(0.3)  # a pool of threads gives up spinning within that time

    def take(self, contestant: Contestant, case: Case, turn: int, benchmark: Callable[[], BenchmarkFixture]) -> None:
        """Make a case ready in its first turn, and time its rounds in others: only then is ``benchmark()`` asked."""
        if case not in self.series:
            self.series[case] = Series(contestant, case, self.wanted, *make_ready(contestant, case))
        series = self.series[case]
        if series.due(turn) == 0:
            return
        self._last, fixture = series, benchmark()
        fixture.group = f"{case.mode}-{case.batch_size}"
        fixture.extra_info.update(mode=case.mode, batch_size=case.batch_size)
        series.take_block(fixture, turn)
        if self._checks is None:
            self._checks = Checks(contestant.kernel, contestant.workload.params, contestant.inputs)
        if series.ended and series.rounds_s and series.prepared.batches:
            self._checks.keep(case, series.prepared, series.result)

    def refusals(self, fail: Callable[[Case, str, str], None], audits: Iterable[Any] = ()) -> tuple[Refusal, ...]:
        """Return what speaks against the kernel, when all rounds are over. ``fail`` notes a case that ends by then."""
        if self._checks is None:
            return ()
        timed = {case: one for case, one in self.series.items() if case not in self.failed and one.rounds_s}
        refusals = []
        for case, series in timed.items():
            timer, threads = rounds_off(series.rounds_s, series.spans_s), series.usage.too_many(self.wanted.threads)
            refusals += [Refusal.of(case, "timer", timer)] if timer else []
            refusals += [Refusal.of(case, "threads", threads)] if threads else []
            try:
                self._checks.examine(case, series.prepared)
                for audit in audits if series.prepared.batches else ():
                    refusals += audit.of_case(self._checks.calls(case, series.prepared))
            except Exception as error:  # noqa: BLE001 - whatever a kernel raises ends one case, and the others go on
                fail(case, "measure", f"{type(error).__name__}: {error}")
        return (*refusals, *self._checks.refusals)

    def merged(self, rows: Iterable[dict[str, Any]], refusals: Sequence[Refusal]) -> list[dict[str, Any]]:
        """Return pytest-benchmark's rows of blocks as one for each case. Cases have none that are refused for sure."""
        of_case = grouped((Case(row["extra_info"]["mode"], row["extra_info"]["batch_size"]), row) for row in rows)
        sure = [refusal for refusal in refusals if not refusal.by_time]
        lost = {case for case in of_case if any(refusal.hits(case.mode, case.batch_size) for refusal in sure)}
        return [self.series[case].row(blocks) for case, blocks in of_case.items() if case not in lost | self.failed]
