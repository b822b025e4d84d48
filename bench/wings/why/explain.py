"""What the speedup of each kernel of a run is made of: call cost, Hockney's line, roofs, attribution.

Everything is derived from the result files. What was not measured is None, with a reason.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from mlpbench.bench.analysis import evidence, roofline
from mlpbench.bench.analysis.evidence import CaseShare, Evidence, SmallNetworks, threads_of
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.roofline import Roofs, Work
from mlpbench.bench.analysis.summary import CaseSummary, batched, best_batch, of_kernels, one_at_a_time
from mlpbench.bench.cases import CPU
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Estimate
from mlpbench.bench.wings.why import attribution, hockney
from mlpbench.bench.wings.why.attribution import PARTS, Attribution
from mlpbench.bench.wings.why.hockney import Fit
from mlpbench.bench.words import plain
from mlpbench.kernels.spec import ForwardSpec

#: The parts count every weight and operation, the small networks have inputs without zeros.
SKIPS = "it skips work, the parts count all of it, and how much it skips is not measured"


@dataclass(frozen=True)
class KernelExplanation:
    """One kernel of one run. Times in seconds.

    ``call_one_s``, ``call_batch_s``: what a call of ``forward_one`` and of ``forward`` costs on two neurons a layer.
    ``measured`` are the medians of seconds per call by batch size. ``weights_in``: the level of memory that holds the
    weights. ``not_explained``: why there is no attribution; ``missing``: what else could not be said, and why.
    ``device``: where it computes; ``on_device``: its cases by that device's own clock, its cache flushed.
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

    @property
    def impossible(self) -> tuple[CaseShare, ...]:
        """The cases whose times cannot be."""
        return tuple(share for share in self.shares if share.verdict is not None and share.verdict.impossible)


@dataclass(frozen=True)
class Explanation:
    """What the speedup of each kernel of one run, ``run``, is made of."""

    run: Judged
    kernels: tuple[KernelExplanation, ...]

    @property
    def first(self) -> Record:
        """The first record with a time: all of a run have one network."""
        return next(record for record in self.run.records if record.cases)

    @property
    def roofs(self) -> Mapping[int, Roofs]:
        """The CPU's, by number of threads."""
        return self.run.evidence.roofs

    @property
    def devices(self) -> Mapping[str, Roofs]:
        """The roofs of others than the CPU that kernels computed on."""
        return {name: roofs for name, roofs in self.run.evidence.devices.items() if isinstance(roofs, Roofs)}

    @property
    def title(self) -> str:
        """The run at the beginning of a sentence."""
        return self.run.title

    @property
    def of_run(self) -> str:
        """The title within a sentence."""
        return self.title[0].lower() + self.title[1:]

    @property
    def spec(self) -> str:
        """The sizes of the network."""
        return self.first.spec.label()

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights."""
        return self.first.spec.weight_bytes()

    @property
    def missing(self) -> tuple[str, ...]:
        """What the run's files do not hold, one sentence each."""
        return self.run.evidence.missing

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers as JSON can hold them; what has no value is null."""
        spec, run = self.first.spec, self.run
        data: dict[str, Any] = plain(
            {
                "run": run.id,
                "setting": run.setting.as_dict() if run.setting else None,
                "machine": run.machine,
                "spec": self.spec,
                "kind": f"{spec.hidden}/{spec.output} {spec.dtype}",
                "threads": self.first.threads,
                "weight_bytes": self.weight_bytes,
                "kernels": list(map(asdict, self.kernels)),
                "roofs": {threads: asdict(roofs) for threads, roofs in self.roofs.items()},
                "devices": {device: asdict(roofs) for device, roofs in self.devices.items()},
                "missing": self.missing,
            }
        )
        return data


def find(run: Judged, cases: Sequence[CaseSummary]) -> Explanation | None:
    """Return what the speedup in a run is made of; None if nothing was timed.

    ``cases`` are all of the run (`bench.analysis.summary.summarize`).
    """
    if not cases:
        return None
    timed = {name: [r for r in run.records if r.kernel == name and r.cases] for name in run.kernels}
    own = of_kernels(cases)
    kernels = (_kernel(records, own[name], run.evidence) for name, records in timed.items() if records)
    return Explanation(run, tuple(kernels))


def _kernel(records: Sequence[Record], cases: Sequence[CaseSummary], found: Evidence) -> KernelExplanation:
    first = records[0]
    roofs, no_roofs = found.of(first), found.no_roofs(first)
    small = {r.repeat: found.small[r.kernel, r.repeat] for r in records if (r.kernel, r.repeat) in found.small}
    calls: dict[int, dict[int, float]] = {}
    for case in batched(cases):
        for repeat, sample_s in case.by_repeat.items():
            calls.setdefault(repeat, {})[case.batch_size] = sample_s * case.batch_size
    fit = hockney.fit(calls)
    missing = [] if fit else ["no line over batch sizes: it needs three or more of them in a process"]
    parts, place, reason = _attribution(first, cases, small, found.all_of(first))
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
        missing=(*missing, *([no_roofs] if no_roofs else [])),
        device=first.device or CPU,
        not_explained=reason,
        on_device=tuple(_on_device(records, roofs)) if roofs else (),
    )


def _on_device(records: Sequence[Record], roofs: Roofs) -> Iterator[CaseShare]:
    """Yield the cases of a kernel by the device's own clock, medians over repeats.

    Its cache is empty when such a call begins: weights and inputs come from memory. No launch is in the time.
    """
    cases = (case for record in records if record.device_times for case in record.device_times.cases)
    repeats = grouped(((case.mode, case.batch_size), case) for case in cases if "cold" in case.times)
    from_memory = replace(roofs, caches={}, launch_s={})
    for at, found in repeats.items():
        rows, cold_s = found[-1].rows, median(case.times["cold"].p50_s for case in found)
        work = Work.of(records[0].spec, rows, rows, records[0].facts)
        verdict = roofline.judge(work, from_memory, cold_s)
        yield CaseShare(*at, cold_s, work.intensity, work.flop / cold_s, verdict)


def _attribution(
    first: Record, cases: Sequence[CaseSummary], small: Mapping[int, SmallNetworks], roofs: Mapping[int, Roofs]
) -> tuple[Attribution | None, str | None, str | None]:
    """Return the attribution, the level that holds the weights, and why there is none."""
    n_bytes = first.spec.weight_bytes()
    # One row's product is not divided among cores whose own caches hold the weights; beyond them it may be.
    alone = roofs.get(1)
    place = roofline.level(n_bytes, alone.caches) if alone else None
    reads = roofs.get(threads_of(first), alone) if place in ("L3", "DRAM") else alone
    weights_s = attribution.weight_cost(n_bytes, place, reads) if place and reads else None
    if first.facts.skips_work:
        return None, place, SKIPS
    one, best = one_at_a_time(cases), best_batch(cases)
    if one is None or best is None:
        return None, place, "it needs the case one at a time (per_sample) and a batch"
    if not small:
        return None, place, "the cost of a call was not measured"
    beyond = _beyond_l1(first.spec, next(iter(small.values())), alone)
    found = attribution.attribute(one, best, best.speedup, small, best.batch_size, weights_s, beyond)
    return (None, place, found) if isinstance(found, str) else (found, place, None)


def _beyond_l1(spec: ForwardSpec, small: SmallNetworks, alone: Roofs | None) -> float:
    """Return what the operations cost single rows, at the least, that the network with weights in L1 does not do."""
    if alone is None or small.l1_flop is None or small.l1_weight_bytes is None:
        return 0.0
    flop, n_bytes = spec.flop(1) - small.l1_flop, spec.weight_bytes() - small.l1_weight_bytes
    return attribution.arithmetic_cost(flop, n_bytes, alone)


def named(kernel: KernelExplanation) -> tuple[tuple[str, ...], str | None]:
    """Return the parts that make the gain of a kernel as `causes` does, or why none can be named."""
    if kernel.impossible:
        return (), "it has impossible times"
    return causes(kernel.attribution) if kernel.attribution else ((), kernel.not_explained)


def causes(found: Attribution) -> tuple[tuple[str, ...], str | None]:
    """Return the parts that make the gain, the largest first, and None; or none, and why none is named."""
    parts = {name: part for name, part in found.parts.items() if part is not None}
    (first, largest), *others = sorted(parts.items(), key=lambda item: -item[1].value)
    if first == "unexplained":
        return (), "most of it is unexplained"
    least = largest.value if math.isnan(largest.low) else largest.low
    # Kernels on a device have no network for the arithmetic: it is part of what is unexplained, and beaten with that.
    if set(PARTS) - parts.keys() - {"arithmetic"} and 2 * least < found.saved_s:
        return (), "not every cause was measured"
    rivals = [(name, part) for name, part in others if name != "unexplained" and not found.unsure(name)]
    return (first, *(name for name, part in rivals if max(part.value, part.high) >= least)), None
