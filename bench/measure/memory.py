"""Resident memory at its peak."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["begin", "peak_bytes"]

_STATUS = Path("/proc/self/status")


def begin() -> int | None:
    """Forget the peak so far, where the system lets us (Linux); return the bytes to measure growth from."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM to the resident memory of now
    return peak_bytes()


def peak_bytes() -> int | None:
    """Return the most memory that this process has had resident, in bytes, since `begin`."""
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
