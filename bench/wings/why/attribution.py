"""What the speedup is made of: one at a time minus batched, in seconds per sample, divided into causes. Knows no files.

* **Calls saved**: what a call on a network of two neurons a layer costs; a batch shares one.
* **Weights reused**: what it costs every row to read all weights from the level that holds them, and not from L1.
* **Arithmetic**: by how much a single row takes longer than a row of a batch on a smaller network, with weights in L1
  and the calls taken off; and what the real network computes beyond that one, at the least it can be.
* **Unexplained**: the rest. Nothing is fitted, so it is a test of the explanation.

The rule of the shares, which lie between 0 and 100 % and add up to the gain:

1. A share is a part of what batching saves in the same repeat; it is the median over repeats, with Student's interval.
2. Reading hides behind arithmetic. So weights count up to what the other causes leave.
3. A share below 0 counts as 0 if its interval reaches 0, or `NOTHING` at least. The others are scaled to 100 %.
4. Otherwise, where batching may save nothing, and where the largest share is too unsure, a reason stands instead.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.times import CaseTimes
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Estimate, Ratio
from mlpbench.bench.wings.why.bounds import Roofs
from mlpbench.bench.wings.why.evidence import SmallNetworks

PARTS = ("calls", "weights", "arithmetic", "unexplained")
#: A share of the gain that no measurement of ours resolves, and half the width of an interval that says nothing.
NOTHING, UNSURE = 0.02, 0.25


@dataclass(frozen=True)
class Attribution:
    """The parts of one kernel, in seconds per sample, which add up to what is saved. None: not measured."""

    batch_size: int
    one_s: float
    batch_s: float
    parts: Mapping[str, Estimate | None]
    gain: Ratio

    @property
    def saved_s(self) -> float:
        """Seconds per sample that batching saves."""
        return self.one_s - self.batch_s

    def share(self, name: str) -> float | None:
        """Return a part as a share of what is saved."""
        part = self.parts[name]
        return None if part is None else part.value / self.saved_s

    def unsure(self, name: str) -> bool:
        """Return whether nobody knows a part: its interval is too wide."""
        part = self.parts[name]
        return part is not None and part.half > UNSURE * self.saved_s


def weight_cost(weight_bytes: int, place: str, roofs: Roofs) -> float | None:
    """Return the seconds that reading all weights from ``place`` takes longer than from the nearest cache, if known."""
    if place not in roofs.read_s or roofs.nearest not in roofs.read_s:
        return None
    return weight_bytes / roofs.read_s[place] - weight_bytes / roofs.read_s[roofs.nearest]


def arithmetic_cost(flop: int, weight_bytes: int, roofs: Roofs) -> float:
    """Return the seconds that a single row's ``flop`` take longer than at the peak, if loading from L1 is slower."""
    at_peak, nearest = flop / roofs.flop_s, roofs.nearest
    return max(0.0, weight_bytes / roofs.read_s[nearest] - at_peak) if nearest in roofs.read_s else 0.0


def attribute(
    one: CaseTimes,
    batch: CaseTimes,
    gain: Ratio | None,
    small: Mapping[int, SmallNetworks],
    batch_size: int,
    weights_s: float | None,
    beyond_l1_s: float = 0.0,
) -> Attribution | str:
    """Return the parts of what batches save, or why it has none; ``gain`` is the ratio, ``small`` by repeat.

    ``weights_s``: what `weight_cost` says; ``beyond_l1_s``: `arithmetic_cost` beyond the smaller network.
    """
    ones, batches = times.pairs(one, batch)
    saved = {at: ones[at] - batches[at] for at in sorted(ones.keys() & small.keys())}
    if gain is None or not saved:
        return "no repeat has both sides and the cost of a call"
    if not gain.claims:
        return str(gain.reason)
    if not gain.low > 1 or min(saved.values()) <= 0:
        return "batching saves nothing" if gain.high < 1 else "whether batching saves anything is unclear"
    if len(saved) == 1:
        return "one repeat alone has the cost of a call"
    of_parts: dict[str, list[float]] = {name: [] for name in PARTS}
    for at, whole in saved.items():
        parts = {
            "calls": small[at].call_one_s - small[at].call_batch_s / batch_size,
            "weights": None if weights_s is None else weights_s * (1 - 1 / batch_size),
            "arithmetic": None if (in_l1 := small[at].arithmetic_s()) is None else in_l1 + beyond_l1_s,
        }
        known = {name: seconds for name, seconds in parts.items() if seconds is not None}
        for name, seconds in (*known.items(), ("unexplained", whole - sum(known.values()))):
            of_parts[name].append(seconds / whole)
    shares = _added_up({name: _median(values) for name, values in of_parts.items() if len(values) == len(saved)})
    if isinstance(shares, str):
        return shares
    one_s, batch_s = (estimates.estimate(side.by_repeat).value for side in (one, batch))
    parts_s = {name: share.through(lambda end: end * (one_s - batch_s)) for name, share in shares.items()}
    return Attribution(batch_size, one_s, batch_s, dict.fromkeys(PARTS) | parts_s, gain)


def _added_up(shares: Mapping[str, Estimate]) -> dict[str, Estimate] | str:
    """Return shares between 0 and 1 that add up to 1, by the rule above; or why there are none."""
    parts, rest = dict(shares), shares["unexplained"]
    # What reading the weights costs comes from the run's roofs and not from repeats.
    if weights := parts.pop("weights", None):
        hidden = min(max(-rest.value, 0.0), weights.value)
        parts["unexplained"] = rest.through(lambda share: share + hidden)
        ends = (weights.value + rest.low, weights.value + rest.high) if hidden else (math.nan, math.nan)
        parts["weights"] = Estimate(weights.value - hidden, *ends, rest.n)
    if below := [name for name, part in parts.items() if max(part.value, part.high) < -NOTHING]:
        more = "unexplained" in below
        return "the causes explain more than there is" if more else f"{below[0]} came out below 0"
    whole = sum(max(part.value, 0.0) for part in parts.values())
    parts = {name: part.through(lambda end: min(max(end / whole, 0.0), 1.0)) for name, part in parts.items()}
    if max(parts.values(), key=lambda part: part.value).half > UNSURE:
        return "repeats disagree about the shares"
    return parts


def _median(values: Sequence[float]) -> Estimate:
    """Return the median over repeats with Student's interval, on the plain scale: parts may be 0 or negative."""
    middle, n = float(np.median(values)), len(values)
    factor = estimates.MEDIAN_FACTORS.get(n, math.sqrt(math.pi / 2))
    half = float(estimates.student(0.975, n - 1) * np.std(values, ddof=1) * factor / math.sqrt(n))
    return Estimate(middle, middle - half, middle + half, n)
