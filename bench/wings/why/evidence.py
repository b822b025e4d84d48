"""What was measured beside the cases: the small networks of each process, and the machine's roofs, or why not."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlpbench.bench import words
from mlpbench.bench.cases import ALL_ROWS, CPU
from mlpbench.bench.record.device import ARITHMETIC, LAUNCH_AND_WAIT, Anatomy, DeviceRoofs, Measured, SmallNetwork
from mlpbench.bench.record.runs import ROOFS_FILE, Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.trust.rounds import QUANTILE, At
from mlpbench.bench.wings.why import bounds
from mlpbench.bench.wings.why.bounds import LEVELS, Roofs, RoofVerdict, Work
from mlpbench.bench.wings.why.roofs import HALF_WITHIN

PRODUCT, PEAK = ARITHMETIC
#: Why arithmetic that was measured beside quiet looks is no peak.
BELOW = "the machine did more, beside a busy neighbour"


@dataclass(frozen=True)
class SmallNetworks:
    """What one process measured: seconds of a call of ``forward_one`` and of ``forward`` on two neurons a layer.

    ``l1_``: with weights in L1, per sample one at a time and in batches of ``l1_batch``, and its work; None: not known.
    """

    call_one_s: float
    call_batch_s: float
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
class Evidence:
    """What was measured beside the cases. ``small`` by kernel and repeat; ``roofs`` of the CPU by number of threads.

    ``devices``: the roofs of others, or why there are none. ``missing``: what is not there, in sentences.
    """

    small: Mapping[tuple[str, int], SmallNetworks]
    roofs: Mapping[int, Roofs]
    devices: Mapping[str, Roofs | str]
    missing: tuple[str, ...]

    def all_of(self, record: Record) -> Mapping[int, Roofs]:
        """Return all roofs that may be a kernel's, by number of threads; a device has one set, at 1."""
        device = record.device or CPU
        every: Mapping[int, object] = self.roofs if device == CPU else {1: self.devices.get(device)}
        return {n: roofs.of(record.facts.arithmetic) for n, roofs in every.items() if isinstance(roofs, Roofs)}

    def of(self, record: Record) -> Roofs | None:
        """Return the roofs of a kernel's threads, or of the most there are: a roof may be too high, never too low."""
        roofs = self.all_of(record)
        return roofs.get(threads_of(record)) or roofs.get(max(roofs, default=0))

    def no_roofs(self, record: Record) -> str | None:
        """Return why a kernel on a device has no roofs. Why the CPU has none is said of the run."""
        device = record.device or CPU
        roofs = self.devices.get(device, "they were not measured")
        known = device == CPU or isinstance(roofs, Roofs)
        return None if known else f"no roofs: it computes on {device}, and {roofs}"


@dataclass(frozen=True)
class CaseShare:
    """One case against the roofs, if any: seconds of a call or one row, FLOP/byte, FLOP/s achieved."""

    mode: str
    batch_size: int
    call_s: float
    intensity: float
    flop_s: float
    verdict: RoofVerdict | None


def shares(record: Record, sample_s: Mapping[At, float], roofs: Roofs | None) -> tuple[CaseShare, ...]:
    """Return every case of a kernel but the book's against its roofs; ``sample_s``: seconds per sample."""
    calls = sorted((rows, seconds * rows) for (mode, rows), seconds in sample_s.items() if mode == "batched")
    most, why = max([ALL_ROWS, *(rows for rows, _ in calls)]), bounds.cause(calls)
    rotated = {(timing.mode, timing.batch_size): timing.rotated_rows or most for timing in record.cases}
    of_cases = []
    for (mode, batch_size), seconds in sample_s.items():
        if mode != "book":
            rows = batch_size if mode == "batched" else 1
            work = Work.of(record.spec, rows, rotated.get((mode, batch_size), most), record.facts)
            call_s, skips = seconds * rows, bool(record.facts.skips_work)
            verdict = bounds.judge(work, roofs, call_s, skips=skips, why=why) if roofs else None
            of_cases.append(CaseShare(mode, batch_size, call_s, work.intensity, work.flop / call_s, verdict))
    return tuple(of_cases)


def threads_of(record: Record) -> int:
    """Return how many threads a kernel used, as far as it or its run says."""
    return record.threads_used or record.threads or 1


def read(run: Run) -> Evidence:
    """Return the evidence of a run."""
    anatomies = [(record, record.anatomy) for record in run.records if record.anatomy]
    small = {(record.kernel, record.repeat): _small(a, a.two_neurons) for record, a in anatomies if a.two_neurons}
    missing = [f"{r.kernel}: the small network was not measured: {a.reason}" for r, a in anatomies if a.reason]
    if run.records and not small and not missing:
        missing.append("the cost of a call was not measured: the results are of an earlier version")
    devices = run.roofs.by_device if run.roofs else {}
    cpu = devices.pop(CPU, DeviceRoofs(reason=f"there is no {ROOFS_FILE} beside the results"))
    every, caches = cpu.measured, cpu.caches
    refused = [*(one for one in every if one.refused is not None), *_below_refused(every)]
    for one in refused:
        which = f"{one.name} with {words.things(one.threads, 'thread')}"
        missing.append(f"{which} was not measured: {one.refused or BELOW}")
    if not every:
        missing.append(f"the machine's roofs were not measured: {cpu.reason}")
    missing += [f"a file was left out: {line}" for line in run.damaged]
    return Evidence(
        small,
        _roofs(every, refused, caches),
        {name: _of_device(roofs, run.records[0].spec.dtype) for name, roofs in devices.items() if run.records},
        tuple(dict.fromkeys(missing)),
    )


def _below_refused(every: Sequence[Measured]) -> list[Measured]:
    """Return the arithmetic below what a refused measurement did with as many threads, or fewer: it is no peak."""
    arithmetic = [one for one in every if one.name in ARITHMETIC]
    believed = _rates([one for one in arithmetic if one.refused is None])
    did = [(one.threads, one.work / min(one.data)) for one in arithmetic if one.refused is not None]
    low = {n for n, rates in believed.items() if any(m <= n and max(rates.values()) < rate for m, rate in did)}
    return [one for one in arithmetic if one.refused is None and one.threads in low]


def _small(anatomy: Anatomy, two_neurons: SmallNetwork) -> SmallNetworks:
    one_s, batch_s, rows = _seconds(two_neurons)
    calls = SmallNetworks(call_one_s=one_s, call_batch_s=batch_s * rows)
    if anatomy.in_l1 is None:
        return calls
    one_s, batch_s, rows = _seconds(anatomy.in_l1)
    spec = anatomy.in_l1.network.spec
    work = {"l1_flop": spec.flop(1), "l1_weight_bytes": spec.weight_bytes()}
    return replace(calls, l1_one_s=one_s, l1_batch_s=batch_s, l1_batch=rows, **work)


def _seconds(network: SmallNetwork) -> tuple[float, float, int]:
    """Return seconds per sample one at a time and in a batch, by the quantile of all times, and the batch's rows."""
    one_s, batch_s = (float(np.quantile(rounds, QUANTILE)) for rounds in (network.one_s, network.batch_s))
    return one_s, batch_s, network.batch_size


def _roofs(every: Sequence[Measured], refused: Sequence[Measured], caches: Mapping[str, int]) -> dict[int, Roofs]:
    """Return the roofs by threads, without what is refused; but all arithmetic is kept, as one that is too low."""
    believed = [one for one in every if one not in refused]
    rates, disturbed, fewer, found = _rates(believed), _disturbed(believed), dict[str, float](), dict[int, Roofs]()
    for threads, of_all in sorted(_rates(every).items()):
        best = rates.get(threads, {})
        is_low = not best.keys() & set(ARITHMETIC)
        if is_low:
            best |= {name: rate for name, rate in of_all.items() if name in ARITHMETIC}
        # More threads cannot do less: where they did, they stood in each other's or somebody else's way.
        disturbed |= fewer.get(PEAK, 0) > best.get(PEAK, math.inf)
        fewer = {name: max(rate, fewer.get(name, 0)) for name, rate in best.items()}
        if fewer.keys() & set(ARITHMETIC):
            found[threads] = replace(_peak_and_levels(fewer, threads, caches), disturbed=is_low)
    return {threads: replace(roofs, disturbed=disturbed or roofs.disturbed) for threads, roofs in found.items()}


def _rates(every: Sequence[Measured]) -> dict[int, dict[str, float]]:
    """Return work per second by threads (of a device, 1) and name: of several ways, the fastest."""
    rates: dict[int, dict[str, float]] = {}
    for one in every:
        of_threads = rates.setdefault(one.threads, {})
        of_threads[one.name] = max(one.work / min(one.data), of_threads.get(one.name, 0))
    return rates


def _disturbed(every: Sequence[Measured]) -> bool:
    """Return whether something else ran. Where there are looks, they have told before."""
    return any(
        not one.looks_ns and statistics.median(one.data) > HALF_WITHIN.get(one.name, math.inf) * min(one.data)
        for one in every
    )


def _peak_and_levels(rates: Mapping[str, float], threads: int, caches: Mapping[str, int]) -> Roofs:
    peaks = {name: rates[name] for name in ARITHMETIC if name in rates}
    best = max(peaks, key=lambda name: peaks[name])
    return Roofs(threads, peaks[best], best, {name: rates[name] for name in LEVELS if name in rates}, caches)


def _of_device(content: DeviceRoofs, dtype: str) -> Roofs | str:
    """Return the roofs of a device: those of the run's own ``dtype``, and beside them the peak of each arithmetic."""
    if not content.measured:
        return content.reason or "no reason given"
    own = "fp64" if dtype == "float64" else "fp32"
    kept = tuple(one for one in content.measured if one.arithmetic in (None, own))
    roofs = _peak_and_levels(_rates(kept)[1], 1, content.caches)
    peaks = {own: (roofs.flop_s, roofs.arithmetic)}
    for one in content.measured:
        rate = one.work / min(one.data)
        if one.arithmetic not in (None, own) and rate > peaks.get(one.arithmetic, (0.0, ""))[0]:
            peaks[one.arithmetic] = (rate, f"{one.arithmetic} {one.name}")
    return replace(
        roofs,
        device=content.device,
        name=content.facts.get("device_name"),
        disturbed=_disturbed(kept),
        peaks=peaks,
        launch_s={str(one.how): min(one.data) / one.work for one in content.measured if one.name == LAUNCH_AND_WAIT},
    )
