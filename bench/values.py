"""What people type: times, numbers of threads, batch sizes, dtypes, thresholds."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, get_args

from mlpbench.bench.cases import ALL_ROWS
from mlpbench.bench.errors import UserError
from mlpbench.kernels.base import processors
from mlpbench.kernels.spec import DType

if TYPE_CHECKING:
    from collections.abc import Sequence


_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_WRITTEN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|ms|us|µs|ns)\s*", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration: a number and one of s, ms, us, ns. Raises UserError."""
    found = _WRITTEN.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise UserError(f"{text!r} is not a duration: write a number above 0 and its unit, as 5ms or 200us")
    return seconds


#: A million rows of 784 float32 are 3 GB; more is a typing error.
MAX_BATCH_SIZE = 1_000_000


def parse_batch_size(text: str) -> int:
    """Read a batch size: a number of rows, or ``all`` for 10,000. Raises UserError."""
    if text == "all":
        return ALL_ROWS
    try:
        size = int(text)
    except ValueError:
        raise UserError(f"batch size {text!r} is not a whole number: give rows per call, or all") from None
    if not 1 <= size <= MAX_BATCH_SIZE:
        raise UserError(f"batch size {size} is out of range: give 1 to {MAX_BATCH_SIZE} rows per call, or all")
    return size


#: More is a typing error.
MAX_THREADS = 4096


def parse_threads(texts: Sequence[str | int]) -> list[int]:
    """Read numbers of threads: ``1``, ``1,2``, or ``all`` for as many as this process may use. Raises UserError."""
    return [_threads(word) for text in texts for word in str(text).split(",")]


def _threads(word: str) -> int:
    word = word.strip()
    if word == "all":
        return processors()
    count = int(word) if word.isascii() and word.isdecimal() and len(word) < 9 else 0
    if not 1 <= count <= MAX_THREADS:
        raise UserError(f"cannot read the threads {word!r}: give 1 to {MAX_THREADS} or all, several as 1,2")
    return count


def parse_dtypes(texts: Sequence[str]) -> list[str]:
    """Read dtypes: ``float32``, or ``float32,float64``. Raises UserError."""
    found = [word.strip() for text in texts for word in text.split(",")]
    for word in found:
        if word not in get_args(DType):
            raise UserError(f"dtype must be one of {', '.join(get_args(DType))}; got {word!r}")
    return found


def parse_threshold(text: str) -> float:
    """Read a share as people write it, ``5%`` or ``0.05``. Raises UserError for anything else."""
    number, percent = text.strip().removesuffix("%").strip(), text.strip().endswith("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        hint = f"; {number}% if you meant per cent" if not percent and 1 <= value < 100 else ""
        raise UserError(f"cannot read the threshold {text!r}: write a share such as 5% or 0.05, below 100%{hint}")
    return value
