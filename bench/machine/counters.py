"""What the processor counts and what the machine draws, where the system shows it, and never in the timed rounds.

Events come from Linux (``perf_event_open``), for every thread of this process; energy from the ``powercap`` files of
the processors' packages, which is all that runs on them, and from NVML for a card.
"""

import ctypes
import errno
import fcntl
import os
import platform
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
#: Type and number of each event in Linux's ``perf_event.h``; those of type 0 are the hardware's.
EVENTS = {"instructions": (0, 1), "cycles": (0, 0), "cache_misses": (0, 3), "page_faults": (1, 2)}
#: The number of ``perf_event_open`` by architecture.
_SYSCALLS = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
#: ``perf_event_attr`` in its first version: type, size, config, period, sample type, read format, flags, four more.
_ATTRIBUTES = "IIQQQQQIIQ"
#: With the times for which an event was asked and counted: the hardware has few counters, and takes turns.
_READ_FORMAT = 1 | 2
#: Disabled at first, inherited by new threads, without the kernel and without the hypervisor.
_FLAGS = 1 | 2 | 1 << 5 | 1 << 6
_ENABLE, _DISABLE = 0x2400, 0x2401


@dataclass
class Counted:
    """What was counted, by name, and for what is missing why. ``joules`` of the packages or of a card."""

    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@contextmanager
def counting(card_mj: Callable[[], float | None] | None = None) -> Iterator[Counted]:
    """Count what happens inside; the result is there at the end. ``card_mj``: the millijoules that a card has drawn."""
    found = Counted()
    opened = dict(_opened(found.missing))
    before = _drawn(card_mj, found.missing)
    for files in opened.values():
        for file in files:
            fcntl.ioctl(file, _ENABLE, 0)
    try:
        yield found
    finally:
        for name, files in opened.items():
            for file in files:
                fcntl.ioctl(file, _DISABLE, 0)
            if (value := _sum(files)) is None:
                found.missing[name] = "the counters were busy with other events"
            else:
                found.values[name] = value
        if before:
            after = _drawn(card_mj, found.missing)
            found.values["joules"] = sum(_grown(name, before[name], after.get(name, before[name])) for name in before)
        for file in (file for files in opened.values() for file in files):
            os.close(file)


def _opened(missing: dict[str, str]) -> Iterator[tuple[str, list[int]]]:
    """Yield the files of each event that can be counted, one for each thread; say of the others why not."""
    number = _SYSCALLS.get(platform.machine())
    if sys.platform != "linux" or number is None:
        missing |= dict.fromkeys(EVENTS, f"no performance events on {platform.system()} {platform.machine()}")
        return
    libc = ctypes.CDLL(None, use_errno=True)
    threads = [int(path.name) for path in Path("/proc/self/task").iterdir()]
    for name, (kind, config) in EVENTS.items():
        size = struct.calcsize(_ATTRIBUTES)
        attributes = struct.pack(_ATTRIBUTES, kind, size, config, 0, 0, _READ_FORMAT, _FLAGS, 0, 0, 0)
        files: list[int] = []
        for thread in threads:
            file = libc.syscall(number, attributes, thread, -1, -1, 0)
            if file >= 0:
                files.append(file)
            elif (code := ctypes.get_errno()) != errno.ESRCH:  # a thread that has just ended counts nothing
                missing[name] = _reason(code)
                break
        if name in missing:
            for file in files:
                os.close(file)
        else:
            yield name, files


def _reason(code: int) -> str:
    if code in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
        return "the processor, or the hypervisor, shows no such counter"
    if code in (errno.EACCES, errno.EPERM):
        return "not permitted: sysctl kernel.perf_event_paranoid=2 allows it"
    return f"not available: {os.strerror(code)}"


def _sum(files: list[int]) -> float | None:
    """Return the counts of all threads, each scaled to the time for which it was asked; None where none counted."""
    total, counted = 0.0, False
    for file in files:
        value, asked, ran = struct.unpack("QQQ", os.read(file, 24))
        counted |= bool(ran) or not asked
        total += value * asked / ran if ran else 0.0
    return total if counted else None


def _drawn(card_mj: Callable[[], float | None] | None, missing: dict[str, str]) -> dict[str, float]:
    """Return joules by who has drawn them: a card where one is given, else the processors' packages."""
    if card_mj is None:
        return _joules(missing)
    if (drawn := card_mj()) is None:
        missing["joules"] = "NVML does not say what the card draws"
        return {}
    return {"card": drawn / 1e3}


def _joules(missing: dict[str, str]) -> dict[str, float]:
    """Return what each package has drawn since some moment, by its folder; nothing, and why, where that is hidden."""
    packages = [path for path in sorted(POWERCAP.glob("*:*")) if path.name.count(":") == 1]
    found: dict[str, float] = {}
    for path in packages:
        try:
            if (path / "name").read_text(encoding="ascii").startswith("package"):
                found[path.name] = int((path / "energy_uj").read_text(encoding="ascii")) / 1e6
        except PermissionError:
            missing["joules"] = f"not permitted: {path / 'energy_uj'} is for its owner alone"
            return {}
        except (OSError, ValueError) as error:
            missing["joules"] = f"{path}: {error}"
            return {}
    if not found:
        missing["joules"] = "the system shows no energy counter (powercap)"
    return found


def _grown(name: str, before: float, after: float) -> float:
    """Return by how much a counter grew, which begins again at the end of its range."""
    if after >= before:
        return after - before
    with suppress(OSError, ValueError):
        return after - before + int((POWERCAP / name / "max_energy_range_uj").read_text(encoding="ascii")) / 1e6
    return 0.0
