"""What people type: times, shares, batch sizes, threads, dtypes. Every mistake is a UserError of one line."""

import math
import os
import re
from pathlib import Path
from typing import get_args

from mlpbench.bench.cases import ALL_ROWS
from mlpbench.bench.errors import UserError
from mlpbench.kernels.base import processors
from mlpbench.kernels.registry import one_of
from mlpbench.kernels.spec import DType

#: More is a typing error: a million rows of 784 float32 are 3 GB.
MAX_DURATION_S, MAX_BATCH_SIZE, MAX_THREADS = 7 * 24 * 3600, 1_000_000, 4096

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_TIME = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]*)\s*", re.ASCII)


def home(path: Path) -> Path:
    """Return a path with the home folder in place of its ``~``; as it is where nobody has that home."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises for ~nobody


def parse_duration(text: str, no_unit: float = math.nan) -> float:
    """Return the seconds of a number and its unit, from ns to h; of a number alone, in ``no_unit``."""
    match, seconds = _TIME.fullmatch(text.lower()), math.nan
    if match:
        seconds = float(match[1]) * (_UNITS.get(match[2], math.nan) if match[2] else no_unit)
    if not 0 < seconds <= MAX_DURATION_S:
        raise UserError(f"cannot read the time {text!r}: give a number and its unit, as 5ms, 90s or 2h, up to a week")
    return seconds


def parse_threshold(text: str) -> float:
    """Return a share, written ``5%`` or ``0.05``."""
    number, percent = text.strip().removesuffix("%").strip(), text.strip().endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        hint = f"; {number}% if you meant per cent" if not percent and 1 <= share < 100 else ""
        raise UserError(f"cannot read the threshold {text!r}: write a share such as 5% or 0.05, below 100%{hint}")
    return share


def parse_whole(text: str, what: str, least: int, most: int, hint: str = "") -> int:
    """Return a whole number from ``least`` to ``most``; ``what`` it is, and a ``hint``, go into the error."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
    if not least <= number <= most:
        raise UserError(f"cannot read the {what} {text!r}: give a whole number from {least:,} to {most:,}{hint}")
    return number


def parse_batch_size(text: str) -> int:
    """Return a number of rows; ``all`` is 10,000."""
    return ALL_ROWS if text == "all" else parse_whole(text, "batch size", 1, MAX_BATCH_SIZE, ", or all")


def parse_threads(text: str) -> list[int]:
    """Return numbers of threads: ``1``, ``1,2``, or ``all`` for as many as this process may use."""
    hint, words = " or all, several as 1,2", map(str.strip, text.split(","))
    return [processors() if word == "all" else parse_whole(word, "threads", 1, MAX_THREADS, hint) for word in words]


def parse_dtypes(text: str) -> list[str]:
    """Return dtypes: ``float32``, or ``float32,float64``."""
    return [one_of("dtype", word.strip(), get_args(DType)) for word in text.split(",")]
