"""What the speedup of each kernel is made of, from result files: call cost, Hockney's line, roofs, attribution."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import CaseSummary, batched, best_batch, of_kernels, one_at_a_time
from mlpbench.bench.cases import CPU
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Estimate
from mlpbench.bench.wings.why import attribution, bounds, evidence, hockney
from mlpbench.bench.wings.why.attribution import PARTS, Attribution
from mlpbench.bench.wings.why.bounds import Roofs, Work
from mlpbench.bench.wings.why.evidence import CaseShare, Evidence, SmallNetworks, threads_of
from mlpbench.bench.wings.why.hockney import Fit
from mlpbench.bench.words import plain

#: The parts count every weight and operation, the small networks have inputs without zeros.
SKIPS = "it skips work, the parts count all of it, and how much it skips is not measured"


@dataclass(frozen=True)
class KernelExplanation:
    """One kernel of one run; ``call_...``: what a call costs on two neurons a layer. None: not measured.

    ``measured``: seconds per call by batch size. ``weights_in``: the level that holds the weights. ``not_explained``:
    why there is no attribution. ``on_device``: its cases by the clock of its ``device``, whose cache was flushed.
    """

    kernel: str
    threads: int
    call_one_s: Estimate | None
    call_batch_s: Estimate | None
    fit: Fit | None
    measured: Mapping[int, float]
    shares: tuple[CaseShare, ...]
    attribution: Attribution | None
    weights_in: str | None
    missing: tuple[str, ...]
    device: str = CPU
    not_explained: str | None = None
    on_device: tuple[CaseShare, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """What the speedup of each kernel of one run is made of."""

    run: Judged
    evidence: Evidence
    kernels: tuple[KernelExplanation, ...]

    @property
    def first(self) -> Record:
        """The first record with a time: all of a run have one network."""
        return next(record for record in self.run.records if record.cases)

    @property
    def devices(self) -> Mapping[str, Roofs]:
        """The roofs of others than the CPU that kernels computed on."""
        return {name: roofs for name, roofs in self.evidence.devices.items() if isinstance(roofs, Roofs)}

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers as JSON can hold them; what has no value is null."""
        spec, run = self.first.spec, self.run
        data: dict[str, Any] = plain(
            {
                "run": run.id,
                "setting": run.setting.as_dict() if run.setting else None,
                "machine": run.machine,
                "spec": spec.label(),
                "kind": f"{spec.hidden}/{spec.output} {spec.dtype}",
                "threads": self.first.threads,
                "weight_bytes": spec.weight_bytes(),
                "kernels": list(map(asdict, self.kernels)),
                "roofs": {threads: asdict(roofs) for threads, roofs in self.evidence.roofs.items()},
                "devices": {device: asdict(roofs) for device, roofs in self.devices.items()},
                "missing": self.evidence.missing,
            }
        )
        return data


def find(run: Judged, cases: Sequence[CaseSummary]) -> Explanation | None:
    """Return what the speedup in a run with these ``cases`` is made of; None if nothing was timed."""
    if not cases:
        return None
    timed = {name: [r for r in run.records if r.kernel == name and r.cases] for name in run.kernels}
    own, beside = of_kernels(cases), evidence.read(run)
    kernels = (_kernel(records, own[name], beside) for name, records in timed.items() if records)
    return Explanation(run, beside, tuple(kernels))


def _kernel(records: Sequence[Record], cases: Sequence[CaseSummary], beside: Evidence) -> KernelExplanation:
    first = records[0]
    roofs = beside.of(first)
    small = {r.repeat: beside.small[r.kernel, r.repeat] for r in records if (r.kernel, r.repeat) in beside.small}
    calls: dict[int, dict[int, float]] = {}
    for case in batched(cases):
        for repeat, sample_s in case.by_repeat.items():
            calls.setdefault(repeat, {})[case.batch_size] = sample_s * case.batch_size
    fit = hockney.fit(calls)
    no_line = None if fit else "no line over batch sizes: it needs three or more of them in a process"
    parts, place, reason = _attribution(first, cases, small, beside.all_of(first))
    return KernelExplanation(
        kernel=first.kernel,
        threads=threads_of(first),
        call_one_s=estimates.estimate(s.call_one_s for s in small.values()) if small else None,
        call_batch_s=estimates.estimate(s.call_batch_s for s in small.values()) if small else None,
        fit=fit,
        measured={case.batch_size: case.sample.value * case.batch_size for case in batched(cases)},
        shares=evidence.shares(first, {case.at: case.sample.value for case in cases}, roofs),
        attribution=parts,
        weights_in=place,
        missing=tuple(filter(None, (no_line, beside.no_roofs(first)))),
        device=first.device or CPU,
        not_explained=reason,
        on_device=tuple(_on_device(records, roofs)) if roofs else (),
    )


def _on_device(records: Sequence[Record], roofs: Roofs) -> Iterator[CaseShare]:
    """Yield the cases of a kernel by the device's own clock, medians over repeats: from memory, without a launch."""
    cases = (case for record in records if record.device_times for case in record.device_times.cases)
    repeats = grouped(((case.mode, case.batch_size), case) for case in cases if "cold" in case.times)
    from_memory = replace(roofs, caches={}, launch_s={})
    for at, of_case in repeats.items():
        rows, cold_s = of_case[-1].rows, median(case.times["cold"].seconds["p50"] for case in of_case)
        work = Work.of(records[0].spec, rows, rows, records[0].facts)
        verdict = bounds.judge(work, from_memory, cold_s)
        yield CaseShare(*at, cold_s, work.intensity, work.flop / cold_s, verdict)


def _attribution(
    first: Record, cases: Sequence[CaseSummary], small: Mapping[int, SmallNetworks], roofs: Mapping[int, Roofs]
) -> tuple[Attribution | None, str | None, str | None]:
    """Return the attribution, the level that holds the weights, and why there is no attribution."""
    spec, n_bytes = first.spec, first.spec.weight_bytes()
    # One row's product is not divided among cores whose own caches hold the weights; beyond them it may be.
    alone = roofs.get(1)
    place = bounds.level(n_bytes, alone.caches) if alone else None
    if first.facts.skips_work:
        return None, place, SKIPS
    one, best = one_at_a_time(cases), best_batch(cases)
    if one is None or best is None:
        return None, place, "it needs the case one at a time (per_sample) and a batch"
    if not small:
        return None, place, "the cost of a call was not measured"
    reads = roofs.get(threads_of(first), alone) if place in ("L3", "DRAM") else alone
    weights_s = attribution.weight_cost(n_bytes, place, reads) if place and reads else None
    beyond, network = 0.0, next(iter(small.values()))
    if alone and network.l1_flop is not None and network.l1_weight_bytes is not None:
        beyond = attribution.arithmetic_cost(spec.flop(1) - network.l1_flop, n_bytes - network.l1_weight_bytes, alone)
    parts = attribution.attribute(one, best, best.speedup, small, best.batch_size, weights_s, beyond)
    return (None, place, parts) if isinstance(parts, str) else (parts, place, None)


def named(kernel: KernelExplanation) -> tuple[tuple[str, ...], str | None]:
    """Return the parts that make the gain of a kernel, the largest first; or none, and why none is named."""
    if any(share.verdict is not None and share.verdict.impossible for share in kernel.shares):
        return (), "it has impossible times"
    return causes(kernel.attribution) if kernel.attribution else ((), kernel.not_explained)


def causes(whole: Attribution) -> tuple[tuple[str, ...], str | None]:
    """Return the parts that make the gain, as `named` does: those that may be as large as the largest."""
    parts = {name: part for name, part in whole.parts.items() if part is not None}
    (first, largest), *others = sorted(parts.items(), key=lambda item: -item[1].value)
    if first == "unexplained":
        return (), "most of it is unexplained"
    least = largest.value if math.isnan(largest.low) else largest.low
    # Kernels on a device have no network for the arithmetic: it is part of what is unexplained, and beaten with that.
    if set(PARTS) - parts.keys() - {"arithmetic"} and 2 * least < whole.saved_s:
        return (), "not every cause was measured"
    rivals = [(name, part) for name, part in others if name != "unexplained" and not whole.unsure(name)]
    return (first, *(name for name, part in rivals if max(part.value, part.high) >= least)), None
