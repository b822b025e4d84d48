"""Counters of energy: what is there is counted, and what is not has a reason."""

import errno
import re

import pytest

from mlpbench.bench.machine import energy


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    """Return what sets the energy counter of a package, in microjoules."""
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:1", "psys")):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "energy_uj").write_text("5000000\n")
    return lambda value: (tmp_path / "intel-rapl:0" / "energy_uj").write_text(f"{value}\n")


def test_a_package_says_what_it_drew_and_its_parts_are_not_counted_again(powercap):
    with energy.counting() as found:
        powercap(8_000_000)
    assert found.joules == pytest.approx(3.0)


def test_a_counter_that_begins_again_meanwhile_tells_nothing(powercap):
    powercap(262_143_000_000)
    with energy.counting() as found:
        powercap(1_000_000)
    assert found.joules is None
    assert found.reason == "an energy counter came to its end meanwhile, and began again"


def test_energy_that_may_not_be_read_has_a_reason(powercap, monkeypatch):
    def refused(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(energy.POWERCAP), "read_text", refused)
    with energy.counting() as found:
        pass
    assert found.joules is None
    assert re.fullmatch(r"cannot read \S+/energy_uj: Permission denied", found.reason)


def test_a_system_without_energy_counters_has_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    with energy.counting() as found:
        pass
    assert found.reason == "the system shows no energy counter (powercap)"


def test_a_card_says_what_it_drew():
    drawn = iter([1000.0, 3500.0])
    with energy.counting(lambda: next(drawn)) as found:
        pass
    assert found.joules == 2.5
    with energy.counting(lambda: None) as found:
        pass
    assert found.reason == "NVML does not say what the card draws"
