"""What the machine does within the repeats: read from files with known answers, refused where they are damaged."""

import json

import pytest

from mlpbench.bench.analysis import evidence
from mlpbench.bench.analysis.evidence import Sustained
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
    files.write_of_repeats(tmp_path, entries)
    found = evidence.read_sustained(tmp_path)
    assert found.by_repeat(PEAK, 1) == pytest.approx({0: files.PEAK / 1.25, 10: files.PEAK / 2})
    assert found.by_repeat(PRODUCT, 2) == pytest.approx({10: files.PEAK / 2})
    assert found.by_repeat("L2", 1) == pytest.approx({0: files.READ["L2"] / 1.25, 10: files.READ["L2"]})
    assert found.by_repeat("DRAM", 1) == found.by_repeat(PEAK, 3) == {}
    assert found.reasons == {2: entries[2]}


def test_a_run_without_them_has_none(tmp_path):
    run = files.write(tmp_path)
    assert evidence.read(run).sustained == Sustained({}, {})


def test_they_are_no_records_and_no_roofs(tmp_path):
    """The roof of a run stays the best round of its start: a roof may be too high, never too low."""
    run = files.write(tmp_path)
    before = evidence.read(run)
    files.write_of_repeats(run.path, {0: files.measured(1, 3 * files.PEAK), 1: files.measured(1, files.PEAK / 3)})
    again = runs.read_run(run.path)
    assert again.records == run.records
    found = evidence.read(again)
    assert found.roofs == before.roofs
    assert found.sustained.by_repeat(PEAK, 1) == pytest.approx({0: 3 * files.PEAK, 1: files.PEAK / 3})


ENTRY = {"name": PEAK, "threads": 1, "work": 10, "data": [1.0]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (files.roofs([ENTRY], repeat=1), "holds repeat 1: it was renamed or copied; take it away"),
        (files.roofs([ENTRY]), "repeat is missing"),
        (files.roofs([ENTRY], repeat=10**30), "repeat: expected a whole number"),
        (files.roofs([], repeat=0), "nothing was measured; this is a damaged file"),
        (files.roofs([{**ENTRY, "data": []}], repeat=0), "no rounds"),
        (files.roofs([{**ENTRY, "data": [0.0]}], repeat=0), "data: expected seconds above 0"),
        (files.roofs([{**ENTRY, "work": 0}], repeat=0), "work: expected a whole number of at least 1"),
        (files.roofs([{**ENTRY, "threads": "two"}], repeat=0), "threads: expected a whole number"),
        (files.roofs(7, repeat=0), "measured: expected a list"),
        (files.roofs(roofs="fast", repeat=0), "roofs: expected an object"),
        (files.roofs(roofs=None, reason=[1], repeat=0), "reason: expected text"),
        ({"mlpbench": {"schema": 99}}, "upgrade mlpbench"),
        ({}, 'no "mlpbench" block'),
    ],
)
def test_damage_is_told_in_one_line(tmp_path, content, said):
    run = files.write(tmp_path)
    path = run.path / "roofs-0.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=said) as caught:
        evidence.read(run)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_was_cut_off_is_told_too(tmp_path):
    run = files.write(tmp_path)
    (run.path / "roofs-0.json").write_text('{"mlpbench": {"schema": 1, "ki')
    with pytest.raises(UserError, match=r"roofs-0\.json: not JSON: .* at line 1"):
        evidence.read(run)


def test_a_name_of_another_kind_is_no_file_of_a_repeat(tmp_path):
    run = files.write(tmp_path)
    (run.path / "roofs-of-mine.json").write_text("{}")
    with pytest.raises(UserError, match=r"roofs-of-mine\.json"):
        runs.read_run(run.path)
