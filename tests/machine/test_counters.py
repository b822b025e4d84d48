"""Counters of the processor and of energy: what is there is counted, and what is not has a reason."""

import ctypes
import errno
import mmap

import pytest

from mlpbench.bench.machine import counters


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    """Return what sets the energy counter of a package, in microjoules."""
    monkeypatch.setattr(counters, "POWERCAP", tmp_path)
    for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:1", "psys")):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "energy_uj").write_text("5000000\n")
        (tmp_path / zone / "max_energy_range_uj").write_text("262143328850\n")
    return lambda value: (tmp_path / "intel-rapl:0" / "energy_uj").write_text(f"{value}\n")


def test_page_faults_are_counted_where_linux_counts():
    with counters.counting() as found:
        pages = mmap.mmap(-1, 300 * mmap.PAGESIZE)
        pages.madvise(mmap.MADV_NOHUGEPAGE)
        for number in range(300):
            pages[number * mmap.PAGESIZE] = 1
    pages.close()
    if "page_faults" in found.missing:
        pytest.skip(f"page faults: {found.missing['page_faults']}")
    assert found.values["page_faults"] >= 300
    assert set(found.values) | set(found.missing) >= {*counters.EVENTS, "joules"}


def test_a_package_says_what_it_drew_and_its_parts_are_not_counted_again(powercap):
    with counters.counting() as found:
        powercap(8_000_000)
    assert found.values["joules"] == pytest.approx(3.0)


def test_an_energy_counter_begins_again(powercap):
    powercap(262_143_000_000)
    with counters.counting() as found:
        powercap(1_000_000)
    assert found.values["joules"] == pytest.approx(1.0 + 0.32885)


def test_energy_that_may_not_be_read_has_a_reason(powercap, monkeypatch):
    def refused(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(counters.POWERCAP), "read_text", refused)
    with counters.counting() as found:
        pass
    assert "joules" not in found.values
    assert found.missing["joules"].startswith("not permitted: ")


def test_a_system_without_energy_counters_has_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(counters, "POWERCAP", tmp_path)
    with counters.counting() as found:
        pass
    assert found.missing["joules"] == "the system shows no energy counter (powercap)"


def test_a_card_says_what_it_drew():
    drawn = iter([1000.0, 3500.0])
    with counters.counting(lambda: next(drawn)) as found:
        pass
    assert found.values["joules"] == 2.5
    with counters.counting(lambda: None) as found:
        pass
    assert found.missing["joules"] == "NVML does not say what the card draws"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOENT, "shows no such counter"),
        (errno.EACCES, "perf_event_paranoid"),
        (errno.EINVAL, "not available: Invalid argument"),
    ],
)
def test_events_that_cannot_be_opened_have_a_reason(monkeypatch, code, said):
    class Libc:
        def __init__(self, *_, **__):
            pass

        def syscall(self, *_):
            ctypes.set_errno(code)
            return -1

    monkeypatch.setattr(counters.ctypes, "CDLL", Libc)
    with counters.counting() as found:
        pass
    assert set(found.missing) >= set(counters.EVENTS)
    assert all(said in found.missing[name] for name in counters.EVENTS)


def test_another_system_has_a_reason(monkeypatch):
    monkeypatch.setattr(counters.platform, "machine", lambda: "vax")
    with counters.counting() as found:
        pass
    assert set(counters.EVENTS) <= set(found.missing)
