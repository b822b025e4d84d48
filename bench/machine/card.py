"""The GPU in use: which card it is, how another one is chosen, and what NVML (``nvidia-ml-py``) sees of it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Self, TypeVar

import msgspec

from mlpbench.bench.clock import now
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.device import CardWatch
from mlpbench.bench.record.environment import Gpu
from mlpbench.kernels.base import Facts

T = TypeVar("T")
VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
#: A clock below this share of the first second's is reported. To the highest nothing compares: people lock clocks.
FELL, FIRST_S = 0.9, 1.0
#: NVML's reasons for a lower clock: bits, and their names. Those of `SLOWED` drop a sample.
REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
SLOWED = 0x8 | 0x20 | 0x40 | 0x80


def chosen(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make a card the only one, by its UUID or its index among those visible.

    Where all are visible, the index is that of `nvidia-smi`. Raises UserError.
    """
    visible = [word.strip() for word in environ.get(VISIBLE, "").split(",") if word.strip()]
    if text.startswith(("GPU-", "MIG-")):
        return {VISIBLE: text}
    if not text.isdecimal():
        raise UserError(f"--device {text}: give a card's index, or its UUID as nvidia-smi -L shows it (GPU-, MIG-)")
    if not visible:
        return {VISIBLE: text, ORDER: "PCI_BUS_ID"}
    if int(text) >= len(visible):
        raise UserError(f"--device {text}: {VISIBLE}={environ[VISIBLE]} leaves {len(visible)}, counted from 0")
    return {VISIBLE: visible[int(text)]}


def use(device: str | None) -> None:
    """Let this process, and those that it starts, see one card alone; None leaves them all. Raises UserError."""
    if device is not None:
        os.environ.update(chosen(device, os.environ))


def in_use(used: Facts | None = None) -> Gpu:
    """Return the card that a kernel uses, else the first visible one; where NVML is silent, in the kernel's words."""
    kernels: dict[str, Any] = {}
    if used and used.device_name:
        kernels = {"name": used.device_name, "uuid": used.device_uuid}
        if isinstance(size := used.others.get("memory_bytes"), int):
            kernels["memory"] = f"{size // 2**20} MiB"
    card = Card.of(kernels.get("uuid", ""))
    seen = card.identity()
    if not kernels and not seen:
        return Gpu(available=False, reason=card.reason)
    return msgspec.convert({"available": True, "reason": None if seen else card.reason, **kernels, **seen}, Gpu)


@dataclass
class Card:
    """One card, as NVML sees it. ``reason``: why it does not."""

    reason: str | None = None
    others: int | None = None
    most_mhz: float | None = None
    clock: Callable[[], float] = now
    _mhz: list[tuple[float, float]] = field(default_factory=list)
    _seen: int = 0
    _nvml: Any = None
    _handle: Any = None

    @classmethod
    def of(cls, which: str | None) -> Self:
        """Return a card by its UUID, as CUDA names it (``GPU-...`` or ``MIG-...``), or by its index; "": the first."""
        if which is None:
            return cls("the kernel does not say which card it uses")
        try:
            import pynvml
        except ImportError:
            return cls("nvidia-ml-py, which sees GPUs, is not installed")
        which = which or os.environ.get(VISIBLE, "").partition(",")[0].strip() or "0"
        try:
            pynvml.nvmlInit()
            by_index, by_uuid = pynvml.nvmlDeviceGetHandleByIndex, pynvml.nvmlDeviceGetHandleByUUID
            card = cls(_nvml=pynvml, _handle=by_index(int(which)) if which.isdecimal() else by_uuid(which))
        except pynvml.NVMLError as error:  # no driver's library, or no such card
            return cls(f"NVML: {error}")
        card.most_mhz = card._ask("DeviceGetMaxClockInfo", float, pynvml.NVML_CLOCK_SM)
        return card

    def identity(self) -> dict[str, str | int]:
        """Return the fields of `Gpu` that NVML tells."""
        answers = {
            "name": self._ask("DeviceGetName", str),
            "uuid": self._ask("DeviceGetUUID", str),
            "driver": self._ask("SystemGetDriverVersion", str),
            "memory": self._ask("DeviceGetMemoryInfo", lambda memory: f"{memory.total // 2**20} MiB"),
            "power_limit": self._ask("DeviceGetPowerManagementLimit", lambda mw: f"{mw / 1e3:.2f} W"),
            "cards": self._ask("DeviceGetCount", int),
        }
        return {name: answer for name, answer in answers.items() if answer is not None}

    def memory_limit(self) -> int | None:
        """Return the bytes that a process may take there, nine tenths of what nobody uses; None if NVML is silent."""
        return self._ask("DeviceGetMemoryInfo", lambda memory: int(0.9 * memory.free))

    def is_throttled(self) -> bool:
        """Look; return whether the clock is lowered for heat or a brake, so that a sample says nothing."""
        mhz = self._ask("DeviceGetClockInfo", float, self._nvml and self._nvml.NVML_CLOCK_SM)
        bits = self._ask("DeviceGetCurrentClocksThrottleReasons", int)
        if mhz is None or bits is None:
            return False
        self._mhz.append((self.clock(), mhz))
        self._seen |= bits
        return bool(bits & SLOWED)

    def count_others(self) -> None:
        """Look who computes on the card. One of them is this process: a container does not tell which."""
        processes = self._ask("DeviceGetComputeRunningProcesses", len)
        if processes is not None:
            self.others = max(self.others or 0, processes - 1, 0)

    def energy_mj(self) -> float | None:
        """Return the millijoules that the card has drawn since its driver was loaded; None where NVML does not say."""
        return self._ask("DeviceGetTotalEnergyConsumption", float)

    def _ask(self, question: str, read: Callable[[Any], T], *arguments: Any) -> T | None:
        """Return NVML's answer; None where there is none, and then ``reason`` says why."""
        if self._nvml is None:
            return None
        of_card = (self._handle, *arguments) if question.startswith("Device") and question != "DeviceGetCount" else ()
        try:
            return read(getattr(self._nvml, f"nvml{question}")(*of_card))
        except self._nvml.NVMLError as error:
            self.reason = f"NVML: {error}"
            return None

    def facts(self) -> CardWatch:
        """Return what was seen."""
        clocks, slowed = [mhz for _, mhz in self._mhz], [name for bit, name in REASONS.items() if self._seen & bit]
        first = [mhz for at, mhz in self._mhz if at <= self._mhz[0][0] + FIRST_S]  # the card was warm by then
        if first and min(clocks) < FELL * median(first):
            slowed.append("a clock below that of the first second")
        seen = {"most_mhz": self.most_mhz, "slowed": tuple(slowed), "others": self.others, "reason": self.reason}
        return CardWatch(sm_mhz=(min(clocks), max(clocks)) if clocks else None, **seen)  # type: ignore[arg-type]
