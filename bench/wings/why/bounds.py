"""The roofline model: what a call must at least do, and how long the machine takes for that. Knows no files.

S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures", Communications of the ACM 52 (2009). These floors bound a call from below:

* arithmetic: its floating-point operations at the machine's peak;
* weights: each is read at least once a call, from the nearest level of memory that holds them all;
* inputs: each is read once, from the nearest level that holds all rows that the calls rotate through;
* launch: on a device, a launch that does nothing and the wait for it take their time.

The longest floor is the roof that binds; its share, floor / measured time, cannot be above 1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from mlpbench.bench import words
from mlpbench.bench.cases import CPU
from mlpbench.kernels.base import Facts
from mlpbench.kernels.spec import ForwardSpec

#: Bytes of an input, or of a weight, by what a kernel says of its dtype and arithmetic; of others the specification's.
_ITEMS = {"uint8": 1, "float16": 2, "bfloat16": 2, "fp16": 2, "bf16": 2, "int8": 1}
LEVELS = ("L1", "L2", "L3", "DRAM")
#: Peaks are measured minutes before the cases, and a processor's clock wanders by a few per cent: 105 % is still 100 %.
IMPOSSIBLE = 1.05


@dataclass(frozen=True)
class Roofs:
    """What the machine does at most with ``threads`` threads: FLOP/s, and bytes/s read from each of `LEVELS`.

    ``caches``: bytes by level of one core, of L3 in all. ``arithmetic``: the measurement that gave the peak.
    ``disturbed``: something else ran, and they may be too low. Of a ``device``, called ``name``, which counts as one
    thread, ``peaks``: FLOP/s and the measurement by arithmetic; ``launch_s``: an empty launch and its wait, by how.
    """

    threads: int
    flop_s: float
    arithmetic: str
    read_s: Mapping[str, float]
    caches: Mapping[str, int]
    device: str = CPU
    name: str | None = None
    peaks: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    launch_s: Mapping[str, float] = field(default_factory=dict)
    disturbed: bool = False

    def of(self, arithmetic: object) -> Self:
        """Return the roofs of a kernel that computes products so, if it says; an unmeasured peak bounds nothing."""
        if not isinstance(arithmetic, str) or (not self.peaks and arithmetic in ("fp32", "fp64")):
            return self
        peaks = dict(self.peaks)
        if "tf32" in peaks and "fp32" in peaks:  # three products make one of float32, beside which other units may work
            peaks["3xtf32"] = (peaks["tf32"][0] / 3 + peaks["fp32"][0], f"a third of {peaks['tf32'][1]}, and fp32")
        flop_s, name = peaks.get(arithmetic, (math.inf, f"{arithmetic}, not measured"))
        return replace(self, flop_s=flop_s, arithmetic=name)

    @property
    def nearest(self) -> str:
        """The level that is nearest to the arithmetic when a call begins."""
        return "L1" if self.device == CPU else "L2"

    @property
    def whose(self) -> str:
        """Who is held to them, in words: so many threads, or the device."""
        return self.device if self.device != CPU else words.things(self.threads, "thread")


@dataclass(frozen=True)
class Work:
    """The least that a call does. ``input_footprint``: all the bytes of input that the calls rotate through."""

    flop: int
    weight_bytes: int
    input_bytes: int
    output_bytes: int
    input_footprint: int

    @classmethod
    def of(cls, spec: ForwardSpec, rows: int, timed_rows: int, used: Facts | None = None) -> Self:
        """Return the work of a call on ``rows`` rows that rotates through ``timed_rows``, in the bytes ``used``."""
        item = spec.np_dtype.itemsize
        input_item = _ITEMS.get((used and used.input_dtype) or "", item)
        weight_item = _ITEMS.get((used and used.arithmetic) or "", item)
        return cls(
            flop=spec.flop(rows),
            weight_bytes=spec.weight_bytes() // item * weight_item,
            input_bytes=spec.input_bytes(rows) // item * input_item,
            output_bytes=rows * spec.n_out * item,
            input_footprint=spec.input_bytes(max(rows, timed_rows)) // item * input_item,
        )

    @property
    def intensity(self) -> float:
        """Floating-point operations for each byte that must be read or written."""
        return self.flop / (self.weight_bytes + self.input_bytes + self.output_bytes)


@dataclass(frozen=True)
class Floor:
    """Seconds that a call takes at least, because of ``what``: arithmetic, weights, inputs, launch; and the roof."""

    what: str
    roof: str
    seconds: float


@dataclass(frozen=True)
class RoofVerdict:
    """How near a case comes to the roof that binds it: ``share`` is floor / measured; above 1 it has a ``reason``."""

    binding: Floor
    share: float
    impossible: bool = False
    reason: str | None = None


def level(n_bytes: int, caches: Mapping[str, int], threads: int = 1) -> str:
    """Return the nearest level that holds so many bytes, divided among the private caches of ``threads`` cores."""
    for name, cache, private in (("L1", "L1d", True), ("L2", "L2", True), ("L3", "L3", False)):
        if cache in caches and n_bytes <= caches[cache] * (threads if private else 1):
            return name
    return "DRAM"


def floors(work: Work, roofs: Roofs) -> list[Floor]:
    """Return the floors of a call, the binding one first. A level without a measured bandwidth gives none."""
    found = [Floor("arithmetic", roofs.arithmetic, work.flop / roofs.flop_s)]
    reads = (("weights", work.weight_bytes, work.weight_bytes), ("inputs", work.input_bytes, work.input_footprint))
    for what, n_bytes, footprint in reads:
        place = level(footprint, roofs.caches, roofs.threads)
        if place in roofs.read_s:
            found.append(Floor(what, place, n_bytes * _seconds_per_byte(place, footprint, roofs)))
    if roofs.launch_s:
        seconds, how = min((seconds, how) for how, seconds in roofs.launch_s.items())
        found.append(Floor("launch", how, seconds))
    return sorted(found, key=lambda floor: -floor.seconds)


def _seconds_per_byte(place: str, footprint: int, roofs: Roofs) -> float:
    """Return the least that a byte of so many takes at ``place``: the cache before it may hold a part, read faster."""
    slow = 1 / roofs.read_s[place]
    before = {"DRAM": ("L3", "L2"), "L3": ("L2",)}.get(place, ())
    nearer = next((name for name in before if name in roofs.caches), "")
    if nearer not in roofs.read_s:
        return slow
    size = roofs.caches[nearer] * (roofs.threads if nearer == "L2" else 1)
    kept = min(size / footprint, 1.0)
    return kept * min(slow, 1 / roofs.read_s[nearer]) + (1 - kept) * slow


def judge(work: Work, roofs: Roofs, call_s: float, *, skips: bool = False, why: str = "") -> RoofVerdict:
    """Return the share of the binding roof of a call that took ``call_s``; ``why`` is the likely cause of too much."""

    def verdict(floor: Floor, reason: str | None = None, *, impossible: bool = False) -> RoofVerdict:
        return RoofVerdict(floor, floor.seconds / call_s, impossible, reason)

    first, *_ = all_floors = floors(work, roofs)
    # Another library may launch faster than CuPy, by which the floor of a launch is measured: it refuses nothing.
    found = [floor for floor in all_floors if floor.what != "launch"]
    # Roofs that were measured while something else ran were a sixth at a load of 8 on two processors.
    binding, limit = found[0], 10.0 if roofs.disturbed else IMPOSSIBLE
    share = binding.seconds / call_s
    if share <= IMPOSSIBLE:
        is_faster = first.what == "launch" and first.seconds > IMPOSSIBLE * call_s
        return verdict(first, "it launches faster than CuPy does" if is_faster else None)
    if skips:  # it still has to read its inputs, to know what it may skip
        inputs = next((floor for floor in found if floor.what == "inputs"), None)
        if inputs is None or inputs.seconds <= limit * call_s:
            return verdict(binding, "it declares that it skips work")
        return verdict(inputs, "inputs are not read", impossible=True)
    if share <= limit:
        return verdict(binding, "something else ran beside the roofs")
    return verdict(binding, why or "no cause is known", impossible=True)


def cause(calls: Sequence[tuple[int, float]]) -> str:
    """Return why times may be impossibly short, from the seconds per call by batch size, in order of the sizes."""
    if len(calls) >= 2:
        (small, short), (large, long) = calls[0], calls[-1]
        if large >= 10 * small and long < 2 * short:
            return "not synchronised: the time does not grow with the batch, so calls end before the work does"
    return "work is skipped (a kernel that does so says so in `describe`, skips_work), or the FLOP count is wrong"
