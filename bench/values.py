"""Durations as people write them: ``5ms``."""

from __future__ import annotations

import re

from mlpbench.bench.errors import UserError

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_WRITTEN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|ms|us|µs|ns)\s*", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration: a number and one of s, ms, us, ns. Raises UserError."""
    found = _WRITTEN.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise UserError(f"{text!r} is not a duration: write a number above 0 and its unit, as 5ms or 200us")
    return seconds
