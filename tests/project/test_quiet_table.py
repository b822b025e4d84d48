"""The script that says what quiet rounds are worth: simulated runs beside a neighbour, of which the truth is known."""

import pytest
import quiet_table

from mlpbench.bench.record.runs import read_run
from support import simulate, spells

CASES = {("per_sample", 100): 18e-6, ("batched", 1): 17e-6, ("batched", 100): 1.4e-6}
SLOWER = {("per_sample", 100): 1.9, ("batched", 1): 1.9, ("batched", 100): 1.5}
KERNELS = {"planted-0-a": 1.0, "planted-0-b": 1.0, "planted-10": 1.1}
TIMES = {(kernel, *case): factor * value for kernel, factor in KERNELS.items() for case, value in CASES.items()}


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    neighbour = spells.Neighbour((0.3, 0.9), slower=SLOWER)
    return read_run(simulate.write_run(tmp_path_factory.mktemp("r"), TIMES, repeats=12, rounds=50, neighbour=neighbour))


def test_on_the_same_data_quiet_rounds_are_narrower_true_and_find_what_is_planted(noisy):
    old = quiet_table.without_looks(noisy)
    before, after = quiet_table.of_speedups(old), quiet_table.of_speedups(noisy)
    assert after["half-width, median %"] < 10 < before["half-width, median %"]
    assert after["within 5 %, of all %"] > before["within 5 %, of all %"]
    before, after = quiet_table.of_verdicts(old), quiet_table.of_verdicts(noisy)
    assert (after["10 % slower: found %"], before["10 % slower: found %"]) == (100, 0)
    assert after["false verdicts %"] == 0
    true = {1: 18 / 17, 100: 18 / 1.4}
    off = [abs(quiet_table.bias(run, true)["speedup too high by, %"]) for run in (noisy, old)]
    assert off[0] < 2 < off[1]


def test_the_marks_find_slow_timings(noisy):
    found = quiet_table.of_marks(noisy, quiet_table.undisturbed([noisy]))
    assert found["timings"] == 12 * 9
    assert found["of these marked %"] > 90
    assert found["of the others marked %"] < 10
