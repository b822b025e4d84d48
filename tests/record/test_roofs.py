"""What was measured of the machine: read with its run from files with known answers; what is damaged costs itself."""

import json

import pytest

from mlpbench.bench.record import runs
from mlpbench.bench.wings.why import evidence
from support import evidence_files as files

PEAK, PRODUCT = evidence.PEAK, evidence.PRODUCT


ENTRY = {"name": PEAK, "threads": 1, "work": 10, "data": [1.0]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (files.roofs([]), "nothing was measured; this is a damaged file"),
        (files.roofs([{**ENTRY, "data": []}]), "Expected `array` of length >= 1"),
        (files.roofs([{**ENTRY, "data": [0.0]}]), "data[0]: Expected `float` >= "),
        (files.roofs([{**ENTRY, "work": 0}]), "work: Expected `int` >= 1"),
        (files.roofs([{**ENTRY, "work": 10**15, "data": [1e-12]}]), "1e+27 a second: nothing does so much; this is a "),
        (files.roofs([{**ENTRY, "name": "L2"}]), "no arithmetic for 1 threads; this is a damaged file"),
        (files.roofs(devices=[files.of_device(), files.of_device()]), "expected every device once"),
        ({"mlpbench": {"schema": 99}}, "upgrade mlpbench"),
        ({}, 'no "mlpbench" block'),
        (None, "not JSON: Input data was truncated"),
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
    found = evidence.read(again)
    assert not found.roofs
    assert any(line in missing for missing in found.missing)
