"""The energy of a sample: joules of known work come back as a table, and where there are none a reason."""

import errno
import re
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.report import render
from mlpbench.bench.wings.energy import measurement
from mlpbench.kernels import registry
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import simulate

SPEC = ForwardSpec((7, 5, 3))
NO_COUNTER = "the system shows no energy counter (powercap)"


@pytest.fixture
def ready():
    """Return a kernel with a thousand rows, as `Contestant` has them."""
    kernel = registry.load("numpy")(SPEC, seeded(SPEC))
    return SimpleNamespace(kernel=kernel, inputs=np.ones((1000, 7), np.float32))


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    """Let two packages have drawn 5 joules each."""
    monkeypatch.setattr(measurement, "POWERCAP", tmp_path)
    for zone, name in (("rapl:0", "package-0"), ("rapl:0:0", "core"), ("rapl:1", "psys"), ("rapl:2", "package-1")):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "energy_uj").write_text("5000000\n")


def test_packages_and_cards_say_what_they_drew_or_why_not(powercap, monkeypatch, tmp_path):
    assert measurement.drawn_j() == pytest.approx(10.0), "their parts are not counted again"
    assert measurement.drawn_j(SimpleNamespace(energy_mj=lambda: 2500.0)) == 2.5
    assert "NVML" in measurement.drawn_j(SimpleNamespace(energy_mj=lambda: None))

    def refused(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "read_text", refused)
    assert re.fullmatch(r"cannot read \S+/energy_uj: Permission denied", measurement.drawn_j())
    monkeypatch.setattr(measurement, "POWERCAP", tmp_path / "none")
    assert measurement.drawn_j() == NO_COUNTER


@pytest.mark.parametrize("case", [Case("per_sample", 100), Case("batched", 10)])
def test_joules_are_of_one_sample(ready, monkeypatch, case):
    calls = []
    prepared = SimpleNamespace(call=lambda: calls.append(1))
    monkeypatch.setattr(measurement, "drawn_j", lambda _: 1e-6 * case.batch_size * len(calls))
    monkeypatch.setattr(measurement, "prepare", lambda *_: prepared)
    assert measurement.joules(ready, case) == {"joules": pytest.approx(1e-6)}


def test_without_counters_nothing_runs_and_the_reason_is_there(ready, monkeypatch, tmp_path):
    monkeypatch.setattr(measurement, "POWERCAP", tmp_path)
    monkeypatch.setattr(measurement, "prepare", pytest.fail)
    suite = SimpleNamespace(beside=defaultdict(dict))
    for case in (Case("batched", 10), Case("book", 100)):
        measurement.of_case(suite, ready, case, None)
    assert suite.beside == {Case("batched", 10): {"no_joules": NO_COUNTER}}


@pytest.mark.parametrize("last", [0.5, "lost"])
def test_a_counter_that_begins_again_or_stops_meanwhile_has_a_reason(ready, monkeypatch, last):
    answers = iter((1.0, 1.0, last))
    monkeypatch.setattr(measurement, "drawn_j", lambda _: next(answers))
    assert "began again" in measurement.joules(ready, Case("batched", 10))["no_joules"]


def test_joules_are_a_table_and_the_rest_has_a_reason(tmp_path):
    counted = {("numpy", "batched", 100): {"joules": 1.5e-6}, ("numpy", "batched", 1): {"no_joules": "hidden"}}
    run = simulate.write_run(tmp_path, dict.fromkeys(counted, 2e-6), extra_info=counted)
    document = render.build([simulate.read(run)])
    (table, reason), *_ = (section.blocks for section in document.sections if section.slug == "spent")
    assert table.rows[0] == ("numpy", "batch 100", "1.5e-06")
    assert reason == "Not counted here: hidden."
    heads, *rows = (line.split(",") for line in render.write(document, "csv").splitlines())
    assert {row[heads.index("joules")] for row in rows} == {"1.5e-06", ""}
