"""What was measured of the machine: read with its run from files with known answers; what is damaged costs itself."""

import json

import pytest

from mlpbench.bench.analysis import evidence
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from support import evidence_files as files

PEAK, PRODUCT = evidence.PEAK, evidence.PRODUCT


def test_the_rate_of_a_repeat_is_that_of_its_median_round(tmp_path):
    """The best round is what the machine does for 3 ms: the median one, what it does beside a kernel."""
    entries = {
        0: files.measured(1, spread=1.25),
        10: files.measured(1, files.PEAK / 2) + files.measured(2, files.PEAK),
        2: "the process that measures the roofs did not end within 120 s",
    }
    run = files.write(tmp_path)
    before = evidence.read(run)
    assert (before.sustained.rates, before.sustained.reasons) == ({}, {})
    files.write_of_repeats(run.path, entries)
    again = runs.read_run(run.path)
    assert again.records == run.records, "they are no records"
    assert evidence.read(again).roofs == before.roofs, "and no roofs: these are the best rounds of the start"
    found = evidence.read(again).sustained
    assert found.by_repeat(PEAK, 1) == pytest.approx({0: files.PEAK / 1.25, 10: files.PEAK / 2})
    assert found.by_repeat(PRODUCT, 2) == pytest.approx({10: files.PEAK / 2})
    assert found.by_repeat("L2", 1) == pytest.approx({0: files.READ["L2"] / 1.25, 10: files.READ["L2"]})
    assert found.by_repeat("DRAM", 1) == found.by_repeat(PEAK, 3) == {}
    assert found.reasons == {2: entries[2]}


ENTRY = {"name": PEAK, "threads": 1, "work": 10, "data": [1.0]}


@pytest.mark.parametrize("name", ["roofs.json", "roofs-0.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (files.roofs([ENTRY], repeat=10**30), "repeat: expected a whole number"),
        (files.roofs([]), "nothing was measured; this is a damaged file"),
        (files.roofs([{**ENTRY, "data": []}]), "no rounds"),
        (files.roofs([{**ENTRY, "data": [0.0]}]), "data[0]: expected seconds above 0"),
        (files.roofs([{**ENTRY, "work": 0}]), "work: expected a whole number of at least 1"),
        (files.roofs([{**ENTRY, "threads": "two"}]), "threads: expected a whole number"),
        (files.roofs([{**ENTRY, "name": "L2"}]), "no arithmetic for 1 threads; this is a damaged file"),
        (files.roofs(7), "measured: expected a list"),
        (files.roofs(roofs="fast"), "roofs: expected an object"),
        (files.roofs(roofs=None, reason=[1]), "reason: expected text"),
        (files.roofs(devices=[files.of_device(), files.of_device()]), "expected every device once"),
        (files.roofs(devices=[files.of_device(device="cpu")]), "and the CPU elsewhere"),
        ({"mlpbench": {"schema": 99}}, "upgrade mlpbench"),
        ({}, 'no "mlpbench" block'),
        (None, "not JSON: input data was truncated at line 1"),
    ],
)
def test_damage_costs_the_roofs_and_is_told_in_one_line(tmp_path, name, content, said):
    run = files.write(tmp_path)
    path = run.path / name
    path.write_text('{"mlpbench": {"schema": 1, "ki' if content is None else json.dumps(content))
    again = runs.read_run(run.path)
    (line,) = again.damaged
    assert line.startswith(f"{path}: ")
    assert said in line
    assert "\n" not in line
    assert again.records == run.records
    assert bool(evidence.read(again).roofs) == (name != "roofs.json")
    assert any(line in missing for missing in evidence.read(again).missing)


@pytest.mark.parametrize("repeat", [1, None])
def test_a_file_that_was_renamed_is_refused(tmp_path, repeat):
    run = files.write(tmp_path)
    changes = {} if repeat is None else {"repeat": repeat}
    (run.path / "roofs-0.json").write_text(json.dumps(files.roofs([ENTRY], **changes)))
    with pytest.raises(UserError, match="it was renamed or copied; take it away"):
        runs.read_run(run.path)


def test_a_name_of_another_kind_is_no_file_of_a_repeat(tmp_path):
    run = files.write(tmp_path)
    (run.path / "roofs-of-mine.json").write_text("{}")
    with pytest.raises(UserError, match=r"roofs-of-mine\.json"):
        runs.read_run(run.path)
