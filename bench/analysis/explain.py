"""What the speedup of each kernel of a run is made of: call cost, Hockney's line, roofs, attribution.

Everything is derived from the result files. What was not measured is None, with a reason.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from mlpbench.bench.analysis import attribution, evidence, roofline
from mlpbench.bench.analysis.attribution import Attribution, NotExplained, SmallNetworks
from mlpbench.bench.analysis.evidence import Evidence
from mlpbench.bench.analysis.roofline import Roofs, RoofVerdict, Work
from mlpbench.bench.analysis.summary import CaseSummary, batched, best_batch, of_kernels, one_at_a_time, threads_used
from mlpbench.bench.cases import ALL_ROWS, CPU
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats import estimates, hockney
from mlpbench.bench.stats.estimates import Estimate
from mlpbench.bench.stats.hockney import Fit
from mlpbench.bench.words import plain
from mlpbench.kernels.spec import ForwardSpec

#: The parts count every weight and operation, the small networks have inputs without zeros.
SKIPS = "it skips work, the parts count all of it, and how much it skips is not measured"


@dataclass(frozen=True)
class CaseShare:
    """One case against the roofs. ``intensity`` in FLOP/byte, ``flop_s`` achieved; ``verdict`` None without roofs."""

    mode: str
    batch_size: int
    intensity: float
    flop_s: float
    verdict: RoofVerdict | None


@dataclass(frozen=True)
class DeviceShare:
    """One case by the device's own clock, its cache flushed: ``cold_s`` of a call, and its place under the roof."""

    mode: str
    batch_size: int
    cold_s: float
    verdict: RoofVerdict


@dataclass(frozen=True)
class KernelExplanation:
    """One kernel of one run. Times in seconds.

    ``call_one_s``, ``call_batch_s``: what a call of ``forward_one`` and of ``forward`` costs on two neurons a layer,
    ``neuron_one_s``, ``neuron_batch_s`` on one. ``asymptotic``: time per sample one at a time * r_inf, where the curve
    is a line. ``measured`` are the medians of seconds per call by batch size. ``weights_in``: the level of memory that
    holds the weights. ``not_explained``: why there is no attribution; ``missing``: what else could not be said, and
    why. ``device``: where it computes; ``on_device``: its cases by that device's own clock.
    """

    kernel: str
    threads: int
    call_one_s: Estimate | None
    call_batch_s: Estimate | None
    neuron_one_s: Estimate | None
    neuron_batch_s: Estimate | None
    fit: Fit | None
    asymptotic: Estimate | None
    measured: Mapping[int, float]
    shares: tuple[CaseShare, ...]
    attribution: Attribution | None
    weights_in: str | None
    missing: tuple[str, ...]
    device: str = CPU
    not_explained: str | None = None
    on_device: tuple[DeviceShare, ...] = ()

    @property
    def impossible(self) -> tuple[CaseShare, ...]:
        """The cases whose times cannot be."""
        return tuple(share for share in self.shares if share.verdict is not None and share.verdict.impossible)


@dataclass(frozen=True)
class Explanation:
    """One run. ``roofs`` by number of threads; ``missing`` is what the run's files do not hold.

    ``run`` is what texts call the run, ``title`` the same as the beginning of a sentence, ``run_id`` its id;
    ``setting`` its network, threads and dtype, of a sweep over several. ``spec`` are the sizes, ``kind`` the
    activations and the dtype; ``threads`` those of the run, None where not known. ``devices``: roofs of others than the
    CPU that kernels computed on, ``disturbed_devices`` those of them whose roofs are.
    """

    run: str
    title: str
    run_id: str
    setting: Mapping[str, Any] | None
    machine: str
    spec: str
    kind: str
    threads: int | None
    weight_bytes: int
    kernels: tuple[KernelExplanation, ...]
    roofs: Mapping[int, Roofs]
    disturbed: bool
    missing: tuple[str, ...]
    devices: Mapping[str, Roofs] = field(default_factory=dict)
    disturbed_devices: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers as JSON can hold them; what has no value is null."""
        data: dict[str, Any] = plain(asdict(self))
        del data["title"]
        data["run"] = data.pop("run_id")
        return data

    @property
    def of_run(self) -> str:
        """The title within a sentence."""
        return self.title[0].lower() + self.title[1:]


def find(run: Run, cases: Sequence[CaseSummary], found: Evidence | None = None) -> Explanation | None:
    """Return what the speedup in a run is made of; None if nothing was timed. Raises UserError for damaged files.

    ``cases`` are all of the run (`bench.analysis.summary.summarize`); ``found`` is its evidence, for who has read it.
    """
    if not cases:
        return None
    found = evidence.read(run) if found is None else found
    timed = {name: [r for r in run.records if r.kernel == name and r.cases] for name in run.kernels}
    first = next(record for record in run.records if record.cases)
    own = of_kernels(cases)
    return Explanation(
        run=run.name,
        title=run.title,
        run_id=run.id,
        setting=run.setting.as_dict() if run.setting else None,
        machine=run.machine,
        spec=first.spec.label(),
        kind=f"{first.spec.hidden}/{first.spec.output} {first.spec.dtype}",
        threads=first.threads,
        weight_bytes=first.spec.weight_bytes(),
        kernels=tuple(_kernel(records, own[name], found) for name, records in timed.items() if records),
        roofs=found.roofs,
        disturbed=found.disturbed,
        missing=found.missing,
        devices={device: there.roofs for device, there in found.devices.items() if there.roofs is not None},
        disturbed_devices=tuple(device for device, there in found.devices.items() if there.disturbed),
    )


def _kernel(records: Sequence[Record], cases: Sequence[CaseSummary], found: Evidence) -> KernelExplanation:
    first = records[0]
    device, threads = first.device or CPU, threads_used(first) or first.threads or 1
    roofs, by_threads, disturbed, no_roofs = held_to(device, threads, found, first.facts.arithmetic)
    small = {r.repeat: found.small[r.kernel, r.repeat] for r in records if (r.kernel, r.repeat) in found.small}
    calls: dict[int, dict[int, float]] = {}
    for case in batched(cases):
        for repeat, sample_s in case.by_repeat.items():
            calls.setdefault(repeat, {})[case.batch_size] = sample_s * case.batch_size
    fitted = hockney.fit(calls)
    missing = [] if fitted else ["no line over batch sizes: it needs three or more of them in a process"]
    parts, place, reason = _attribution(first, cases, small, by_threads, threads)
    missing += [no_roofs] if no_roofs else []
    return KernelExplanation(
        kernel=first.kernel,
        threads=threads,
        call_one_s=_estimate(s.call_one_s for s in small.values()),
        call_batch_s=_estimate(s.call_batch_s for s in small.values()),
        neuron_one_s=_estimate(s.neuron_one_s for s in small.values()),
        neuron_batch_s=_estimate(s.neuron_batch_s for s in small.values()),
        fit=fitted,
        asymptotic=_asymptotic(one_at_a_time(cases), fitted),
        measured=_calls(cases),
        shares=shares(first, cases, roofs, disturbed=disturbed),
        attribution=parts,
        weights_in=place,
        missing=tuple(missing),
        device=device,
        not_explained=reason,
        on_device=tuple(_on_device(records, roofs)) if roofs else (),
    )


def _on_device(records: Sequence[Record], roofs: Roofs) -> Iterator[DeviceShare]:
    """Yield the cases of a kernel by the device's own clock, medians over repeats.

    Its cache is empty when such a call begins: weights and inputs come from memory. No launch is in the time.
    """
    cases = (case for record in records if record.device_times for case in record.device_times.cases)
    repeats = grouped(((case.mode, case.batch_size), case) for case in cases if "cold" in case.times)
    from_memory = replace(roofs, caches={}, launch_s={})
    for at, found in repeats.items():
        rows, cold_s = found[-1].rows, median(case.times["cold"].p50_s for case in found)
        work = Work.of(records[0].spec, rows, rows, records[0].facts)
        yield DeviceShare(*at, cold_s, roofline.judge(work, from_memory, cold_s))


def held_to(
    device: str, threads: int, found: Evidence, arithmetic: object = None
) -> tuple[Roofs | None, Mapping[int, Roofs], bool, str | None]:
    """Return the roofs of a kernel, all that may be its, whether they are disturbed, and why it has none.

    Of the CPU, by number of threads; a device has one set, at 1, with the peak of what the kernel computes products in.
    Why the CPU has none is said of the run.
    """
    if device == CPU:
        return found.roofs_for(threads), found.roofs, found.disturbed, None
    there = found.of(device)
    if there.roofs is None:
        return None, {}, False, f"no roofs: it computes on {device}, and {there.reason}"
    roofs = there.roofs.of(arithmetic)
    return roofs, {1: roofs}, there.disturbed, None


def _estimate(values: Iterable[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    return estimates.estimate(known) if known else None


def _calls(cases: Sequence[CaseSummary]) -> dict[int, float]:
    return {case.batch_size: case.sample.value * case.batch_size for case in batched(cases)}


def _asymptotic(one: CaseSummary | None, fitted: Fit | None) -> Estimate | None:
    if one is None or fitted is None or not fitted.straight:
        return None
    common = one.by_repeat.keys() & fitted.lines.keys()
    gains = {repeat: one.by_repeat[repeat] * fitted.lines[repeat].r_inf for repeat in common}
    return estimates.estimate(gains) if gains else None


def _attribution(
    first: Record,
    cases: Sequence[CaseSummary],
    small: Mapping[int, SmallNetworks],
    roofs: Mapping[int, Roofs],
    threads: int,
) -> tuple[Attribution | None, str | None, str | None]:
    """Return the attribution, the level that holds the weights, and why there is none."""
    n_bytes = first.spec.weight_bytes()
    # One row's product is not divided among cores whose own caches hold the weights; beyond them it may be.
    alone = roofs.get(1)
    place = roofline.level(n_bytes, alone.caches) if alone else None
    reads = roofs.get(threads, alone) if place in ("L3", "DRAM") else alone
    weights_s = attribution.weight_cost(n_bytes, place, reads) if place and reads else None
    if first.facts.skips_work:
        return None, place, SKIPS
    one, best = one_at_a_time(cases), best_batch(cases)
    if one is None or best is None:
        return None, place, "it needs the case one at a time (per_sample) and a batch"
    if not small:
        return None, place, "the cost of a call was not measured"
    beyond = _beyond_l1(first.spec, next(iter(small.values())), alone)
    try:
        return attribution.attribute(one, best, best.speedup, small, best.batch_size, weights_s, beyond), place, None
    except NotExplained as reason:
        return None, place, str(reason)


def _beyond_l1(spec: ForwardSpec, small: SmallNetworks, alone: Roofs | None) -> float:
    """Return what the operations cost single rows, at the least, that the network with weights in L1 does not do."""
    if alone is None or small.l1_flop is None or small.l1_weight_bytes is None:
        return 0.0
    flop, n_bytes = spec.flop(1) - small.l1_flop, spec.weight_bytes() - small.l1_weight_bytes
    return attribution.arithmetic_cost(flop, n_bytes, alone)


def shares(
    first: Record, cases: Sequence[CaseSummary], roofs: Roofs | None, *, disturbed: bool
) -> tuple[CaseShare, ...]:
    """Return every case of a kernel but the book's against its roofs."""
    skips = bool(first.facts.skips_work)
    calls = _calls(cases)
    most = max(ALL_ROWS, *calls, 1)
    rotated = {(timing.mode, timing.batch_size): timing.rotated_rows or most for timing in first.cases}
    why = roofline.cause(list(calls.items()))
    found = []
    for case in cases:
        if case.mode == "book":
            continue
        rows = case.batch_size if case.mode == "batched" else 1
        timed_rows = rotated.get((case.mode, case.batch_size), most)
        work, seconds = Work.of(first.spec, rows, timed_rows, first.facts), case.sample.value * rows
        verdict = roofline.judge(work, roofs, seconds, skips=skips, disturbed=disturbed, why=why) if roofs else None
        found.append(CaseShare(case.mode, case.batch_size, work.intensity, work.flop / seconds, verdict))
    return tuple(found)
