"""What the script that measures verdicts makes of repeats, on simulated times with known truth; and what it times."""

import calibrate
import numpy as np
import pytest

from mlpbench.kernels import conformance
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec

CASES = [("per_sample", 100), ("batched", 10), ("batched", 100)]


def simulated(repeats, sd, load=0.0, twins=4):
    """Times of equal kernels and of slowed ones; with ``load``, every repeat has one of its own for all."""
    rng = np.random.default_rng(0)
    shared = np.exp(rng.normal(0, load, repeats))

    def times(factor):
        rows = {case: factor * shared * np.exp(rng.normal(0, sd, repeats)) for case in CASES}
        return {case: dict(enumerate(map(float, row))) for case, row in rows.items()}

    return [times(1.0) for _ in range(twins)], {share: times(1 + share) for share in (0.02, 0.1)}


def test_quiet_repeats_find_what_is_planted_and_call_no_equal_kernels_different():
    for paired, equal in ((True, 2 * 6 * 3), (False, 16 * 3)):
        found = calibrate.evaluate(*simulated(45, 0.005), paired=paired)
        assert found[0.0] == (0, equal), "two blocks of 20, the last five repeats left out"
        hits, cases = found[0.1]
        assert hits == cases == (24 if paired else 12)
        assert found[0.02][0] < 0.3 * cases, "below the threshold it must not be found"


def test_a_load_that_kernels_of_a_run_share_hides_a_slowdown_between_runs_alone():
    times = simulated(45, 0.005, load=0.2)
    for paired, least, most in ((True, 1.0, 1.0), (False, 0.0, 0.5)):
        hits, cases = calibrate.evaluate(*times, paired=paired)[0.1]
        assert least <= hits / cases <= most


def test_different_twins_are_counted_and_a_block_alone_is_no_second_run():
    same, slowed = simulated(15, 0.005)
    same[0] = {case: {n: 1.3 * value for n, value in times.items()} for case, times in same[0].items()}
    assert calibrate.evaluate(same, slowed, paired=True)[0.0] == (3 * 3, 6 * 3)
    assert calibrate.evaluate(same, slowed, paired=False)[0.0] == (0, 0)
    assert calibrate.rate(0, 0) == "not measured"
    assert calibrate.rate(1, 20) == "5.0 % (0.1 to 24.9) of 20"  # as scipy.stats.binomtest has it
    assert calibrate.rate(20, 20) == "100.0 % (83.2 to 100.0) of 20"


@pytest.mark.parametrize("name", ["same_a", "slower_10"])
@pytest.mark.parametrize("mode", ["forward", "forward_one"])
def test_a_call_is_slower_by_its_share_of_just_this_call(monkeypatch, name, mode):
    spec, now, kernel_class = ForwardSpec((20, 10, 3)), [0], getattr(calibrate, name)
    assert conformance.check(kernel_class, spec).max_error < 1e-5

    def look():
        now[0] += 40
        return now[0]

    class Base:
        def __init__(self, *_):
            pass

        def forward(self, x):
            now[0] += 10_000
            return x

        forward_one = forward

    monkeypatch.setattr(calibrate, "perf_counter_ns", look)
    monkeypatch.setattr(calibrate.registry, "load", lambda _: Base)
    kernel = kernel_class(spec, seeded(spec, 0))
    began = now[0]
    getattr(kernel, mode)(np.ones(20, np.float32))
    same = 10_000 + 2 * 40
    assert now[0] - began == pytest.approx(same + 10_000 * calibrate.SLOWED.get(name, 0.0), abs=100)
