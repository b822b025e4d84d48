"""What result files hold besides the cases: the small networks of each process, and the roofs of the run.

Both are optional: files of earlier versions, and of pytest by hand, have none, and `Evidence.missing` says so. What is
there is checked as `bench.record.runs` checks everything else, and raises UserError where it is not what it should be.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import ROOFS_OF_REPEAT
from mlpbench.bench.record.schema import block_of
from mlpbench.bench.record.untrusted import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlpbench.bench.record.untrusted import Block

from mlpbench.bench.analysis.attribution import SmallNetworks
from mlpbench.bench.analysis.roofline import LEVELS, Roofs
from mlpbench.bench.cases import CPU
from mlpbench.bench.record.runs import ROOFS_FILE
from mlpbench.kernels.errors import SpecError
from mlpbench.kernels.spec import ForwardSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlpbench.bench.record.runs import Run
    from mlpbench.bench.record.untrusted import Block

#: Work per second by number of threads, and by name of what was done.
Rates = dict[int, dict[str, float]]


@dataclass(frozen=True)
class Sustained:
    """``rates`` by repeat: FLOP/s and bytes/s of the median round. ``reasons``: why a repeat has none."""

    rates: Mapping[int, Rates] = field(default_factory=dict)
    reasons: Mapping[int, str] = field(default_factory=dict)

    def by_repeat(self, name: str, threads: int) -> dict[int, float]:
        """Return one rate, with so many threads, of each repeat in which it was measured."""
        found = {repeat: rates.get(threads, {}) for repeat, rates in self.rates.items()}
        return {repeat: rates[name] for repeat, rates in found.items() if name in rates}


def read_sustained(folder: Path) -> Sustained:
    """Return what was measured in the repeats of a run, nothing where none was. Raises UserError for damaged files."""
    rates: dict[int, Rates] = {}
    reasons = {}
    for path in sorted(folder.glob("roofs-*.json")):
        if (named := ROOFS_OF_REPEAT.fullmatch(path.name)) is None:
            continue
        block = block_of(load(path), path)
        repeat = block.integer("repeat", 0)
        if repeat != int(named[1]):
            raise UserError(f"{path}: holds repeat {repeat}: it was renamed or copied; take it away")
        if "roofs" in block:
            rates[repeat] = _sustained_rates(block.block("roofs"))
        else:
            reasons[repeat] = block.text("reason", "no reason given")
    return Sustained(rates, reasons)


def _sustained_rates(content: Block) -> Rates:
    found: Rates = {}
    for entry in content.blocks("measured"):
        of_threads = found.setdefault(entry.integer("threads", 1), {})
        of_threads[entry.text("name")] = entry.integer("work", 1) / statistics.median(entry.timings("data"))
    if not found:
        raise UserError(f"{content.where}: nothing was measured; this is a damaged file")
    return found


PRODUCT, PEAK = ARITHMETIC = ("matrix product", "multiply-add")
#: What is told of a device and is no roof.
COPIES = ("host to device", "device to host")
#: Multiply-adds in registers wait for nothing. Where half of their rounds take longer than this, something else ran.
_QUIET_WITHIN = 1.15
#: What all cores share: neighbours that the processor's clock does not show take their part of it.
_SHARED = ("L3", "DRAM")
_SHARED_QUIET_WITHIN = 1.3


@dataclass(frozen=True)
class OfDevice:
    """The roofs of another device than the CPU, and whether they are ``disturbed``; or the ``reason`` why not."""

    roofs: Roofs | None
    disturbed: bool
    reason: str | None


@dataclass(frozen=True)
class Evidence:
    """What was measured beside the cases. ``small`` by kernel and repeat; ``roofs`` by number of threads.

    ``devices``: what was measured of other devices, by the name that kernels call them.

    ``disturbed``: whether the roofs were measured while something else ran, and are too low. ``missing``: what is not
    there, one sentence each. ``sustained``: what the machine did within the repeats, for shares and not for roofs.
    """

    small: Mapping[tuple[str, int], SmallNetworks]
    roofs: Mapping[int, Roofs]
    disturbed: bool
    missing: tuple[str, ...]
    devices: Mapping[str, OfDevice] = field(default_factory=dict)
    sustained: Sustained = field(default_factory=Sustained)

    def roofs_for(self, threads: int) -> Roofs | None:
        """Return the roofs of so many threads, or of the most there are: a roof may be too high, never too low."""
        return self.roofs.get(threads) or (self.roofs[max(self.roofs)] if self.roofs else None)

    def of(self, device: str) -> OfDevice:
        """Return what was measured of another device than the CPU."""
        return self.devices.get(device) or OfDevice(None, False, "they were not measured")


def read(run: Run) -> Evidence:
    """Return the evidence of a run, as `bench.record.runs.read_run` has read it. Raises UserError for damaged files."""
    small: dict[tuple[str, int], SmallNetworks] = {}
    missing: dict[str, None] = {}
    for record in run.records:
        found, reason = _small_networks(block_of(load(record.path), record.path).block("anatomy"))
        if found is not None:
            small[record.kernel, record.repeat] = found
        if reason:
            missing[f"{record.kernel}: the small network was not measured: {reason}"] = None
    if run.records and not small and not missing:
        missing["the cost of a call was not measured: the results are of an earlier version"] = None
    folder = run.path if run.path.is_dir() else run.path.parent
    roofs, disturbed, no_roofs, devices = _roofs(folder / ROOFS_FILE)
    missing |= dict.fromkeys(no_roofs)
    return Evidence(small, roofs, disturbed, tuple(missing), devices, read_sustained(folder))


def _small_networks(anatomy: Block) -> tuple[SmallNetworks | None, str | None]:
    reason = anatomy.text("reason", None)
    if "two_neurons" not in anatomy:
        return None, reason
    (one_s, _), (batch_s, rows) = _cases(anatomy.block("two_neurons"))
    found = SmallNetworks(call_one_s=one_s, call_batch_s=batch_s * rows)
    if "one_neuron" in anatomy:
        (one_s, _), (batch_s, rows) = _cases(anatomy.block("one_neuron"))
        found = replace(found, neuron_one_s=one_s, neuron_batch_s=batch_s * rows)
    if "in_l1" in anatomy:
        block = anatomy.block("in_l1")
        (one_s, _), (batch_s, rows) = _cases(block)
        try:
            spec = ForwardSpec.from_dict(block.block("spec").data)
        except SpecError as error:
            raise UserError(f"{block.where}: spec: {error}") from None
        found = replace(found, l1_one_s=one_s, l1_batch_s=batch_s, l1_batch=rows)
        found = replace(found, l1_flop=spec.flop(1), l1_weight_bytes=spec.weight_bytes())
    return found, reason


def _cases(block: Block) -> list[tuple[float, int]]:
    """Return (median seconds per sample, rows of a call) of the case one at a time and of the batched one."""
    by_mode = {case.name("mode"): case for case in block.blocks("cases")}
    found = []
    for mode in ("per_sample", "batched"):
        if mode not in by_mode:
            raise UserError(f"{block.where}: the case {mode} is missing; this is a damaged record")
        rows = by_mode[mode].integer("rows_per_round_call", 1)
        found.append((statistics.median(by_mode[mode].timings("data")) / rows, rows))
    return found


def _quiet_within(name: str) -> float:
    """Return how many times as long as the best half of the rounds may take where nothing else ran."""
    if name in _SHARED:
        return _SHARED_QUIET_WITHIN
    return _QUIET_WITHIN if name == "multiply-add" else math.inf


def _roofs(path: Path) -> tuple[dict[int, Roofs], bool, list[str], dict[str, OfDevice]]:
    if not path.exists():
        return {}, False, [f"the machine's roofs were not measured: there is no {ROOFS_FILE} beside the results"], {}
    block = block_of(load(path), path)
    devices = _devices(block, path)
    if "roofs" not in block:
        return {}, False, [f"the machine's roofs were not measured: {block.text('reason', 'no reason given')}"], devices
    content = block.block("roofs")
    rates, disturbed = _rates(content, have_threads=True)
    sizes = _caches(content)
    fewer: dict[str, float] = {}
    found = {}
    for threads, measured in sorted(rates.items()):
        # More threads cannot do less: where they did, they stood in each other's or somebody else's way.
        disturbed |= any(fewer.get(name, 0) > rate for name, rate in measured.items() if name == "multiply-add")
        fewer = {name: max(rate, fewer.get(name, 0)) for name, rate in measured.items()}
        found[threads] = _peak_and_levels(fewer, threads, sizes, path)
    return found, disturbed, [], devices


def _rates(content: Block, *, have_threads: bool) -> tuple[dict[int, dict[str, float]], bool]:
    """Return the best rates by threads (of a device, which has none of ours, 1) and name; whether something else ran.

    What was measured in several ways counts by the fastest.
    """
    rates: dict[int, dict[str, float]] = {}
    disturbed = False
    for entry in content.blocks("measured"):
        name, seconds = entry.text("name"), entry.timings("data")
        of_threads = rates.setdefault(entry.integer("threads", 1) if have_threads else 1, {})
        of_threads[name] = max(entry.integer("work", 1) / min(seconds), of_threads.get(name, 0))
        disturbed |= statistics.median(seconds) > _quiet_within(name) * min(seconds)
    return rates, disturbed


def _caches(content: Block) -> dict[str, int]:
    caches = content.block("caches")
    return {name: caches.integer(name, 1) for name in caches.data}


def _peak_and_levels(rates: Mapping[str, float], threads: int, caches: Mapping[str, int], path: Path) -> Roofs:
    peaks = {name: rates[name] for name in ARITHMETIC if name in rates}
    if not peaks:
        raise UserError(f"{path}: no arithmetic for {threads} threads; this is a damaged file")
    best = max(peaks, key=lambda name: peaks[name])
    reads = {name: rates[name] for name in LEVELS if name in rates}
    return Roofs(threads, peaks[best], best, reads, caches, peaks)


def _devices(block: Block, path: Path) -> dict[str, OfDevice]:
    """Return what the file says of other devices than the CPU: each once."""
    found: dict[str, OfDevice] = {}
    for entry in block.blocks("devices"):
        device = entry.name("device")
        if device in found or device == CPU:
            entry.refuse("device", device, "every device once, and the CPU elsewhere")
        if "roofs" not in entry:
            found[device] = OfDevice(None, False, entry.text("reason", "no reason given"))
            continue
        content = entry.block("roofs")
        rates, disturbed = _rates(content, have_threads=False)
        best = rates.get(1, {})
        roofs = _peak_and_levels(best, 1, _caches(content), path)
        copies = {name: best[name] for name in COPIES if name in best}
        name = content.block("facts").text("device_name", None)
        found[device] = OfDevice(replace(roofs, device=device, name=name, copies_s=copies), disturbed, None)
    return found
