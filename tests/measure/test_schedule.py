"""The schedule: which rounds are timed when, what stands between them, and the row that a case's blocks become."""

import itertools
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.machine.look import Look
from mlpbench.bench.measure import case as case_
from mlpbench.bench.measure import schedule
from mlpbench.bench.measure.checks import waiting
from mlpbench.bench.measure.schedule import Schedule, Series, Wanted
from mlpbench.bench.record.schema import ExtraInfo
from mlpbench.bench.record.trust import Refusal
from mlpbench.bench.record.write import as_bytes
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.doubles import FakeBenchmark, RecordingKernel, rows

SPEC = ForwardSpec((3, 2))
ONE, TWO = Case("batched", 1), Case("batched", 2)


def facts(case):
    return ExtraInfo(mode=case.mode, batch_size=case.batch_size, rows_per_call=case.batch_size)


class Kept:
    """In the place of `Checks`: notes which results it could check."""

    def __init__(self, kernel, params, x):
        self.results, self.refusals = [], []

    def keep(self, case, prepared, result):
        self.results.append((case, int(result[0, 0])))

    def examine(self, case, prepared):
        self.refusals.append(Refusal.of(case, "values", "as the last"))

    def calls(self, case, prepared):
        return case


@pytest.fixture
def take(clock, monkeypatch):
    """Return a maker of turns over kernels whose calls take so long; it times them all, and returns what happened."""
    looks = itertools.count(1)
    monkeypatch.setattr(schedule.look_, "here", lambda: Look("fake", 1, lambda: next(looks)))
    monkeypatch.setattr(schedule.look_, "everywhere", lambda: Look("fake", 2, lambda: next(looks)))
    monkeypatch.setattr(schedule, "Checks", Kept)
    monkeypatch.setattr(schedule, "wait_for_others", lambda limit_s: None)
    used = SimpleNamespace(own=0.0, others=0.0)
    monkeypatch.setattr(schedule, "own_s", lambda: used.own)
    monkeypatch.setattr(schedule, "others_s", lambda: used.others)

    def run(seconds, wanted, several=()):
        """``several``: cases of several threads."""

        class Timed(RecordingKernel):
            def forward(self, x):
                clock.now += seconds[len(x)]
                used.own += seconds[len(x)]
                used.others += seconds[len(x)] * (Case("batched", len(x)) in several)
                return super().forward(x)

        kernel = Timed(SPEC, seeded(SPEC))
        workload = SimpleNamespace(params=None)
        contestant = SimpleNamespace(kernel=kernel, inputs=rows(4), facts=facts, workload=workload)
        cases = [Case("batched", size) for size in seconds]
        made = Schedule(replace(wanted, threads=2), [cases] * wanted.turns)
        blocks = []

        def benchmark(turn, case):
            blocks.append((turn, case.batch_size, FakeBenchmark(kernel, now=clock)))
            return blocks[-1][-1]

        for turn, case in itertools.product(range(wanted.turns), cases):
            if made.is_due(case, turn):
                made.take(contestant, case, turn, partial(benchmark, turn, case))
        return made, blocks

    return run


def rounds_of(blocks, case):
    """Return how many rounds each block of a case has."""
    return [len(fixture.stats.stats.data) for _, size, fixture in blocks if size == case.batch_size]


def forwards(series):
    return [event for event in series.contestant.kernel.events if event[0] == "forward"]


def test_cases_take_turns_in_blocks_of_forty_milliseconds(take):
    made, blocks = take({1: 1e-5, 2: 3e-4}, Wanted(0.001, 3, 0.2))
    assert [(turn, size) for turn, size, _ in blocks] == [(turn, size) for turn in range(1, 6) for size in (1, 2)]
    assert all(0.035 < sum(fixture.stats.stats.data) < 0.045 for _, _, fixture in blocks)
    for series in made.series.values():
        assert 0.2 <= sum(series.rounds_s) < 0.207
        assert series.ended
    assert [case for case, _ in made._checks.results] == [ONE, TWO]
    assert made._checks.results[1][1] == -forwards(made.series[TWO])[-1][1], "the last timed result is kept"
    audit = SimpleNamespace(of_case=lambda case: [Refusal.of(case, "memory", "too fast")])
    made.failed.add(TWO)
    lost = []
    asked = (lambda *what: lost.append(what)), [audit]
    assert {(one.check, one.batch_size) for one in made.refusals(*asked)} >= {("memory", 1), ("values", 1)}
    assert not any(one.batch_size == 2 for one in made.refusals(*asked)), "it failed"
    assert not made.is_due(TWO, 0)
    audit.of_case = Mock(side_effect=MemoryError("Out of memory"))
    assert made.refusals(*asked), "what was found before stays"
    assert lost == [(ONE, "measure", "MemoryError: Out of memory")]


def test_a_round_is_as_many_calls_as_fill_it_and_before_a_block_inputs_come_back_into_the_caches_untimed(take):
    made, blocks = take({1: 1e-4, 2: 2e-3}, Wanted(0.001, 3, 0.05))
    series, rounds = made.series[ONE], rounds_of(blocks, ONE)
    assert series.calls == pytest.approx(10, abs=1)
    assert made.series[TWO].calls == 1
    assert np.median(series.rounds_s) == pytest.approx(1e-3, rel=0.1)
    warm = len(rounds) * int(np.ceil(schedule.WARM_SHARE * series.calls)) + 1 + 1 + case_.WARM_S / 1e-4
    calls = [event for event in forwards(series) if len(event) == 2]
    assert len(calls) == pytest.approx(sum(rounds) * series.calls + warm, abs=12)


def test_looks_are_taken_where_threads_work_and_the_first_block_says_where_that_is(take):
    """The rounds of several threads are made again, beside looks on all processors."""
    made, blocks = take({1: 1e-3, 2: 1e-3}, Wanted(0.001, 3, 0.2), several=[TWO])
    assert [made.series[case].facts()["look_processors"] for case in (ONE, TWO)] == [1, 2]
    for case, dropped in ((ONE, 0), (TWO, rounds_of(blocks, TWO)[0])):
        series = made.series[case]
        assert sum(rounds_of(blocks, case)) == len(series.rounds_s) + dropped
        assert len(series.rounds_s) == len(series.spans_s) == sum(len(block) - 1 for block in series.looks_ns) == 200
    made, blocks = take({1: 1.0}, Wanted(0.001, 1, 0.001), several=[ONE])
    assert len(blocks) == len(made.series[ONE].rounds_s) == 1, "one block is all there is, wherever its looks were"


def test_long_calls_are_spread_over_the_turns_and_never_made_more_often_than_is_asked(take):
    made, blocks = take({2: 0.05, 1: 1e-4}, Wanted(0.001, 10, 0.6))
    long = [turn for turn, size, _ in blocks if size == 2]
    rounds = rounds_of(blocks, TWO)
    assert sum(rounds) == 12
    assert set(rounds[:-1]) <= {2, 3}
    assert all(1 < b - a < 5 for a, b in itertools.pairwise(long[:-1])), "two rounds are due in every third turn or so"
    assert made.series[TWO].ended
    made, blocks = take({1: 1.0}, Wanted(0.001, 5, 0.15))
    assert sum(rounds_of(blocks, ONE)) == 5
    assert len(forwards(made.series[ONE])) == 3 + 5, "first call, one whose result is moved, one to warm"
    # Many rounds make longer blocks, and not more turns. In one turn more, the first, cases are made ready.
    assert (Wanted(0.001, 10, 0.6).turns, Wanted(0.001, 20, 0.3).turns) == (1 + 15, 1 + 20)
    assert Wanted(0.001, 10, 60.0).turns == Wanted(0.001, 5000, 0.1).turns == 1 + schedule.MOST_TURNS


def test_each_round_has_the_looks_around_it_its_waits_and_its_time_on_the_raw_clock(take, monkeypatch):
    made, blocks = take({1: 1e-3}, Wanted(0.001, 3, 0.02))
    series, rounds = made.series[ONE], rounds_of(blocks, ONE)
    firsts = np.cumsum([0, *(n + 1 for n in rounds)])
    facts = series.facts()
    assert [tuple(block) for block in facts["looks_ns"]] == [
        tuple(range(first + 1, first + n + 2)) for first, n in zip(firsts, rounds, strict=False)
    ]
    with waiting(every=False) as waited_ns:
        assert len(facts.get("waits_ns", ())) == (0 if waited_ns() is None else sum(rounds))
    assert min(series.waits_ns, default=0) >= 0
    assert len(series.spans_s) == sum(rounds)
    monkeypatch.setattr(schedule.look_, "here", lambda: None)
    made, _ = take({1: 1e-3}, Wanted(0.001, 3, 0.02))
    assert len(made.series[ONE].rounds_s) == 20, "where there are no looks it has its rounds"
    assert "looks_ns" not in made.series[ONE].facts()


def test_a_round_and_its_looks_take_few_bytes_of_a_file_and_keep_five_digits(take):
    series = take({1: 1.23456789e-3}, Wanted(0.001, 3, 0.6))[0].series[ONE]
    written = series.row([row(ONE, 1)])
    data, looks = written["stats"]["data"], written["extra_info"]["looks_ns"]
    assert data == pytest.approx(series.rounds_s, rel=5e-5)
    looks = [[20_000 + look for look in block] for block in looks]
    assert len(as_bytes({"data": data, "looks_ns": looks})) < 20 * len(data)


def test_the_parts_of_a_round_are_the_means_of_its_calls(clock, monkeypatch):
    """The first call is of no round, nor are those that warm before a block."""
    made = []

    def book(*_):
        clock.now += 1e-3
        made.append(tuple(len(made) + part / 10 for part in range(4)))
        return 0, made[-1]

    contestant = SimpleNamespace(kernel=RecordingKernel(SPEC, seeded(SPEC)), facts=facts, workload=None)
    monkeypatch.setattr(case_, "book", book)
    whole = Case("book", 100)
    series = Series(contestant, whole, Wanted(0.002, 3, 0.001), *case_.make_ready(contestant, whole))
    series.take_block(FakeBenchmark(now=clock), series.wanted.turns - 1)
    assert (series.calls, len(series.rounds_s)) == (2, 3)
    means = np.mean(np.reshape(made[-6:], (3, 2, 4)), axis=1)
    assert list(series.facts()["parts_s"]) == ["load", "initialise", "infer", "count"]
    assert np.transpose(list(series.facts()["parts_s"].values())) == pytest.approx(means)


def row(case, turn, *seconds):
    label = f"numpy-{case.mode}-{case.batch_size}"
    return {
        "name": f"test_forward[{label}-turn{turn}]",
        "fullname": f"bench/test_forward.py::test_forward[{label}-turn{turn}]",
        "param": f"{label}-turn{turn}",
        "params": {"kernel": "numpy", "mode": case.mode, "batch_size": case.batch_size, "turn": turn},
        "extra_info": {"mode": case.mode, "batch_size": case.batch_size},
        "stats": {"data": list(seconds), "iterations": 1, "rounds": len(seconds)},
    }


def test_the_blocks_of_a_case_become_the_row_that_pytest_benchmark_would_write(monkeypatch):
    monkeypatch.setattr(Series, "facts", lambda _: {"kernel": "numpy"})
    series = Series(None, ONE, Wanted(1.0, 3, 1.0), None, 0.1, None, rounds_s=[1.0, 2.0, 3.0])
    made = Schedule(Wanted(0.001, 3, 0.02), [], {ONE: series, TWO: series})
    rows_of_blocks = [row(ONE, 0, 1.0, 2.0), row(TWO, 0, 9.0), row(ONE, 11, 3.0)]
    for check, cases in (("values", 1), ("timer", 2)):  # what rests on a time is not decided by one process
        assert len(made.merged(rows_of_blocks, [Refusal.of(TWO, check, "")])) == cases
        assert len(made.merged(rows_of_blocks, [Refusal.of(None, check, "")])) == 2 * (cases - 1)
    made.failed.add(TWO)
    (one,) = made.merged(rows_of_blocks, [])
    assert one["name"] == one["fullname"].rpartition("::")[2] == "test_forward[numpy-batched-1]"
    assert one["param"] == "numpy-batched-1"
    assert one["params"] == {"kernel": "numpy", "mode": "batched", "batch_size": 1}
    assert one["extra_info"] == {"kernel": "numpy"}
    stats = one["stats"]
    assert stats["data"] == [0.1, 0.2, 0.3]
    assert (stats["iterations"], stats["rounds"], stats["median"], stats["max"]) == (10, 3, 0.2, 0.3)
    assert stats["ops"] == pytest.approx(5)
