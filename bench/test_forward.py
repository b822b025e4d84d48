"""The suite: every case of every kernel, each behind the gate, and the harness itself.

`mlpbench run` starts it, or `pytest bench/`.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mlpbench.bench.cases import Case
from mlpbench.bench.measure.case import measure
from mlpbench.bench.measure.instruments import KNOWN, time_known
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.measure.turns import Turns


def test_forward(
    contestant: Contestant, case: Case, turns: Turns | None, turn: int | None, request: pytest.FixtureRequest
) -> None:
    def clock() -> BenchmarkFixture:  # pytest-benchmark warns of a test that asks for it and has no rounds
        found: BenchmarkFixture = request.getfixturevalue("benchmark")
        return found

    if turns is not None and turn is not None:
        turns.take(contestant, case, turn, clock)
        return
    benchmark = clock()
    benchmark.group = f"{case.mode}-{case.batch_size}"
    benchmark.extra_info.update(contestant.facts(case).as_dict())
    measure(benchmark, contestant.kernel, case, contestant.inputs, contestant.book)


@pytest.mark.parametrize("what", KNOWN)
def test_harness(what: str, benchmark: BenchmarkFixture) -> None:
    time_known(benchmark, what)
