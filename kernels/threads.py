"""How many threads a process was given, for libraries that do not ask the environment themselves."""

from __future__ import annotations

import os

__all__ = ["asked", "available"]


def available() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def asked() -> int:
    """Return ``OMP_NUM_THREADS``, which `mlpbench run` sets for every process; `available` where it says nothing."""
    # OpenMP takes a list, one number for each level of nesting: the first is the outermost.
    outermost = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(outermost) if outermost.isdecimal() and int(outermost) > 0 else available()
