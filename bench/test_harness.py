"""The harness times itself: what a call costs, and whether the clock is true. Part of every file that is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlpbench.bench.measure.instruments import KNOWN, time_known

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.parametrize(("what", "length"), KNOWN)
def test_harness(what: str, length: int, benchmark: BenchmarkFixture) -> None:  # noqa: D103 - a test's name is its sentence
    time_known(benchmark, what, length)
