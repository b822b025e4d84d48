"""Keeps a processor busy as neighbours do, for the figures of docs/evidence/statistics.md on a quiet machine.

`taskset -c 1 python scripts/hogs.py copy --seconds 60`, beside `taskset -c 0,1 mlpbench calibrate`.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: What each hog does; ``burst`` multiplies for 10 ms and sleeps for 10 ms.
KINDS = ("fma", "copy", "l3", "burst")


def work(kind: str) -> Callable[[], object]:
    """Return a call of about a millisecond."""
    import numpy as np

    if kind == "copy":
        there, here = np.ones((2, 2**24), np.uint8)
        return lambda: np.copyto(here, there)
    if kind == "l3":
        table = np.random.default_rng(0).permutation(2**21)
        places = np.random.default_rng(1).integers(0, len(table), 50_000)
        return lambda: table[table[places]]
    a = np.random.default_rng(0).random((256, 256)).astype(np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out)


def main() -> None:
    """Be busy for some seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # before NumPy is loaded
    call = work(asked.kind)
    ends = time.monotonic() + asked.seconds
    while (now := time.monotonic()) < ends:
        while time.monotonic() < now + 0.01:
            call()
        if asked.kind == "burst":
            time.sleep(0.01)


if __name__ == "__main__":
    main()
