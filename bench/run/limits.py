"""The machine's limits, which are measured after a run: what reports hold its kernels to."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mlpbench.bench.cases import CPU
from mlpbench.bench.machine import roofs
from mlpbench.bench.plan.sweep import Sweep
from mlpbench.bench.record.runs import ROOFS_FILE
from mlpbench.bench.run import looks

#: What a roof takes at most, whatever a case of the profile does.
ROOF_S = 0.15


def measure(folders: Sequence[Path], sweep: Sweep, seconds: float = ROOF_S) -> Iterator[str]:
    """Measure what the machine can do at most, and each device that kernels compute on: for every threads and dtype.

    A run that is resumed may have them. Yield why a limit is not known, as far as that happens.
    """
    seconds = min(seconds, ROOF_S)
    sharing: dict[tuple[int, str], list[Path]] = {}
    devices: dict[tuple[int, str], set[str]] = {}
    bindings = {part.setting.threads: part.plan.binding for part in sweep.parts}
    for folder, part in zip(folders, sweep.parts, strict=True):
        if (folder / ROOFS_FILE).exists():
            continue
        shared = (part.setting.threads, part.setting.dtype)
        sharing.setdefault(shared, []).append(folder)
        devices.setdefault(shared, set()).update(sweep.devices.get(kernel, CPU) for kernel in part.plan.kernels)
    for (threads, dtype), those in sharing.items():
        others = sorted(devices[threads, dtype] - {CPU})
        bound, best = bindings[threads], looks.known(looks.path_for(those[0]))
        if reason := roofs.write(those, threads, dtype, seconds=seconds, devices=others, binding=bound, best=best):
            yield f"limits of the machine: {reason}"
