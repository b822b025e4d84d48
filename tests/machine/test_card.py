"""Which card is in use, and what is seen of it: under stand-ins for `nvidia-smi` and for NVML."""

import os
import sys
from types import ModuleType

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import card as card_
from mlpbench.bench.machine.card import Card
from mlpbench.bench.record.environment import Gpu
from mlpbench.kernels.base import Facts

FIRST, SECOND = "GPU-11111111-1111-1111-1111-111111111111", "GPU-22222222-2222-2222-2222-222222222222"
#: Two cards, in the order of another numbering than nvidia-smi's own.
TWO = (
    f"1, {SECOND}, NVIDIA L4, 570.124.06, 23034 MiB, 210 MHz, 00000000:81:00.0, 72.00 W, Default\n"
    f"0, {FIRST}, NVIDIA H100 80GB HBM3, 570.124.06, 81559 MiB, 345 MHz, 00000000:01:00.0, 700.00 W, Prohibited\n"
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing is remembered, and nothing is chosen."""
    card_._cards.cache_clear()
    for name in (card_.VISIBLE, card_.ORDER):
        monkeypatch.delenv(name, raising=False)
    yield
    card_._cards.cache_clear()


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put an `nvidia-smi` of our own on the path."""

    def install(script, mode=0o755):
        tool = tmp_path / "nvidia-smi"
        tool.write_text(script, encoding="utf-8")
        tool.chmod(mode)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return install


def two(nvidia_smi):
    nvidia_smi(f"#!/bin/sh\ncase \"$1\" in --query-gpu=index,uuid,*) ;; *) exit 9;; esac\ncat <<'E'\n{TWO}E\n")


def used(uuid, **changes):
    return Facts.of(**{"device_name": "NVIDIA L4", "device_uuid": uuid, "mig": False, "memory_bytes": 2**34, **changes})


# Which card it is


def test_no_gpu_driver(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert card_.in_use() == Gpu(available=False, reason="nvidia-smi is not installed: no NVIDIA driver")


def test_the_card_in_use_is_told_and_not_the_first_one(nvidia_smi):
    two(nvidia_smi)
    assert card_.in_use(used(SECOND)).as_dict() == {
        "available": True,
        "name": "NVIDIA L4",
        "driver": "570.124.06",
        "memory": "23034 MiB",
        "sm_clock": "210 MHz",
        "uuid": SECOND,
        "pci_bus": "00000000:81:00.0",
        "mig": False,
        "power_limit": "72.00 W",
        "compute_mode": "Default",
        "cards": 2,
    }


@pytest.mark.parametrize(
    ("visible", "uuid"),
    [
        (None, FIRST),
        ("1", SECOND),
        ("1,0", SECOND),
        ("0", FIRST),
        ("7", FIRST),
        (SECOND[:12], SECOND),
        ("MIG-1", FIRST),
    ],
)
def test_without_a_kernel_it_is_the_first_that_is_visible(nvidia_smi, monkeypatch, visible, uuid):
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    two(nvidia_smi)
    found = card_.in_use()
    assert (found.uuid, found.cards) == (uuid, 2)


def test_of_a_slice_there_are_the_kernels_own_words(nvidia_smi):
    two(nvidia_smi)
    found = card_.in_use(used("MIG-3", mig=True, device_name="NVIDIA H100 80GB HBM3 MIG 1g.10gb"))
    assert (found.name, found.uuid, found.mig) == ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "MIG-3", True)
    assert (found.reason, found.memory, found.cards) == ("nvidia-smi lists no such card", "16384 MiB", 2)


def test_where_a_container_has_no_nvidia_smi_there_are_the_kernels_own_words(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = card_.in_use(used(FIRST))
    assert (found.available, found.name, found.uuid) == (True, "NVIDIA L4", FIRST)
    assert found.reason.startswith("nvidia-smi is not installed")
    kernel_on_the_cpu = Facts(threads=2)
    assert not card_.in_use(kernel_on_the_cpu).available


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\necho 'NVIDIA-SMI has failed: it could not\nreach the driver.'\nexit 9", "could not reach the"),
        ("#!/bin/sh\necho broken >&2\nexit 1", "broken"),
        ("#!/bin/sh\nexit 0", "nvidia-smi says nothing"),
        ("#!/bin/sh\necho a, b", "something else than it was asked: a, b"),
        ("#!/nowhere/at/all", "nvidia-smi does not answer: "),
        ("#!/bin/sh\nexec sleep 60", "nvidia-smi does not answer: "),
        ("#!/bin/sh\nprintf '\\377\\376'\nexit 1", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_gpu_driver_that_is_broken(nvidia_smi, monkeypatch, script, words):
    if "sleep" in script:
        monkeypatch.setattr(card_, "TIMEOUT_S", 0.2)
    nvidia_smi(script)
    found = card_.in_use()
    assert (found.available, found.reason.count("\n")) == (False, 0)
    assert words in found.reason


# Which card it is to be


@pytest.mark.parametrize(
    ("text", "visible", "found"),
    [
        ("1", None, {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
        ("1", "2, 3", {"CUDA_VISIBLE_DEVICES": "3"}),
        ("0", f"{SECOND},{FIRST}", {"CUDA_VISIBLE_DEVICES": SECOND}),
        (SECOND, None, {"CUDA_VISIBLE_DEVICES": SECOND}),
        ("MIG-3", "0", {"CUDA_VISIBLE_DEVICES": "MIG-3"}),
    ],
)
def test_a_card_is_chosen_by_index_or_uuid(text, visible, found):
    assert card_.chosen(text, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == found


@pytest.mark.parametrize(
    ("text", "visible", "words"),
    [("2", "4,5", "leaves 2, counted from 0"), ("-1", None, "give the index"), ("H100", None, "GPU-, MIG-")],
)
def test_what_is_no_card_is_told(text, visible, words):
    with pytest.raises(UserError, match=words):
        card_.chosen(text, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})


# What is seen of it


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
    import pynvml

    used = "nvmlInit nvmlDeviceGetHandleByUUID nvmlDeviceGetMaxClockInfo nvmlDeviceGetClockInfo"
    used += " nvmlDeviceGetCurrentClocksThrottleReasons nvmlDeviceGetComputeRunningProcesses"
    assert [name for name in used.split() if not callable(getattr(pynvml, name, None))] == []
    assert (pynvml.nvmlClocksThrottleReasonHwSlowdown, pynvml.nvmlClocksThrottleReasonSwPowerCap) == (0x8, 0x4)
    assert pynvml.nvmlClocksThrottleReasonHwThermalSlowdown == 0x40
    assert issubclass(pynvml.NVMLError, Exception)
