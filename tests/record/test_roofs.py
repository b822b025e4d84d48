"""What was measured of the machine: read with its run from files with known answers; what is damaged costs itself."""

import json

import pytest

from mlpbench.bench.analysis import evidence
from mlpbench.bench.analysis.judge import judge
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from support import evidence_files as files

PEAK, PRODUCT = evidence.PEAK, evidence.PRODUCT


ENTRY = {"name": PEAK, "threads": 1, "work": 10, "data": [1.0]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
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
def test_damage_costs_the_roofs_and_is_told_in_one_line(tmp_path, content, said):
    run = files.write(tmp_path)
    path = run.path / "roofs.json"
    path.write_text('{"mlpbench": {"schema": 1, "ki' if content is None else json.dumps(content))
    again = runs.read_run(run.path)
    (line,) = again.damaged
    assert line.startswith(f"{path}: ")
    assert said in line
    assert "\n" not in line
    assert again.records == run.records
    found = judge(again).evidence
    assert not found.roofs
    assert any(line in missing for missing in found.missing)


def test_a_name_of_another_kind_is_no_file_of_a_repeat(tmp_path):
    run = files.write(tmp_path)
    (run.path / "roofs-of-mine.json").write_text("{}")
    with pytest.raises(UserError, match=r"roofs-of-mine\.json"):
        runs.read_run(run.path)
