"""What is faster than the machine can be has no time, unless its roofs may be too low."""

import json

import pytest

from mlpbench.bench.wings.why import evidence
from support import evidence_files, simulate

TIMES = {("numpy", "batched", 100): 2e-6, ("fast", "batched", 100): 1e-6}
BUSY = "the machine was busy: 0 of 50 rounds were between two quiet looks"


def timed(folder, entries):
    """Return the kernels that keep a time beside these roofs, and the run."""
    (folder / "roofs.json").write_text(json.dumps(evidence_files.roofs(entries)))
    run = simulate.read(folder)
    return {record.kernel for record in run.records if record.cases}, run


@pytest.mark.parametrize(
    ("batch_s", "of", "refused"), [(1e-9, "*", True), (1e-9, "[01]", True), (1e-9, "0", False), (1e-7, "*", False)]
)
def test_beside_refused_roofs_only_what_is_many_times_faster_in_two_repeats_is_impossible(
    tmp_path, batch_s, of, refused
):
    """A roof of a busy machine is too low: a sample in 100 ns would be 3.6 times as fast, one in 1 ns is a lie."""
    folder = simulate.write_run(tmp_path, TIMES, repeats=3, noise=0)
    for file in folder.glob(f"fast.{of}.json"):
        with simulate.edited(file) as content:
            for row in content["benchmarks"]:
                row["stats"]["data"] = [100 * batch_s] * len(row["stats"]["data"])
    kept, _ = timed(folder, [{**entry, "refused": BUSY} for entry in evidence_files.measured(1)])
    assert kept == ({"numpy"} if refused else {"numpy", "fast"})


def test_a_product_below_a_refused_peak_is_no_peak(tmp_path):
    """Multiply-adds were refused for a busy neighbour, and did more all the same: no honest time is impossible."""
    entries = evidence_files.measured(1)
    changes = {"multiply-add": {"refused": BUSY}}
    entries = [{**entry, **changes.get(entry["name"], {})} for entry in entries]
    for entry in (entry for entry in entries if entry["name"] == "matrix product"):
        entry["data"] = [100 * seconds for seconds in entry["data"]]
    kept, run = timed(simulate.write_run(tmp_path, TIMES, noise=0), entries)
    beside = evidence.read(run)
    assert (kept, beside.roofs[1].disturbed) == ({"numpy", "fast"}, True)
    assert any(line.startswith("matrix product with 1 thread was not measured: the machine") for line in beside.missing)
