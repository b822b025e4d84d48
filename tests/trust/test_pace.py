"""Times at one pace of the processor: what spins beside the cases say, and what it changes in a comparison."""

import msgspec
import pytest

from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.record.runs import read_run
from mlpbench.bench.record.trust import Trust
from mlpbench.bench.trust.pace import Pace, common_pace, paces
from support import simulate, trusting
from support.runs.sides import STEADY

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}


def trust(*windows, **changes):
    return msgspec.convert(trusting.block(*windows, **changes), Trust)


def run(folder, slower=1.0, clock=1.0, seed=0, **block):
    """A run at a clock of its own, which stretches its times and its spins alike, or spins of the given block."""
    windows = [trusting.window(mode, 100, slower=clock) for mode in ("per_sample", "batched")]
    block = {"trust": trusting.block(*windows), **block}
    times = {case: value * clock * slower for case, value in TIMES.items()}
    return read_run(simulate.write_run(folder, times, repeats=8, noise=0.003, seed=seed, **block))


def test_the_pace_of_a_case_lies_between_the_levels_before_and_after_it():
    spins = {"spins_before_s": [4e-4, 9.0, 4e-4], "spins_after_s": [9e-4] * 3}
    waits = trusting.window(batch_size=1, waits=True)  # for a device: it has no pace of the processor's
    assert paces(trust(trusting.window(**spins), waits)) == {("batched", 100): pytest.approx(6e-4)}


def test_the_common_pace_is_the_usual_one():
    processes = [trust(trusting.window(slower=slower)) for slower in (1.0, 1.0, 1.0, 1.05)]
    found = common_pace(processes)
    assert found.spin_s == pytest.approx(trusting.SPIN_S)
    assert found.spread == pytest.approx(0.05)
    assert found.scale(2 * trusting.SPIN_S) == pytest.approx(0.5)
    assert found.scale(None) == Pace(None).scale(1.0) == 1.0


@pytest.mark.parametrize(
    ("processes", "reason"),
    [
        ([], "not every process"),
        ([trust(), trust(windows=[])], "not every process"),
        ([trust(), trust(spin={"name": "pbkdf2-sha256", "instructions": None})], "different kinds"),
        ([trust(trusting.window(waits=True))], "on a device"),
    ],
)
def test_without_a_common_pace_times_stay_as_they_are(processes, reason):
    found = common_pace(processes)
    assert (found.spin_s, found.scale(1e-3)) == (None, 1.0)
    assert reason in found.reason


def test_a_clock_that_was_slower_in_one_run_is_no_slowdown(tmp_path):
    found = compare(run(tmp_path, seed=1), run(tmp_path, clock=1.06, seed=2))
    assert [row.verdict for row in found.rows] == ["same", "same"]
    assert found.pace_s == pytest.approx(1.03 * trusting.SPIN_S), "between the two runs"
    assert found.basis[0] == "times at one pace of the processor, which moved by up to 3 %"


def test_a_slowdown_is_seen_in_spite_of_a_faster_clock(tmp_path):
    found = compare(run(tmp_path, seed=1), run(tmp_path, slower=1.06, clock=0.95, seed=2))
    assert [row.verdict for row in found.rows] == ["slower", "slower"]
    assert all(row.speedup.value == pytest.approx(1 / 1.06, rel=0.01) for row in found.rows)


def test_another_machine_has_no_common_pace(tmp_path):
    other = simulate.environment(machine={"name": "otherbox"})
    found = compare(run(tmp_path, seed=1), run(tmp_path, seed=2, environment=other), anyway=True)
    assert found.pace_s is None
    assert found.basis[0] == "times are as measured, not at one pace of the processor: the machines are not the same"


def test_results_of_earlier_versions_are_compared_as_measured(tmp_path):
    found = compare(run(tmp_path, seed=1, trust={}), run(tmp_path, clock=1.06, seed=2, trust={}), drifts=STEADY)
    assert [row.verdict for row in found.rows] == ["slower", "slower"]
    assert "not every process has calibration spins" in found.basis[0]
