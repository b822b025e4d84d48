"""The book's cell in the clock: it is timed whole, and each part has its own time, of the rounds that are timed."""

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.measure import case
from mlpbench.bench.record import runs
from mlpbench.bench.record.schema import Parts
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import processes
from support.doubles import DisabledBenchmark, FakeBenchmark, RecordingKernel, rows, stopped_clock

SPEC = ForwardSpec((3, 2))


@pytest.fixture
def clock(monkeypatch):
    return stopped_clock(monkeypatch)


class FakeCell:
    """A book's cell whose n-th call, from 0, has parts of n, n + 0.1, n + 0.2 and n + 0.3 seconds."""

    def __init__(self):
        self.sizes = []

    def __call__(self, batch_size):
        parts = tuple(len(self.sizes) + part / 10 for part in range(4))
        self.sizes.append(batch_size)
        return 0, parts


def test_the_books_cell_is_timed_whole():
    benchmark, cell = FakeBenchmark(), FakeCell()
    case.measure(benchmark, None, Case("book", 100), rows(4), book=cell)
    assert cell.sizes == [100] * 4  # the first call, and the three that pytest-benchmark makes
    assert set(benchmark.extra_info) == {"first_call_s", "parts_s"}


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ({}, (1, 2, 3)),
        ({"after": 2}, (1, 2, 3)),
        ({"warming": 4, "after": 1}, (5, 6, 7)),
        ({"warming": 5, "iterations": 2, "after": 1}, (6.5, 8.5, 10.5)),
    ],
    ids=str,
)
def test_the_parts_kept_are_those_of_the_timed_rounds(calls, expected):
    """The first call is number 0, warming comes next, and what follows the rounds is of none."""
    benchmark = FakeBenchmark(**calls)
    case.measure(benchmark, None, Case("book", 100), rows(4), book=FakeCell())
    parts = benchmark.extra_info["parts_s"]
    assert list(parts) == ["load", "initialise", "infer", "count"]
    for number, values in enumerate(parts.values()):
        assert values == pytest.approx([of_round + number / 10 for of_round in expected])


def test_without_a_clock_there_are_no_parts():
    benchmark = DisabledBenchmark()
    case.measure(benchmark, None, Case("book", 100), rows(4), book=FakeCell())
    assert "parts_s" not in benchmark.extra_info


def test_the_book_mode_needs_its_cell():
    with pytest.raises(ValueError, match="BookCell"):
        case.measure(FakeBenchmark(), None, Case("book", 100), rows(4))


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


def call(number):
    return (float(number), 10.0 + number, 20.0 + number, 30.0 + number)


def test_the_calls_of_a_round_are_those_that_began_before_it_ended():
    """Two calls of warming, two rounds of three calls, and one call when both are over."""
    calls = [(ended, call(number)) for number, ended in enumerate([0, 0, 0, 0, 0, 1, 1, 1, 2])]
    assert case.by_round(calls, 2, 3) == Parts((3.0, 6.0), (13.0, 16.0), (23.0, 26.0), (33.0, 36.0))


def test_a_round_without_its_calls_is_a_mistake():
    with pytest.raises(ValueError, match="round 1 has 1 calls, not 2"):
        case.by_round([(0, call(0)), (0, call(1)), (1, call(2))], 2, 2)


def test_the_suite_keeps_the_parts_of_its_own_rounds(tmp_path):
    """The clock of a round stands around those of its parts: no parts are longer than their round."""
    path = tmp_path / "numpy.0.json"
    words = ["--kernel=numpy", "--mode=book", "--batch-size=1000", "--spec=20-10-3", "--benchmark-min-rounds=20"]
    ran = processes.bench("-q", *words, "--benchmark-max-time=0.05", f"--benchmark-json={path}")
    assert ran.returncode == 0, ran.stdout
    (book,) = runs.read(path).cases
    assert len(book.rounds_s) >= 20
    assert book.reads == "random: no file, 10,000 rows made anew"
    assert all(sum(parts) <= whole for whole, *parts in zip(book.rounds_s, *book.parts.seconds.values(), strict=True))
