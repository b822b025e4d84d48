"""The fastest look of a machine, from one process to the next: kept, made faster, and never in the way."""

import json
from types import SimpleNamespace

import pytest

from mlpbench.bench.machine.identity import machine_id
from mlpbench.bench.record import look as file
from mlpbench.bench.record import runs
from mlpbench.bench.record.look import BestLook
from mlpbench.bench.record.trust import LookFacts, Trust
from mlpbench.bench.run import looks


def record(*ns, name="wide", processors=None):
    pairs = tuple((value, value + 1) for value in ns)
    case = SimpleNamespace(looks_ns=pairs, look_processors=processors)
    return SimpleNamespace(trust=Trust(look=LookFacts(name=name)), cases=(case,))


def best(ns, processors=1, name="wide"):
    return BestLook(name=name, processors=processors, best_ns=ns)


def test_the_third_fastest_look_counts_so_that_one_glitch_does_not():
    assert file.of_record(record(50, 100, 90)) == [best(90)]
    assert file.of_record(record(50)) == [], "too few"
    assert file.of_record(record(50, 60, name=None)) == []
    assert file.of_record(record(50, 60, processors=2)) == [best(60, 2)]


def test_each_process_leaves_the_fastest_look_to_the_next(tmp_path):
    path = tmp_path / file.FILE
    assert file.read(path) == ()
    for found, expected in [
        (record(90, 100), [best(100)]),
        (record(190, 200), [best(100)]),
        (record(70, 80), [best(80)]),
        (record(70, 90, processors=2), [best(80), best(90, 2)]),
        (record(1, 1, name="other"), [best(80), best(90, 2), best(2, name="other")]),
    ]:
        assert looks.keep(path, found) is None
        assert file.read(path) == tuple(expected)
    assert json.loads(path.read_text())["mlpbench"]["machine"] == machine_id()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"mlpbench": {"schema": 1, "kind": "look", "best": [{}]}}'])
def test_a_damaged_file_is_told_and_made_anew(tmp_path, content):
    path = tmp_path / file.FILE
    path.write_text(content)
    said = looks.keep(path, record(90, 100))
    assert said.startswith(f"{path}: ")
    assert said.endswith("; it is made anew")
    assert "\n" not in said
    assert file.read(path) == (best(100),)
    assert looks.keep(path, record(90, 100)) is None


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_file(tmp_path):
    assert looks.keep(tmp_path / "nowhere" / file.FILE, record(90, 100)) is None


@pytest.mark.parametrize("below", ["run", "sweep/setting", "calibration/run"])
def test_it_lies_in_the_folder_of_the_machine_and_is_no_run(tmp_path, below):
    folder = tmp_path / machine_id() / below
    folder.mkdir(parents=True)
    path = looks.path_for(folder)
    assert path == tmp_path / machine_id() / file.FILE
    looks.keep(path, record(90, 100))
    assert runs.find_runs(tmp_path) == []
