"""The suite: every case of every kernel, each behind the gate.

`mlpbench run` starts it, or `pytest bench/`.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mlpbench.bench.cases import Case
from mlpbench.bench.measure.case import Contestant, measure
from mlpbench.bench.measure.plugin import suite


def test_forward(contestant: Contestant, case: Case, turn: int, request: pytest.FixtureRequest) -> None:
    def clock() -> BenchmarkFixture:  # pytest-benchmark warns of a test that asks for it and has no rounds
        benchmark: BenchmarkFixture = request.getfixturevalue("benchmark")
        return benchmark

    schedule = suite(request.config).schedule
    if schedule is None:
        measure(clock(), contestant, case)
    else:
        schedule.take(contestant, case, turn, clock)
