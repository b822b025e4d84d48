"""What became of the cases of a machine from run to run."""

from mlpbench.bench.analysis.history import against_previous
from mlpbench.bench.record import runs
from mlpbench.bench.report import render
from support import simulate, trusting

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
#: One thread alone works on every case, and calibration spins stand beside it.
ONE_THREAD = trusting.block(trusting.window("per_sample"), trusting.window("batched"))
QUIET = {"noise": 0.002, "repeats": 8, "trust": ONE_THREAD}


def test_a_run_is_told_beside_the_one_before_it(tmp_path):
    """Of the newest complete one of the machine that computed the same; at a run's end and on its page, in a line."""
    first = simulate.write_run(tmp_path, TIMES, seed=0, **QUIET)
    assert against_previous(runs.read_run(first)) is None
    other = {"sizes": [784, 10], "hidden": "sigmoid", "output": "softmax", "dtype": "float32"}
    simulate.write_run(tmp_path, TIMES, seed=1, **QUIET, spec=other)
    slower = {case: 2 * value for case, value in TIMES.items()}
    again = simulate.write_run(tmp_path, slower, seed=2, **QUIET)
    assert against_previous(runs.read_run(again)) is None, "that before it computes something else"
    (tmp_path / "testbox" / "20261124T120001Z-0123abcd" / "numpy.3.json").unlink()
    said = against_previous(runs.read_run(again))
    assert said.startswith(f"Against the previous run of this machine, {first.name}: of 2 cases 2 slower; ")
    assert said.endswith(f"; mlpbench compare {first.name} {again.name} says which.")
    assert said in render.build([runs.read_run(again)]).headline.remarks
    (again / "numpy.0.json").unlink()
    assert against_previous(runs.read_run(again)) is None, "it is not whole itself"
