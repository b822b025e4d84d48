"""The card that is in use, by NVML: its clock, why that is lowered, and who else computes on it.

NVML is the package ``nvidia-ml-py``, which the extras cuda12 and cuda13 bring. Without it nothing is watched, and the
record says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlpbench.bench.record.device import CardWatch

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
    def of(cls, uuid: str | None) -> Card:
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
        if self._nvml is None:
            return False
        nvml = self._nvml
        try:
            mhz = float(nvml.nvmlDeviceGetClockInfo(self._handle, nvml.NVML_CLOCK_SM))
            bits = int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._handle))
        except nvml.NVMLError as error:
            self.reason = f"NVML: {error}"
            return False
        self.looks += 1
        self._mhz = [min([mhz, *self._mhz]), max([mhz, *self._mhz])]
        self._seen |= bits
        is_low = self.most_mhz is not None and mhz < THROTTLED * self.most_mhz
        return bool(bits & SLOWED) or (is_low and not bits & CHOSEN)

    def count_others(self) -> None:
        """Look who computes on the card. One of them is this process: a container does not tell which."""
        if self._nvml is None:
            return
        try:
            there = len(self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle))
        except self._nvml.NVMLError as error:
            self.reason = f"NVML: {error}"
            return
        self.others = max(self.others or 0, there - 1, 0)

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
