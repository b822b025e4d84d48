"""How far whole runs differ, from those that are stored."""

import math

import pytest

from mlpbench.bench.analysis.summary import USUAL_WANDER, learnt_wander
from support import simulate

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 10): 4e-6, ("numpy", "batched", 100): 2e-6}
#: By how much the level of each run is off, in per cent.
LEVELS = (3, -3, 2, -2, 3, -3)


@pytest.fixture
def runs(tmp_path):
    return [
        simulate.run(tmp_path, {at: s * (1 + level / 100) for at, s in TIMES.items()}, seed=seed, noise=0.001)
        for seed, level in enumerate(LEVELS)
    ]


def test_stored_runs_of_the_same_code_but_those_that_are_compared_say_how_far_runs_differ(runs):
    found = learnt_wander(runs[-1], runs[-2])
    assert found.degrees == USUAL_WANDER.degrees + 3, "four others"
    seen = (9 + 9 + 4 + 4) / 3e4
    expected = math.sqrt((USUAL_WANDER.degrees * USUAL_WANDER.sd**2 + 3 * seen) / found.degrees)
    assert found.sd == pytest.approx(expected, rel=0.1)
    assert learnt_wander(runs[0], *runs[1:]) == USUAL_WANDER
    assert learnt_wander(runs[0], *runs[1:5]) == USUAL_WANDER, "one run alone"


def test_runs_of_other_code_or_damaged_ones_say_nothing(tmp_path, runs):
    for run in runs[:2]:
        with simulate.edited(run.path / "numpy.0.json") as content:
            content["mlpbench"]["environment"]["libraries"]["numpy"] = "9.9"
            content["mlpbench"]["plan"].pop("versions", None)
    (runs[2].path / "run.json").write_text("{")
    assert learnt_wander(runs[-1]).degrees <= USUAL_WANDER.degrees + 3
