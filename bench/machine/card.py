"""The GPU in use: which card it is, how another one is chosen, and what NVML sees of it while it is timed.

NVML is the package ``nvidia-ml-py``, which the extras cuda12 and cuda13 bring. Without it nothing is watched, and the
record says so.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self, TypeVar

import msgspec

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.device import CardWatch
from mlpbench.bench.record.environment import Gpu
from mlpbench.kernels.base import Facts

#: `nvidia-smi` answers in a second or two, or never.
TIMEOUT_S = 60
#: What it is asked, and the fields of `Gpu` that the answers are; the first is the number of the card.
_ASKED = {
    "index": "",
    "uuid": "uuid",
    "name": "name",
    "driver_version": "driver",
    "memory.total": "memory",
    "clocks.sm": "sm_clock",
    "pci.bus_id": "pci_bus",
    "power.limit": "power_limit",
    "compute_mode": "compute_mode",
}
T = TypeVar("T")
VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"


def chosen(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make a card the only one: by its index among those visible, or by its UUID.

    Without a choice of somebody else's, such as a scheduler's, the index is that of `nvidia-smi`. Raises UserError for
    what is neither, and for an index beyond the visible cards.
    """
    there = [one.strip() for one in environ.get(VISIBLE, "").split(",") if one.strip()]
    if text.startswith(("GPU-", "MIG-")):
        return {VISIBLE: text}
    if not text.isdecimal():
        raise UserError(
            f"--device {text}: give the index of a card, or its UUID as nvidia-smi -L shows it (GPU-, MIG-)"
        )
    if not there:
        return {VISIBLE: text, ORDER: "PCI_BUS_ID"}
    if int(text) >= len(there):
        raise UserError(f"--device {text}: {VISIBLE}={environ[VISIBLE]} leaves {len(there)}, counted from 0")
    return {VISIBLE: there[int(text)]}


def in_use(used: Facts | None = None) -> Gpu:
    """Return the card that a kernel uses, by what it says of it; else the first that this process may use.

    `nvidia-smi` tells of whole cards: of a slice, and where it is not installed, there are the kernel's own words.
    """
    cards, reason = _cards()
    if used and used.device_name:
        told = next((card for card in cards if card["uuid"] == used.device_uuid), {})
        memory = used.others.get("memory_bytes")
        facts = {
            "available": True,
            "reason": None if told else reason or "nvidia-smi lists no such card",
            "name": used.device_name,
            "memory": f"{memory // 2**20} MiB" if isinstance(memory, int) else None,
            "cards": len(cards) or None,
            **told,
            "uuid": used.device_uuid,
            "mig": used.others.get("mig"),
        }
        return msgspec.convert(facts, Gpu)
    if not cards:
        return Gpu(available=False, reason=reason)
    visible = os.environ.get(VISIBLE, "").partition(",")[0].strip()
    by_uuid = (card for card in cards if visible.startswith("GPU-") and card["uuid"].startswith(visible))
    by_index = cards[int(visible)] if visible.isdecimal() and int(visible) < len(cards) else cards[0]
    return msgspec.convert({"available": True, "cards": len(cards), **next(by_uuid, by_index)}, Gpu)


@cache
def _cards() -> tuple[list[dict[str, str]], str | None]:
    """Return what `nvidia-smi` tells of each card, in its order, or why it tells nothing."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return [], "nvidia-smi is not installed: no NVIDIA driver"
    query = [f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader"]
    try:
        ran = subprocess.run(
            [tool, *query], capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:  # a broken driver hangs it
        return [], f"nvidia-smi does not answer: {error}"
    if ran.returncode != 0 or not ran.stdout.strip():
        return [], " ".join((ran.stdout + ran.stderr).split()) or "nvidia-smi says nothing"
    lines = [[field.strip() for field in line.split(",")] for line in ran.stdout.splitlines() if line.strip()]
    if any(len(line) != len(_ASKED) for line in lines):
        return [], f"nvidia-smi says something else than it was asked: {' '.join(ran.stdout.split())}"
    cards = [dict(zip(_ASKED.values(), line, strict=True)) for line in sorted(lines, key=_number)]
    return [{name: value for name, value in card.items() if name} for card in cards], None


def _number(line: list[str]) -> int:
    return int(line[0]) if line[0].isdecimal() else 0


#: Below this share of the highest clock a sample is dropped: nvbench's own threshold.
THROTTLED = 0.75
#: NVML's reasons for a lower clock: bits, and their names. `SLOWED` are those for which a sample is dropped at any
#: clock; one that somebody chose (`CHOSEN`) is no lowered one.
REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
SLOWED, CHOSEN = 0x8 | 0x20 | 0x40 | 0x80, 0x2


@dataclass
class Card:
    """Looks at one card. ``reason``: why it cannot."""

    uuid: str | None
    reason: str | None = None
    looks: int = 0
    others: int | None = None
    most_mhz: float | None = None
    _mhz: list[float] = field(default_factory=list)
    _seen: int = 0
    _nvml: Any = None
    _handle: Any = None

    @classmethod
    def of(cls, uuid: str | None) -> Self:
        """Return the card of that UUID, as CUDA names it (``GPU-...`` or ``MIG-...``)."""
        card = cls(uuid)
        if uuid is None:
            card.reason = "the kernel does not say which card it uses"
            return card
        try:
            import pynvml
        except ImportError:
            card.reason = "nvidia-ml-py is not installed: pip install nvidia-ml-py"
            return card
        try:
            pynvml.nvmlInit()
            card._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            card._nvml = pynvml
            card.most_mhz = float(pynvml.nvmlDeviceGetMaxClockInfo(card._handle, pynvml.NVML_CLOCK_SM))
        except pynvml.NVMLError as error:  # no driver's library, or a slice of a card, which has no clock of its own
            card.reason = f"NVML: {error}"
        return card

    def is_throttled(self) -> bool:
        """Look; return whether the clock is lowered so far, or for such a reason, that a sample says nothing."""
        mhz = self._ask(lambda nvml: float(nvml.nvmlDeviceGetClockInfo(self._handle, nvml.NVML_CLOCK_SM)))
        bits = self._ask(lambda nvml: int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._handle)))
        if mhz is None or bits is None:
            return False
        self.looks += 1
        self._mhz = [min([mhz, *self._mhz]), max([mhz, *self._mhz])]
        self._seen |= bits
        is_low = self.most_mhz is not None and mhz < THROTTLED * self.most_mhz
        return bool(bits & SLOWED) or (is_low and not bits & CHOSEN)

    def count_others(self) -> None:
        """Look who computes on the card. One of them is this process: a container does not tell which."""
        there = self._ask(lambda nvml: len(nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)))
        if there is not None:
            self.others = max(self.others or 0, there - 1, 0)

    def energy_mj(self) -> float | None:
        """Return the millijoules that the card has drawn since its driver was loaded; None where NVML does not say."""
        return self._ask(lambda nvml: float(nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)))

    def _ask(self, question: Callable[[Any], T]) -> T | None:
        """Return NVML's answer; None where there is none, and then ``reason`` says why."""
        if self._nvml is None:
            return None
        try:
            return question(self._nvml)
        except self._nvml.NVMLError as error:
            self.reason = f"NVML: {error}"
            return None

    def facts(self) -> CardWatch:
        """Return what was seen."""
        return CardWatch(
            looks=self.looks,
            sm_mhz=(self._mhz[0], self._mhz[1]) if self._mhz else None,
            most_mhz=self.most_mhz,
            slowed=tuple(name for bit, name in REASONS.items() if self._seen & bit),
            others=self.others,
            reason=self.reason,
        )
