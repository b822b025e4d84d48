"""The file of `mlpbench calibrate`, and what it says of a comparison."""

import json

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.write import write_atomically
from mlpbench.bench.trust import calibration
from mlpbench.bench.trust.calibration import CalibrationFile, CalibrationHead, KindEntry, PlantedEntry, TallyEntry
from support.refusals import refusal


def kind(rates, false=(1, 300), scatter=0.02):
    planted = tuple(PlantedEntry(slowdown=share, hits=round(100 * rate), cases=100) for share, rate in rates.items())
    false, disjoint = TallyEntry(hits=false[0], cases=false[1]), TallyEntry(hits=0, cases=6)
    return KindEntry(false=false, disjoint=disjoint, planted=planted, scatter=scatter)


@pytest.mark.parametrize(
    ("rates", "smallest"),
    [
        ({0.02: 0.1, 0.05: 0.95, 0.1: 1.0}, 0.05),
        ({0.02: 0.99, 0.05: 0.9, 0.1: 1.0}, 0.1),
        ({0.02: 0.99, 0.05: 0.99, 0.1: 0.9}, None),
        ({}, None),
    ],
)
def test_the_smallest_slowdown_is_found_and_so_are_all_larger_ones(rates, smallest):
    assert kind(rates).smallest == smallest


def made(paired=None, unpaired=None, wander=0.012):
    facts = {"machine": "testbox", "run": "calibration/x", "kernel": "numpy", "threads": 2}
    facts |= {"ended": "2026-11-24T12:00:00+00:00", "repeats": 10, "threshold": 0.025, "false_discovery_rate": 0.01}
    kinds = {"paired": paired or kind({0.02: 0.1, 0.05: 0.98, 0.1: 1.0}), "unpaired": unpaired}
    return CalibrationHead(kind="calibration", **facts, **kinds, seen=((0.05, 0.048),), wander=(wander, 8.0))


WRONG = kind({0.05: 0.7, 0.1: 0.98}, false=(27, 240))


@pytest.mark.parametrize(
    ("n", "paired", "settings", "said"),
    [
        # Of as many repeats as were calibrated, and of one, the smallest slowdown alone.
        *((n, True, {}, "machine: 5 %, between two kernels of one run with 10 repeats (2026-11-24)$") for n in (10, 1)),
        (3, True, {}, "with the 3 repeats of this comparison: about 16 %"),
        (3, True, {"paired": kind({}, (0, 1), 1.0)}, "more than 100 %"),
        (10, False, {}, "was not measured"),
        (10, False, {"unpaired": kind({0.05: 0.1, 0.1: 0.5})}, "none up to 10 %"),
        # What a run wanders by is the least that is found between runs: (3.36 + 1.86) * sqrt(2) * 2 %, with the
        # quantiles of 8 degrees of freedom.
        (99, False, {"unpaired": kind({0.1: 1.0}), "wander": 0.0}, "with the 99 repeats of this comparison: about 2.8"),
        (99, False, {"unpaired": kind({0.1: 1.0}), "wander": 0.02}, "about 16 %"),
        (10, False, {"unpaired": WRONG}, "27 of 240 equal cases were called different there: measure"),
    ],
)
def test_what_compare_says(n, paired, settings, said):
    assert said in calibration.sentence(made(**settings), n, paired=paired) + "$"


def written(tmp_path, change=lambda block: None):
    content = CalibrationFile(made()).as_dict()
    change(content["mlpbench"])
    path = tmp_path / calibration.FILE
    write_atomically(path, content, replace=True)
    return path


def test_it_is_plain_json_and_read_back(tmp_path):
    path, planted = written(tmp_path), {"slowdown": 0.05, "hits": 98, "cases": 100}
    assert json.loads(path.read_text())["mlpbench"]["paired"]["planted"][1] == planted
    assert calibration.read(path) == made()
    assert calibration.read(written(tmp_path, lambda block: block.pop("wander"))).wander is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda block: block.update(kind="plan"), "no calibration; `mlpbench calibrate` writes one"),
        (lambda block: block.update(schema=9), "schema 9"),
        (lambda block: block.update(threshold=25), "threshold: Expected"),
        (lambda block: block.update(wander=[0.01, 0]), ": Expected `float` >= 1.0"),
        (lambda block: block.update(schema=2, wander={"sd": 0.01, "degrees": 8}), "wander: Expected `array | null`"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, change, told):
    path = written(tmp_path, change)
    assert told in refusal(UserError, f"^{path}", calibration.read, path)
