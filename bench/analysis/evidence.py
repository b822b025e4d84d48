"""What was measured beside the cases: the small networks of each process, and the machine's roofs.

Both are optional: files of earlier versions, and of pytest by hand, have none, and `Evidence.missing` says so.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mlpbench.bench import words
from mlpbench.bench.analysis.attribution import SmallNetworks
from mlpbench.bench.analysis.roofline import LEVELS, Roofs
from mlpbench.bench.record import roofs as measured
from mlpbench.bench.record.roofs import COPIES, LAUNCH_AND_WAIT
from mlpbench.bench.record.runs import ROOFS_FILE, Run
from mlpbench.bench.trust.rounds import QUANTILE

PRODUCT, PEAK = ARITHMETIC = ("matrix product", "multiply-add")
#: Where half of the rounds take so many times as long as the best, something else ran. Multiply-adds in registers wait
#: for nothing; of what all cores share, neighbours that the processor's clock does not show take their part.
_QUIET_WITHIN = {PEAK: 1.15, "L3": 1.3, "DRAM": 1.3}

#: Why arithmetic that was measured beside quiet looks is no peak.
BELOW = "the machine did more, beside a busy neighbour"

#: Work per second by number of threads, and by name of what was done.
Rates = dict[int, dict[str, float]]


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
    ``disturbed``: whether the roofs were measured while something else ran, and are too low, which files tell that have
    no looks; with looks such a roof is refused. ``with_refused``: the roofs with the refused ones, where there are any:
    too low, and still good against what is many times faster. ``missing``: what is not there, one sentence each.
    """

    small: Mapping[tuple[str, int], SmallNetworks]
    roofs: Mapping[int, Roofs]
    disturbed: bool
    missing: tuple[str, ...]
    devices: Mapping[str, OfDevice] = field(default_factory=dict)
    with_refused: Mapping[int, Roofs] = field(default_factory=dict)

    def roofs_for(self, threads: int) -> Roofs | None:
        """Return the roofs of so many threads, or of the most there are: a roof may be too high, never too low."""
        found = self.roofs.get(threads)
        if found is None and self.roofs and not max(self.with_refused, default=0) > max(self.roofs):
            return self.roofs[max(self.roofs)]
        return found

    def too_low_for(self, threads: int) -> Roofs | None:
        """Return the roofs of so many threads, or of the most there are, with the refused; None where none is."""
        most = max(self.with_refused, default=0)
        return self.with_refused.get(threads) or self.with_refused.get(most)

    def of(self, device: str) -> OfDevice:
        """Return what was measured of another device than the CPU."""
        return self.devices.get(device) or OfDevice(None, False, "they were not measured")


def read(run: Run) -> Evidence:
    """Return the evidence of a run."""
    small: dict[tuple[str, int], SmallNetworks] = {}
    missing: dict[str, None] = {}
    for record in run.records:
        if record.anatomy and (found := _small_networks(record.anatomy)):
            small[record.kernel, record.repeat] = found
        if record.anatomy and record.anatomy.reason:
            missing[f"{record.kernel}: the small network was not measured: {record.anatomy.reason}"] = None
    if run.records and not small and not missing:
        missing["the cost of a call was not measured: the results are of an earlier version"] = None
    content = run.roofs.roofs if run.roofs else None
    refused = [one for one in content.measured if one.refused is not None] if content else []
    below = _below_refused(content.measured) if content else []
    missing |= dict.fromkeys(
        f"{one.name} with {words.things(one.threads, 'thread')} was not measured: {one.refused or BELOW}"
        for one in (*refused, *below)
    )
    refused += below
    roofs, disturbed = _roofs(content, refused) if content else ({}, False)
    with_refused = _roofs(content)[0] if content and refused else {}
    if not roofs and not refused:
        why = run.roofs.reason or "no reason given" if run.roofs else f"there is no {ROOFS_FILE} beside the results"
        missing[f"the machine's roofs were not measured: {why}"] = None
    missing |= dict.fromkeys(f"a file was left out: {line}" for line in run.damaged)
    devices = {one.device: _of_device(one) for one in run.roofs.devices} if run.roofs else {}
    return Evidence(small, roofs, disturbed, tuple(missing), devices, with_refused)


def _below_refused(every: Sequence[measured.Measured]) -> list[measured.Measured]:
    """Return the arithmetic below what a refused measurement did with as many threads, or fewer: it is no peak."""
    arithmetic = [one for one in every if one.name in ARITHMETIC]
    kept: dict[int, float] = {}
    for one in arithmetic:
        if one.refused is None:
            kept[one.threads] = max(kept.get(one.threads, 0.0), one.work / min(one.data))
    did = [(one.threads, one.work / min(one.data)) for one in arithmetic if one.refused is not None]
    low = {threads for threads, best in kept.items() if any(n <= threads and best < rate for n, rate in did)}
    return [one for one in arithmetic if one.refused is None and one.threads in low]


def _small_networks(anatomy: measured.Anatomy) -> SmallNetworks | None:
    if anatomy.two_neurons is None:
        return None
    one_s, batch_s, rows = _seconds(anatomy.two_neurons)
    found = SmallNetworks(call_one_s=one_s, call_batch_s=batch_s * rows)
    if anatomy.one_neuron:
        one_s, batch_s, rows = _seconds(anatomy.one_neuron)
        found = replace(found, neuron_one_s=one_s, neuron_batch_s=batch_s * rows)
    if anatomy.in_l1:
        one_s, batch_s, rows = _seconds(anatomy.in_l1)
        spec = anatomy.in_l1.spec
        found = replace(found, l1_one_s=one_s, l1_batch_s=batch_s, l1_batch=rows)
        found = replace(found, l1_flop=spec.flop(1), l1_weight_bytes=spec.weight_bytes())
    return found


def _seconds(network: measured.SmallNetwork) -> tuple[float, float, int]:
    """Return seconds per sample one at a time and in a batch, by the quantile of all times, and the batch's rows."""
    one, batch = network.case("per_sample"), network.case("batched")
    one_s, batch_s = (float(np.quantile(case.data, QUANTILE)) / case.rows_per_round_call for case in (one, batch))
    return one_s, batch_s, batch.rows_per_round_call


def _roofs(content: measured.Roofs, without: Sequence[measured.Measured] = ()) -> tuple[dict[int, Roofs], bool]:
    """Return the roofs by number of threads ``without`` some, and whether they were measured while something else ran.

    So many threads without arithmetic have none.
    """
    rates, disturbed = _rates([one for one in content.measured if one not in without])
    fewer: dict[str, float] = {}
    found = {}
    for threads, best in sorted(rates.items()):
        # More threads cannot do less: where they did, they stood in each other's or somebody else's way.
        disturbed |= any(fewer.get(name, 0) > rate for name, rate in best.items() if name == "multiply-add")
        fewer = {name: max(rate, fewer.get(name, 0)) for name, rate in best.items()}
        if fewer.keys() & set(ARITHMETIC):
            found[threads] = _peak_and_levels(fewer, threads, content.caches)
    return found, disturbed


def _rates(every: Sequence[measured.Measured]) -> tuple[Rates, bool]:
    """Return the best rates by threads (of a device, 1) and name, and whether something else ran.

    What was measured in several ways counts by the fastest. Where there are looks, they have told before.
    """
    rates: Rates = {}
    disturbed = False
    for one in every:
        of_threads = rates.setdefault(one.threads, {})
        of_threads[one.name] = max(one.work / min(one.data), of_threads.get(one.name, 0))
        disturbed |= not one.looks_ns and statistics.median(one.data) > _QUIET_WITHIN.get(one.name, math.inf) * min(
            one.data
        )
    return rates, disturbed


def _peak_and_levels(rates: Mapping[str, float], threads: int, caches: Mapping[str, int]) -> Roofs:
    peaks = {name: rates[name] for name in ARITHMETIC if name in rates}
    best = max(peaks, key=lambda name: peaks[name])
    reads = {name: rates[name] for name in LEVELS if name in rates}
    return Roofs(threads, peaks[best], best, reads, caches, peaks)


def _of_device(entry: measured.OfDevice) -> OfDevice:
    """Return the roofs of a device: those of the run's own dtype, and beside them the peak of each arithmetic."""
    if entry.roofs is None:
        return OfDevice(None, False, entry.reason or "no reason given")
    content = entry.roofs
    own = "fp64" if content.dtype == "float64" else "fp32"
    kept = tuple(one for one in content.measured if one.arithmetic in (None, own))
    rates, disturbed = _rates(kept)
    roofs = _peak_and_levels(rates[1], 1, content.caches)
    peaks = {own: (roofs.flop_s, roofs.arithmetic)}
    for one in content.measured:
        rate = one.work / min(one.data)
        if one.arithmetic not in (None, own) and rate > peaks.get(one.arithmetic, (0.0, ""))[0]:
            peaks[one.arithmetic] = (rate, f"{one.arithmetic} {one.name}")
    waits = {str(one.how): min(one.data) / one.work for one in content.measured if one.name == LAUNCH_AND_WAIT}
    copies = {
        one.name + (" (pinned)" if one.how == "pinned" else ""): one.work / min(one.data)
        for one in content.measured
        if one.name in COPIES
    }
    name = content.facts.get("device_name")
    roofs = replace(roofs, device=entry.device, name=name, copies_s=copies, peaks=peaks, launch_s=waits)
    return OfDevice(roofs, disturbed, None)
