"""The calibration spin as Numba compiles it. Importing this imports Numba, and loads the spin from its cache."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["INSTRUCTIONS_PER_STEP", "chain"]

#: Three shifts and three exclusive ors, each of which needs the result of the one before: nothing can overlap them.
INSTRUCTIONS_PER_STEP = 6


def _chain(x: Any, steps: Any) -> Any:
    """Return the state of Marsaglia's xorshift64 after ``steps`` steps from ``x``.

    LLVM has no closed form for it, and the result is used, so that every step is computed. G. Marsaglia, "Xorshift
    RNGs", Journal of Statistical Software 8 (2003).
    """
    for _ in range(steps):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
    return x


chain: Any = numba.njit("uint64(uint64, int64)", cache=True)(_chain)
