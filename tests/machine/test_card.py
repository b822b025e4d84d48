"""Which card is in use, and what is seen of it: under a stand-in for NVML."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import card as card_
from mlpbench.bench.machine.card import Card
from mlpbench.bench.record.environment import Gpu
from mlpbench.kernels.base import Facts

FIRST, SECOND = "GPU-11111111-1111-1111-1111-111111111111", "GPU-22222222-2222-2222-2222-222222222222"
NAMES = {FIRST: "NVIDIA H100 80GB HBM3", SECOND: "NVIDIA L4"}


class NVMLError(Exception):
    """NVML's own."""


def fails(*_):
    raise NVMLError("Not Supported")


@pytest.fixture
def nvml(monkeypatch):
    """Two cards at 1,600 of 2,000 MHz, which nobody else uses. A handle is a UUID."""

    def by_uuid(uuid):
        return uuid if uuid in NAMES else fails()

    made = ModuleType("pynvml")
    made.NVMLError, made.NVML_CLOCK_SM = NVMLError, 1
    made.mhz, made.bits, made.processes = 1600, 0, 1
    made.nvmlInit = lambda: None
    made.nvmlDeviceGetHandleByUUID = by_uuid
    made.nvmlDeviceGetHandleByIndex = lambda index: [*NAMES][index] if index < len(NAMES) else fails()
    made.nvmlDeviceGetName = NAMES.get
    made.nvmlDeviceGetUUID = lambda handle: handle
    made.nvmlSystemGetDriverVersion = lambda: "570.124.06"
    made.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(total=23034 * 2**20, free=10 * 2**30)
    made.nvmlDeviceGetPowerManagementLimit = lambda handle: 72_000
    made.nvmlDeviceGetCount = lambda: len(NAMES)
    made.nvmlDeviceGetMaxClockInfo = lambda handle, kind: 2000
    made.nvmlDeviceGetClockInfo = lambda handle, kind: made.mhz
    made.nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: made.bits
    made.nvmlDeviceGetComputeRunningProcesses = lambda handle: [object()] * made.processes
    monkeypatch.setitem(sys.modules, "pynvml", made)
    monkeypatch.delenv(card_.VISIBLE, raising=False)
    return made


def used(uuid, **changes):
    return Facts.of(**{"device_name": "NVIDIA L4", "device_uuid": uuid, "mig": False, "memory_bytes": 2**34, **changes})


def test_the_card_in_use_is_told_and_not_the_first_one(nvml):
    seen = {"name": "NVIDIA L4", "driver": "570.124.06", "memory": "23034 MiB", "uuid": SECOND}
    assert card_.in_use(used(SECOND)).as_dict() == {"available": True, **seen, "power_limit": "72.00 W", "cards": 2}
    nvml.nvmlDeviceGetPowerManagementLimit = nvml.nvmlDeviceGetMaxClockInfo = fails
    assert (Card.of("").memory_limit(), Card.of(None).memory_limit()) == (9 * 2**30, None)
    gpu = card_.in_use(used(SECOND))
    assert (gpu.name, gpu.power_limit, gpu.reason) == ("NVIDIA L4", None, None), "as a slice of a card"


@pytest.mark.parametrize(
    ("visible", "uuid"), [(None, FIRST), ("1", SECOND), ("1,0", SECOND), (SECOND, SECOND), ("7", None)]
)
def test_without_a_kernel_it_is_the_first_that_is_visible(nvml, monkeypatch, visible, uuid):
    if visible:
        monkeypatch.setenv(card_.VISIBLE, visible)
    assert card_.in_use().uuid == uuid


def test_of_what_nvml_does_not_know_there_are_the_kernels_own_words(nvml, monkeypatch):
    gpu = card_.in_use(used("MIG-3", mig=True))
    assert (gpu.available, gpu.name, gpu.uuid) == (True, "NVIDIA L4", "MIG-3")
    assert (gpu.uuid[:4], gpu.memory, gpu.reason) == ("MIG-", "16384 MiB", "NVML: Not Supported")
    nvml.nvmlInit = fails
    assert card_.in_use() == Gpu(available=False, reason="NVML: Not Supported")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    gpu, missing = card_.in_use(used(FIRST)), "nvidia-ml-py, which sees GPUs, is not installed"
    assert (gpu.available, gpu.name, gpu.uuid, gpu.reason) == (True, "NVIDIA L4", FIRST, missing)
    assert card_.in_use(Facts(threads=2)) == Gpu(available=False, reason=missing), "a kernel on the CPU"


@pytest.mark.parametrize(
    ("text", "visible", "found"),
    [
        ("1", "", {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
        ("1", "2, 3", {"CUDA_VISIBLE_DEVICES": "3"}),
        ("0", f"{SECOND},{FIRST}", {"CUDA_VISIBLE_DEVICES": SECOND}),
        (SECOND, "", {"CUDA_VISIBLE_DEVICES": SECOND}),
        ("MIG-3", "0", {"CUDA_VISIBLE_DEVICES": "MIG-3"}),
        ("2", "4,5", "leaves 2, counted from 0"),
        ("-1", "", "index"),
        ("H100", "", "GPU-, MIG-"),
    ],
)
def test_a_card_is_chosen_by_index_or_uuid(text, visible, found):
    environ = {"CUDA_VISIBLE_DEVICES": visible} if visible else {}
    if isinstance(found, dict):
        assert card_.chosen(text, environ) == found
    else:
        with pytest.raises(UserError, match=found):
            card_.chosen(text, environ)


def test_what_drops_a_sample(nvml):
    """A power cap costs little, or is what a small card keeps up, and people lock clocks; heat and brakes say why."""
    card = Card.of(FIRST)
    kept = [(1600, 0), (1501, 0x4), (740, 0x4), (740, 0)]
    dropped = [(1900, 0x20), (1900, 0x40), (1900, 0x8), (1900, 0x80)]
    for nvml.mhz, nvml.bits in (*kept, *dropped):
        assert card.is_throttled() == ((nvml.mhz, nvml.bits) in dropped)


def test_what_was_seen_and_why_nothing_is(nvml, monkeypatch):
    card = Card.of(FIRST)
    for nvml.mhz, nvml.bits in ((1900, 0), (1200, 0x44), (1700, 0)):
        card.is_throttled()
    for nvml.processes in (1, 3, 2):
        card.count_others()
    seen = card.facts()
    assert (seen.sm_mhz, seen.most_mhz, seen.others, seen.reason) == ((1200, 1900), 2000, 2, None)
    assert seen.slowed == ("power cap", "hardware thermal slowdown", "a clock below that of the first second")
    nvml.nvmlDeviceGetClockInfo = nvml.nvmlDeviceGetComputeRunningProcesses = fails  # it stops answering
    card.count_others()
    assert (card.is_throttled(), card.facts().reason) == (False, "NVML: Not Supported")
    nvml.nvmlDeviceGetMaxClockInfo = fails  # a slice of a card has no clock of its own
    assert Card.of(FIRST).facts().reason == "NVML: Not Supported"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    for card, why in ((Card.of(FIRST), "is not installed"), (Card.of(None), "does not say which card")):
        card.count_others()
        assert (card.is_throttled(), card.facts().others) == (False, None)
        assert why in card.facts().reason


def test_the_names_are_nvmls_own(nvml, monkeypatch):
    monkeypatch.undo()
    import pynvml

    assert [name for name in vars(nvml) if name.startswith("nvml") and not callable(getattr(pynvml, name, None))] == []
    assert callable(pynvml.nvmlDeviceGetTotalEnergyConsumption)
    assert (pynvml.nvmlClocksThrottleReasonHwSlowdown, pynvml.nvmlClocksThrottleReasonSwPowerCap) == (0x8, 0x4)
    assert pynvml.nvmlClocksThrottleReasonHwThermalSlowdown == 0x40
    assert issubclass(pynvml.NVMLError, Exception)
