"""The watch over a card, under a stand-in for NVML: what drops a sample, and what is told where NVML is not there."""

import sys
from types import ModuleType

import pytest

from mlpbench.bench.machine.card import Card


class NVMLError(Exception):
    """NVML's own."""


@pytest.fixture
def nvml(monkeypatch):
    """A card at 1,500 of 2,000 MHz, which nobody else uses."""
    made = ModuleType("pynvml")
    made.NVMLError, made.NVML_CLOCK_SM = NVMLError, 1
    made.mhz, made.bits, made.processes, made.asked = 1600, 0, 1, []
    made.nvmlInit = lambda: None
    made.nvmlDeviceGetHandleByUUID = lambda uuid: made.asked.append(uuid) or "handle"
    made.nvmlDeviceGetMaxClockInfo = lambda handle, kind: 2000
    made.nvmlDeviceGetClockInfo = lambda handle, kind: made.mhz
    made.nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: made.bits
    made.nvmlDeviceGetComputeRunningProcesses = lambda handle: [object()] * made.processes
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made


@pytest.mark.parametrize(
    ("mhz", "bits", "throttled"),
    [
        (1600, 0, False),
        (1501, 0x4, False),  # a power cap that costs little
        (1499, 0x4, True),
        (1900, 0x20, True),  # heat, whatever the clock is just now
        (1900, 0x40, True),
        (1900, 0x8, True),
        (1900, 0x80, True),
        (900, 0x2, False),  # somebody chose that clock
    ],
)
def test_what_drops_a_sample(nvml, mhz, bits, throttled):
    card = Card.of("GPU-1")
    nvml.mhz, nvml.bits = mhz, bits
    assert card.is_throttled() == throttled
    assert nvml.asked == ["GPU-1"]


def test_what_was_seen(nvml):
    card = Card.of("GPU-1")
    for nvml.mhz, nvml.bits in ((1900, 0), (1200, 0x44), (1700, 0)):
        card.is_throttled()
    for nvml.processes in (1, 3, 2):
        card.count_others()
    seen = card.facts()
    assert (seen.looks, seen.sm_mhz, seen.most_mhz, seen.others) == (3, (1200, 1900), 2000, 2)
    assert seen.slowed == ("power cap", "hardware thermal slowdown")
    assert seen.reason is None


def test_without_nvml_nothing_is_dropped_and_the_reason_is_told(monkeypatch, nvml):
    def fails(*_):
        raise NVMLError("Not Supported")

    nvml.nvmlDeviceGetMaxClockInfo = fails  # a slice of a card has no clock of its own
    card = Card.of("MIG-1")
    assert (card.is_throttled(), card.facts().reason) == (False, "NVML: Not Supported")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py is not installed" in Card.of("GPU-1").facts().reason
    card = Card.of(None)
    card.count_others()
    assert (card.is_throttled(), card.facts().others) == (False, None)


def test_a_card_that_stops_answering_ends_nothing(nvml):
    def fails(*_):
        raise NVMLError("GPU is lost")

    card = Card.of("GPU-1")
    nvml.nvmlDeviceGetClockInfo = nvml.nvmlDeviceGetComputeRunningProcesses = fails
    card.count_others()
    assert (card.is_throttled(), card.facts().reason) == (False, "NVML: GPU is lost")


def test_the_names_are_nvmls_own():
    pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    used = "nvmlInit nvmlDeviceGetHandleByUUID nvmlDeviceGetMaxClockInfo nvmlDeviceGetClockInfo"
    used += " nvmlDeviceGetCurrentClocksThrottleReasons nvmlDeviceGetComputeRunningProcesses"
    assert [name for name in used.split() if not callable(getattr(pynvml, name, None))] == []
    assert (pynvml.nvmlClocksThrottleReasonHwSlowdown, pynvml.nvmlClocksThrottleReasonSwPowerCap) == (0x8, 0x4)
    assert pynvml.nvmlClocksThrottleReasonHwThermalSlowdown == 0x40
    assert issubclass(pynvml.NVMLError, Exception)
