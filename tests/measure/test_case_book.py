"""The book's cell in the clock: it is timed whole, and each part has its own time, of the rounds that are timed."""

from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.measure import case
from mlpbench.bench.measure.schedule import Series, Wanted
from mlpbench.bench.record.schema import ExtraInfo
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.doubles import FakeBenchmark, RecordingKernel, rows, stopped_clock

SPEC = ForwardSpec((3, 2))


@pytest.fixture
def clock(monkeypatch):
    return stopped_clock(monkeypatch)


def test_the_books_cell_is_timed_whole():
    benchmark, sizes = FakeBenchmark(), []
    case.measure(benchmark, None, Case("book", 100), rows(4), book=lambda size: (sizes.append(size), ()))
    assert sizes == [100] * 4  # the first call, and the three that pytest-benchmark makes
    assert set(benchmark.extra_info) == {"first_call_s"}


def test_the_parts_of_a_round_are_the_means_of_its_calls(clock, monkeypatch):
    """The first call is of no round, nor are those that warm before a block."""
    made = []

    def cell(_):
        clock.now += 1e-3
        made.append(tuple(len(made) + part / 10 for part in range(4)))
        return 0, made[-1]

    facts = ExtraInfo(mode="book", batch_size=100, rows_per_call=100)
    contestant = SimpleNamespace(kernel=RecordingKernel(SPEC, seeded(SPEC)), inputs=rows(4), book=cell)
    contestant.facts = lambda case: facts
    series = Series(contestant, Case("book", 100), Wanted(0.002, 3, 0.001), given=1)
    series.take_block(FakeBenchmark(now=clock), series.wanted.turns - 1)
    assert (series.calls, len(series.rounds_s)) == (2, 3)
    means = np.mean(np.reshape(made[-6:], (3, 2, 4)), axis=1)
    assert list(series.facts()["parts_s"]) == ["load", "initialise", "infer", "count"]
    assert np.transpose(list(series.facts()["parts_s"].values())) == pytest.approx(means)


@pytest.mark.parametrize(("batch_size", "calls"), [(1, ["forward_one"] * 5), (2, ["forward"] * 3)])
def test_the_books_cell_loads_everything_again_and_counts_the_hits(batch_size, calls):
    made, loaded = [], []

    def load():
        loaded.append(rows(5))
        # Every row's result is a tie, so that class 0 wins; three of five labels are 0.
        return loaded[-1], np.array([0, 1, 0, 1, 0])

    def initialise():
        made.append(RecordingKernel(SPEC, seeded(SPEC)))
        return made[-1]

    cell = case.BookCell(load, initialise)
    assert [cell(batch_size)[0], cell(batch_size)[0]] == [3, 3]
    assert len(loaded) == len(made) == 2
    for kernel in made:
        assert [name for name, *_ in kernel.events if name.startswith("forward")] == calls


@pytest.mark.parametrize(("batch_size", "infer"), [(1, 5 * 0.5), (2, 3 * 0.25)])
def test_each_part_of_the_books_cell_has_its_own_time(clock, batch_size, infer):
    class Slow(RecordingKernel):
        def forward_one(self, x):
            clock.now += 0.5
            return super().forward_one(x)

        def forward(self, x):
            clock.now += 0.25
            return super().forward(x)

    class Labels:
        """Comparing with them takes 4 s."""

        __array_ufunc__ = None

        def __eq__(self, winners):
            clock.now += 4.0
            return np.array([True])

        __hash__ = None

    def load():
        clock.now += 3.0
        return rows(5), Labels()

    def initialise():
        clock.now += 2.0
        return Slow(SPEC, seeded(SPEC))

    _, parts = case.BookCell(load, initialise)(batch_size)
    assert parts == pytest.approx((3.0, 2.0, infer, 4.0), abs=1e-4)
