"""What the profile `limits` is held to: targets by kernel, threads and batch size. No other module has any of them.

They are for processors with AVX-512, for float32, and for the network of the book or a wide one; `numba-simd-sparse` is
held to its own on MNIST alone, since how much work it skips depends on the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlpbench.bench.analysis.limits import Setting
    from mlpbench.bench.stats.estimates import Ratio


PROFILE = "limits"
BATCH_SIZES = (1, 2, 8, 32, 100, 1000, 10_000)
BOOK, WIDE = "784-50-100-10", "784-1024-1024-10"

_ONE_THREAD = (3.5, 3.4, 2.0, 1.6, 1.4, 1.4, 1.5)
#: Best peer's time / ours, at least, in the order of `BATCH_SIZES`; by kernel and threads given, on `BOOK`.
PEERS = {
    ("numba-simd", 1): _ONE_THREAD,
    ("numba-simd-new", 1): _ONE_THREAD,
    ("numba-simd-parallel", 2): (3.5, 3.4, 1.7, 1.6, 1.4, 1.5, 1.5),
    ("numba-simd-sparse", 1): (7.0, 6.0, 3.5, 2.8, 2.4, 2.3, 2.8),
}
#: On `WIDE`, at every batch size.
_NOT_SLOWER = 1.0
_ON_WIDE = {("numba-simd", 1), ("numba-simd-new", 1), ("numba-simd-parallel", 2)}
#: Kernels whose results depend on how many inputs are zero, and the data that their targets are for.
_DATA = {"numba-simd-sparse": "mnist"}
#: Share of the multiply-add peak, at least, in batches of 10,000 on `BOOK`.
_PEAK = {("numba-simd", 1): 0.93, ("numba-simd-parallel", 2): 0.92}
#: Time of one row, at most, as a multiple of its weights read from this cache and the cost of a call.
_FLOOR, _FLOOR_FROM = 1.15, "L2"


@dataclass(frozen=True)
class Target:
    """What a ratio is held to."""

    value: float
    at_least: bool = True

    def met(self, ratio: Ratio) -> bool:
        """Whether the ratio's value is on the right side of the target, or on it."""
        return ratio.value >= self.value if self.at_least else ratio.value <= self.value

    def within_noise(self, ratio: Ratio) -> bool:
        """Whether another run might well say the opposite: the interval holds the target. False without interval."""
        return ratio.low <= self.value <= ratio.high


def of_peers(setting: Setting, kernel: str, batch_size: int) -> Target | None:
    """Return the target of best peer / kernel at a batch size."""
    key = (kernel, setting.threads)
    if not _holds(setting) or setting.data != _DATA.get(kernel, setting.data):
        return None
    if setting.spec == WIDE:
        return Target(_NOT_SLOWER) if key in _ON_WIDE else None
    if setting.spec != BOOK or key not in PEERS or batch_size not in BATCH_SIZES:
        return None
    return Target(PEERS[key][BATCH_SIZES.index(batch_size)])


def unheld(setting: Setting, kernel: str) -> str | None:
    """Return why a kernel has no targets on these data where it has some on others; else None."""
    needed = _DATA.get(kernel)
    held = _holds(setting) and setting.spec == BOOK and (kernel, setting.threads) in PEERS
    if not held or needed in (None, setting.data):
        return None
    return f"no targets for {kernel}: they are for {needed}, and how much it skips of {setting.data} is another matter"


def of_peak(setting: Setting, kernel: str, batch_size: int) -> Target | None:
    """Return the target of the share of the multiply-add peak."""
    key = (kernel, setting.threads)
    return Target(_PEAK[key]) if _is_large(setting, batch_size) and key in _PEAK else None


def of_product(setting: Setting, kernel: str, batch_size: int) -> Target | None:
    """Return the target of FLOP/s / those of a square matrix product."""
    return Target(_NOT_SLOWER) if _is_large(setting, batch_size) and (kernel, setting.threads) in _PEAK else None


def of_floor(setting: Setting, kernel: str, memory: str) -> Target | None:
    """Return the target of the time of one row / the least that it can be."""
    held = _holds(setting) and setting.spec == BOOK and memory == _FLOOR_FROM
    return Target(_FLOOR, at_least=False) if held and (kernel, setting.threads) in _PEAK else None


def _holds(setting: Setting) -> bool:
    return setting.profile == PROFILE and setting.dtype == "float32"


def _is_large(setting: Setting, batch_size: int) -> bool:
    return _holds(setting) and setting.spec == BOOK and batch_size == BATCH_SIZES[-1]
