"""What the speedup is made of: one at a time minus batched, in seconds per sample, divided into causes. Knows no files.

* **Calls saved**: what a call on a network of two neurons a layer costs; a batch shares one.
* **Weights reused**: what it costs every row to read all weights from the level that holds them, and not from L1.
* **Arithmetic**: by how much a single row takes longer than a row of a batch on a smaller network, with weights in L1
  and the calls taken off; and what the real network computes beyond that one, at the least it can be.
* **Unexplained**: the rest, negative where the parts overlap. Nothing is fitted, so it is a test of the explanation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.roofline import Roofs
from mlpbench.bench.analysis.times import ByRepeat
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Ratio

PARTS = ("calls", "weights", "arithmetic", "unexplained")


@dataclass(frozen=True)
class SmallNetworks:
    """What one process measured on the small networks, in seconds: of a call, and per sample.

    ``call_one_s``, ``call_batch_s``: a call of ``forward_one`` and of ``forward`` on two neurons a layer;
    ``neuron_one_s``, ``neuron_batch_s``: on one, where libraries may take another way. ``l1_one_s``,
    ``l1_batch_s``: per sample one at a time and in batches of ``l1_batch`` on the network with weights in L1, which has
    ``l1_weight_bytes`` of weights and does ``l1_flop`` operations per sample. What was not measured is None.
    """

    call_one_s: float
    call_batch_s: float
    neuron_one_s: float | None = None
    neuron_batch_s: float | None = None
    l1_one_s: float | None = None
    l1_batch_s: float | None = None
    l1_batch: int | None = None
    l1_flop: int | None = None
    l1_weight_bytes: int | None = None

    def arithmetic_s(self) -> float | None:
        """Return the seconds by which a sample with weights in L1 takes longer alone than in a batch, without calls."""
        if self.l1_one_s is None or self.l1_batch_s is None or not self.l1_batch:
            return None
        return (self.l1_one_s - self.call_one_s) - (self.l1_batch_s - self.call_batch_s / self.l1_batch)


@dataclass(frozen=True)
class Part:
    """Seconds per sample, with the 95 % interval over repeats; NaN where there is none. Parts may be negative."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Attribution:
    """The parts of one kernel, in seconds per sample; a part that could not be measured is None, its share unexplained.

    ``one_s``, ``batch_s`` and ``gain`` are what they are everywhere (`bench.analysis.times`). Parts are of the repeats
    that have the small networks, and medians part by part: up to these two things, they add up to what is saved.
    """

    batch_size: int
    one_s: float
    batch_s: float
    parts: Mapping[str, Part | None]
    gain: Ratio | None = None

    @property
    def saved_s(self) -> float:
        """Seconds per sample that batching saves."""
        return self.one_s - self.batch_s

    def share(self, name: str) -> float | None:
        """Return a part as a share of what is saved; None for a part that was not measured, or if nothing is saved."""
        part = self.parts[name]
        return None if part is None or self.saved_s <= 0 else part.value / self.saved_s


def weight_cost(weight_bytes: int, place: str, roofs: Roofs) -> float | None:
    """Return the seconds that reading all weights from ``place`` takes longer than from L1; None if not measured.

    On a device, than from its L2: weights of the smaller network are read from there too.
    """
    if place not in roofs.read_s or roofs.nearest not in roofs.read_s:
        return None
    return weight_bytes / roofs.read_s[place] - weight_bytes / roofs.read_s[roofs.nearest]


def arithmetic_cost(flop: int, weight_bytes: int, roofs: Roofs) -> float:
    """Return the seconds that a single row's ``flop`` take longer than at the peak, because it loads every weight.

    The peak of one thread, and weights that are in L1; 0 where L1 was not measured, or gives the units all they take.
    Of a device, its peak and its L2.
    """
    at_peak, nearest = flop / roofs.flop_s, roofs.nearest
    return max(0.0, weight_bytes / roofs.read_s[nearest] - at_peak) if nearest in roofs.read_s else 0.0


def attribute(
    one: ByRepeat,
    batch: ByRepeat,
    small: Mapping[int, SmallNetworks],
    batch_size: int,
    weights_s: float | None,
    beyond_l1_s: float = 0.0,
) -> Attribution | None:
    """Return the parts of the difference between single calls and batches of ``batch_size``.

    ``small``: the small networks of each repeat. ``weights_s``: what `weight_cost` says, None where the roofs are
    missing. ``beyond_l1_s``: what `arithmetic_cost` says of the operations that the smaller network does not do. None
    where no repeat has both sides and the small networks; a single one gives no intervals.
    """
    one_s, batch_s = times.pairs(one, batch)
    repeats = sorted(one_s.keys() & small.keys())
    if not repeats:
        return None
    parts: dict[str, list[float | None]] = {name: [] for name in PARTS}
    for repeat in repeats:
        calls = small[repeat].call_one_s - small[repeat].call_batch_s / batch_size
        weights = None if weights_s is None else weights_s * (1 - 1 / batch_size)
        in_l1 = small[repeat].arithmetic_s()
        arithmetic = None if in_l1 is None else in_l1 + beyond_l1_s
        rest = one_s[repeat] - batch_s[repeat] - sum(part for part in (calls, weights, arithmetic) if part is not None)
        for name, value in zip(PARTS, (calls, weights, arithmetic, rest), strict=True):
            parts[name].append(value)
    return Attribution(
        batch_size=batch_size,
        one_s=estimates.estimate(one.by_repeat).value,
        batch_s=estimates.estimate(batch.by_repeat).value,
        # The weights' part comes from the run's roofs, not from repeats: it has no interval.
        parts={name: _part(values, of_repeats=name != "weights") for name, values in parts.items()},
        gain=times.ratio(one, batch),
    )


def _part(values: Sequence[float | None], *, of_repeats: bool) -> Part | None:
    """Return the median over repeats with Student's interval, on the plain scale: parts may be 0 or negative."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    middle, n = float(np.median(known)), len(known)
    if n == 1 or not of_repeats:
        return Part(middle, math.nan, math.nan)
    factor = estimates.MEDIAN_FACTORS.get(n, math.sqrt(math.pi / 2))
    half = float(estimates.student(0.975, n - 1) * np.std(known, ddof=1) * factor / math.sqrt(n))
    return Part(middle, middle - half, middle + half)
