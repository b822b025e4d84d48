import math

import pytest

from mlpbench.bench.stats.estimates import Estimate
from mlpbench.bench.trust.rounds import State, state, taken
from support.trusting import Process, rounds, timing

CALL_S = 1e-4


def of(*records, widths=()):
    return state(records, taken(records), widths)


def test_how_busy_a_machine_was():
    calm = Process(timing(*rounds((20, CALL_S, (25, 25)))))
    busy = Process(timing(*rounds((2, CALL_S, (25, 25)), (18, 2 * CALL_S, (25, 50)))))
    widths = [Estimate(1.0, 0.9, 1.1, 3), Estimate(1.0, 0.98, 1.02, 3), Estimate(2.0, 1.9, 2.1, 3)]
    found = of(calm, busy, widths=[*widths, Estimate(1.0, math.nan, math.nan, 1)])
    assert found == State(pytest.approx(0.45), disturbed=1, timings=2, width=pytest.approx(0.05))
    assert of(calm) == State(0.0, 0, 1, None)
    assert of(Process(timing([CALL_S], []))).left_out is None
