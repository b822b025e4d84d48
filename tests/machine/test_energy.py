"""Counters of energy: what is there is counted, and what is not has a reason."""

import errno
import re
from types import SimpleNamespace

import pytest

from mlpbench.bench.machine import energy


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    """Let two packages have drawn 5 joules each."""
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    for zone, name in (("rapl:0", "package-0"), ("rapl:0:0", "core"), ("rapl:1", "psys"), ("rapl:2", "package-1")):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "energy_uj").write_text("5000000\n")


@pytest.mark.usefixtures("powercap")
def test_packages_say_what_they_drew_and_their_parts_are_not_counted_again():
    assert energy.drawn_j() == pytest.approx(10.0)


@pytest.mark.usefixtures("powercap")
def test_energy_that_may_not_be_read_has_a_reason(monkeypatch):
    def refused(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(energy.POWERCAP), "read_text", refused)
    assert re.fullmatch(r"cannot read \S+/energy_uj: Permission denied", energy.drawn_j())


def test_a_system_without_energy_counters_has_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    assert energy.drawn_j() == "the system shows no energy counter (powercap)"


def test_a_card_says_what_it_drew():
    assert energy.drawn_j(SimpleNamespace(energy_mj=lambda: 2500.0)) == 2.5
    assert energy.drawn_j(SimpleNamespace(energy_mj=lambda: None)) == "NVML does not say what the card draws"
