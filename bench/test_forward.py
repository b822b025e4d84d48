"""The suite: every case of every kernel, each behind the gate. `mlpbench run` starts it, or `pytest bench/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpbench.bench.measure.case import measure

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from mlpbench.bench.cases import Case
    from mlpbench.bench.measure.session import Contestant


def test_forward(contestant: Contestant, case: Case, benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"{case.mode}-{case.batch_size}"
    benchmark.extra_info.update(contestant.facts(case))
    measure(benchmark, contestant.kernel, case, contestant.inputs, contestant.book)
