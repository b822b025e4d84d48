import pandas as pd
import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.record import write
from support import simulate
from support.simulate import TIMES
from support.terminal import refusal


def test_one_row_for_each_case_and_repeat_of_each_run_with_the_documented_columns(tmp_path):
    found = frame.load([simulate.write_run(tmp_path, TIMES, repeats=3, seed=seed) for seed in (1, 2)])
    assert list(found.columns) == list(frame.COLUMNS)
    assert (found["run"].nunique(), len(found)) == (2, 2 * len(TIMES) * 3)
    assert not found.duplicated(["run", "kernel", "mode", "batch_size", "repeat"]).any()


def test_times_are_those_that_were_simulated_and_a_sample_of_the_book_is_one_of_all_rows(tmp_path):
    book = {("numpy", "book", 1): 3e-5, ("numpy", "book", 100): 4e-6}
    accuracy = {"per_sample": 0.25, "batched": 0.5, "rows": 4, "reason": None}
    found = frame.load(simulate.write_run(tmp_path, TIMES | book, noise=0, accuracy=accuracy))
    for (kernel, mode, size), sample_s in (TIMES | book).items():
        rows = found[(found["kernel"] == kernel) & (found["mode"] == mode) & (found["batch_size"] == size)]
        calls = [sample_s * (simulate.ROWS if mode == "book" else size)] * 3
        assert rows["sample_s"].to_list() == pytest.approx([sample_s] * 3)
        assert rows["call_s"].to_list() == pytest.approx(calls)
        assert rows["first_call_s"].to_list() == pytest.approx([3 * call_s for call_s in calls])
        assert set(rows["includes_loading"]) == {mode == "book"}
        assert set(rows["accuracy"]) == {0.25 if mode == "per_sample" or size == 1 else 0.5}


def test_quartiles_are_of_the_rounds_and_per_sample(tmp_path):
    data = [1e-4, 2e-4, 3e-4, 4e-4, 9e-4]
    case = ("numpy", "batched", 100)
    content = simulate.record("numpy", 0, [simulate.benchmark(case, data)], simulate.plan({case: 1}, 1, 0, []))
    write.write_atomically(tmp_path / "numpy.0.json", content)
    row = frame.load(tmp_path / "numpy.0.json").iloc[0]
    assert row["sample_s"] == pytest.approx(1.4e-6), "the tenth percentile"
    assert (row["sample_p25_s"], row["sample_p75_s"]) == (pytest.approx(2e-6), pytest.approx(4e-6))
    assert row["sample_min_s"] == pytest.approx(1e-6)
    assert row["rounds"] == 5


def test_what_is_not_known_is_missing_and_columns_keep_their_types(tmp_path):
    unknown = {"kernel_info": None}
    unknown["extra_info"] = {key: {"first_call_s": None, "from_host_s": None} for key in TIMES}
    environment = simulate.environment(threads=None)
    found = frame.load(simulate.write_run(tmp_path, TIMES, environment=environment, **unknown))
    for column in ("backend", "device", "threads", "construct_s", "accuracy", "first_call_s", "from_host_s"):
        assert found[column].isna().all(), column
    for one in (found, frame.load([])):
        for column, (kind, _) in frame.COLUMNS.items():
            if kind != "str":
                assert str(one[column].dtype) == kind, column


def test_runs_records_and_paths_are_all_taken_and_the_same_results_twice_are_refused(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES)
    run = simulate.read(folder)
    whole = frame.load(folder)
    pd.testing.assert_frame_equal(frame.load([str(folder)]), whole)
    pd.testing.assert_frame_equal(frame.load(run), whole)
    one_by_one = frame.load(folder / f"{kernel}.{repeat}.json" for repeat in range(3) for kernel in ("numpy", "numba"))
    pd.testing.assert_frame_equal(one_by_one, whole)
    assert "is named twice" in refusal(frame.load, [folder, folder / "numpy.0.json"])
