"""Hostile files of JSON: records, plans, roofs, calibrations and other people's benchmarks are read, or refused."""

import json

import pytest
from hypothesis import strategies as st

from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.roofs import RoofsFile
from mlpbench.bench.trust import calibration
from mlpbench.bench.wings.ci import foreign
from support import hostile, simulate
from support.sources import ROOT


def short(value):
    """Return JSON with two items of every list: enough to have each field, and to be read quickly."""
    if isinstance(value, dict):
        return {key: item if key == "cases" else short(item) for key, item in value.items()}  # those of the plan
    return [short(item) for item in value[:3]] if isinstance(value, list) else value


def reference(name):
    """Return a file of a run that came with the sources, shortened: it has every field that a run on a CPU writes."""
    path = max((ROOT / "results").glob(f"*/*/{name}"))
    return json.dumps(short(json.loads(path.read_text()))).encode()


def calibrated():
    tally = {"hits": 1, "cases": 20}
    kind = {"false": tally, "disjoint": tally, "scatter": 0.01, "planted": [{"slowdown": 0.05, **tally}]}
    head = {"schema": 1, "kind": "calibration", "machine": "testbox", "run": "calibration/x", "kernel": "numpy"}
    head |= {"ended": "2026-11-24T12:00:00+00:00", "repeats": 10, "threshold": 0.025, "false_discovery_rate": 0.01}
    head |= {"paired": kind, "unpaired": kind, "seen": [{"slowdown": 0.05, "seen": 0.048}]}
    head |= {"threads": 2, "drifts": {"one": None, "several": {"sd": 0.01, "degrees": 8.0}}}
    return json.dumps({"mlpbench": head}).encode()


def of_a_run(path):
    """Read a plan as `report` does: with the records beside it."""
    return runs.read_run(path.parent)


FORMATS = {
    "record": (lambda: reference("numpy.0.json"), "numpy.0.json", runs.read_run),
    "sweep's record": (lambda: json.dumps(simulate.good()).encode(), "numpy.0.json", runs.read_run),
    "plan": (lambda: reference("run.json"), "run.json", of_a_run),
    "roofs": (lambda: reference("roofs.json"), "roofs.json", lambda path: untrusted.read(path, RoofsFile)),
    "calibration": (calibrated, "calibration.json", calibration.read),
    "benchmarks": (lambda: json.dumps(simulate.good()).encode(), "a.json", foreign.read),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_file_is_read_or_refused_in_one_line(tmp_path, kind):
    valid, name, reader = FORMATS[kind]
    raw = valid()

    def change(drawn):
        if drawn is None:
            return raw
        return hostile.with_bytes(raw, drawn) if isinstance(drawn, tuple) else hostile.with_json(raw, drawn)

    hostile.hold(tmp_path / name, reader, st.one_of(hostile.of_json(), hostile.of_json(), hostile.of_bytes()), change)
