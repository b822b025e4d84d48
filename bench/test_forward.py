"""The suite: every case of every kernel, each behind the gate.

`mlpbench run` starts it, or `pytest bench/`.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mlpbench.bench.cases import Case
from mlpbench.bench.measure.case import measure
from mlpbench.bench.measure.schedule import Schedule
from mlpbench.bench.measure.session import Contestant


def test_forward(
    contestant: Contestant, case: Case, schedule: Schedule | None, turn: int | None, request: pytest.FixtureRequest
) -> None:
    def clock() -> BenchmarkFixture:  # pytest-benchmark warns of a test that asks for it and has no rounds
        found: BenchmarkFixture = request.getfixturevalue("benchmark")
        return found

    if schedule is not None and turn is not None:
        schedule.take(contestant, case, turn, clock)
        return
    benchmark = clock()
    benchmark.group = f"{case.mode}-{case.batch_size}"
    benchmark.extra_info.update(contestant.facts(case).as_dict())
    measure(benchmark, contestant.kernel, case, contestant.inputs, contestant.book)
