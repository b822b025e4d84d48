"""The profile memory as people type it, on networks that are quick."""

from mlpbench.bench.record import runs as record
from support.terminal import typed

SMALL = ("--spec", "20-10-3", "--spec", "20-30-3", "--repeats", "1")


def test_the_profile_runs_in_one_thread_with_few_single_rows(tmp_path, quicker):
    ran = typed("run", "numpy", "--profile", "memory", *SMALL, cwd=tmp_path, PYTHONPATH=quicker)
    assert ran.returncode == 0, ran.stderr
    assert "weights in L2" not in ran.stderr, "networks that are named are not chosen"
    runs = record.read_runs(record.latest(tmp_path / "results"))
    assert [run.records[0].spec.label() for run in runs] == ["20-10-3", "20-30-3"]
    for run in runs:
        (found,) = run.records
        assert found.threads == 1
        cases = {(case.mode, case.batch_size) for case in found.cases}
        assert cases == {("per_sample", 10), ("batched", 1), ("batched", 10), ("batched", 100)}
    explained = typed("explain", cwd=tmp_path)
    assert explained.returncode == 0, explained.stderr
    assert "20-30-3" in explained.stdout
