"""Measures the machine's limits when a run is over, and writes ``roofs.json``: what reports hold its kernels to."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mlpbench.bench.cases import CPU
from mlpbench.bench.groups import grouped
from mlpbench.bench.machine import child, look
from mlpbench.bench.plan.sweep import Sweep
from mlpbench.bench.record.device import DeviceRoofs, RoofsFile, RoofsHead
from mlpbench.bench.record.plan import Binding
from mlpbench.bench.record.runs import ROOFS_FILE
from mlpbench.bench.record.trust import BestLook
from mlpbench.bench.record.write import write_atomically
from mlpbench.bench.registered import modules

#: What a roof takes at most, whatever a case of the profile does.
ROOF_S = 0.15
#: A process that takes longer is stuck: it takes two to five seconds.
TIMEOUT_S = 120


def after_run(folders: Sequence[Path], sweep: Sweep, seconds: float = ROOF_S) -> Iterator[str]:
    """Measure the limits of the CPU and of each device, unless a resumed run has them; yield why one is missing."""
    parts = zip(folders, sweep.parts, strict=True)
    lacking = ((folder, part) for folder, part in parts if not (folder / ROOFS_FILE).exists())
    sharing = grouped(((part.setting.threads, part.setting.dtype), (folder, part.plan)) for folder, part in lacking)
    for (threads, dtype), those in sharing.items():
        devices = {sweep.devices.get(kernel, CPU) for _, plan in those for kernel in plan.kernels}
        reason = write(
            [folder for folder, _ in those],
            threads,
            dtype,
            seconds=min(seconds, ROOF_S),
            devices=sorted(devices - {CPU}),
            binding=those[0][1].binding,
            best=look.known(those[0][0]),
        )
        if reason:
            yield f"limits of the machine: {reason}"


def write(
    folders: Iterable[Path],
    threads: int,
    dtype: str,
    seconds: float,
    devices: Collection[str] = (),
    binding: Binding | None = None,
    best: Collection[BestLook] = (),
) -> str | None:
    """Measure each roof for ``seconds``, in bound processes, and write ``roofs.json`` to each folder.

    ``best``: the machine's fastest known looks. Return why there are no roofs of the CPU or of a device, else None.
    """
    asked = {"dtype": dtype, "seconds": seconds}
    cpu = _ask(CPU, threads, binding, {**asked, "threads": threads, "best": msgspec.to_builtins(list(best))})
    others = tuple(_ask(device, threads, binding, asked) for device in devices)
    file = RoofsFile(RoofsHead(devices=(cpu, *others)))
    for folder in folders:
        write_atomically(folder / ROOFS_FILE, file)
    of_devices = (f"{other.device}: {other.reason}" for other in others if other.reason)
    return "; ".join(filter(None, (cpu.reason, *of_devices))) or None


def _ask(device: str, threads: int, binding: Binding | None, asked: dict[str, Any]) -> DeviceRoofs:
    """Run the module `roofs` of the wing that measures a device; return what it measured, or why it did not."""
    name = next((module.__name__ for module in modules("roofs") if device == module.DEVICE), None)
    if name is None:
        return DeviceRoofs(device=device, reason="nothing here measures the limits of such a device")
    answer = child.ask(name, asked, threads=threads, binding=binding, timeout_s=TIMEOUT_S)
    if answer.found is None:
        return DeviceRoofs(device=device, reason=answer.reason)
    return msgspec.convert(answer.found, DeviceRoofs)
