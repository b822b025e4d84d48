"""Takes the times away that are refused. Every reader of a run begins here, so that no table can show one.

A time is refused by a check behind the clock (`bench.measure.honesty`), by the clock of its process
(`bench.trust.clock_check`), by the device's own clock, or because the machine cannot be so fast
(`bench.analysis.roofline`). A case that is
refused in one repeat has no time in any: a kernel that was caught once is not believed where it was not.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from msgspec.structs import replace as changed

from mlpbench.bench import words
from mlpbench.bench.analysis import evidence
from mlpbench.bench.analysis.evidence import Evidence
from mlpbench.bench.analysis.explain import held_to, shares
from mlpbench.bench.analysis.roofline import RoofVerdict
from mlpbench.bench.analysis.summary import of_kernels, summarize, threads_used
from mlpbench.bench.cases import CPU
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Failure, Record
from mlpbench.bench.record.trust import Refusal
from mlpbench.bench.trust.clock_check import false_clock

#: A call that takes less than this share of the device's own time was not waited for: far from what noise makes. Of
#: fewer samples than that, the least of them says little.
WAITED, SAMPLES = 0.5, 10
#: The phase of a failure that stands for a refusal.
PHASE = "refused"


def settled(run: Run, beside: Evidence | None = None) -> Run:
    """Return the run without the times that are refused, and with a failure for each; a settled run is left as it is.

    ``beside``: the run's evidence, for who has read it already. Raises UserError for damaged files of the roofs.
    """
    found = [(record, one) for record in run.records for one in _of_process(record)]
    run = _without(run, [(record.kernel, one) for record, one in found])
    return _without(run, list(_impossible(run, evidence.read(run) if beside is None else beside)))


def _of_process(record: Record) -> Iterator[Refusal]:
    """Yield what one process says against itself."""
    yield from record.trust.refusals
    yield from _unwaited(record)
    if why := false_clock(record.trust):
        yield Refusal(check="clock", reason=why)


def _unwaited(record: Record) -> Iterator[Refusal]:
    """Yield the cases whose calls were over before the device was, by its own clock: nobody waited for it."""
    for timing in record.cases:
        found = record.device_times.of(timing.mode, timing.batch_size) if record.device_times else None
        hot = found.times.get("hot") if found else None
        if found is None or hot is None or hot.samples < SAMPLES:
            continue
        call_s = median(timing.rounds_s) * found.rows / timing.rows_per_call
        if call_s < WAITED * hot.min_s:
            what = f"a call took {words.seconds(call_s)}, and the device alone takes {words.seconds(hot.min_s)} for it"
            reason = f"{what}: it was not waited for"
            yield Refusal(mode=timing.mode, batch_size=timing.batch_size, check="wait", reason=reason)


def _impossible(run: Run, beside: Evidence) -> Iterator[tuple[str, Refusal]]:
    """Yield the kernel and the refusal of each case that is faster than the machine can be."""
    timed = {record.kernel: record for record in reversed(run.records) if record.cases}
    for kernel, cases in of_kernels(summarize([run])).items():
        first = timed[kernel]
        device, threads = first.device or CPU, threads_used(first) or first.threads or 1
        roofs, _, disturbed, _ = held_to(device, threads, beside, first.describe.get("arithmetic"))
        # Roofs that were refused are too low, and nobody is many times faster.
        too_low = beside.too_low_for(threads) if device == CPU else None
        found: dict[tuple[str, int], Refusal] = {}
        for held, is_low in ((too_low, True), (roofs, disturbed)):
            for share in shares(first, cases, held, disturbed=is_low):
                if share.verdict is not None and share.verdict.impossible:
                    at, why = (share.mode, share.batch_size), _why(share.verdict)
                    found[at] = Refusal(mode=at[0], batch_size=at[1], check="roofline", reason=why)
        yield from ((kernel, one) for one in found.values())


def _why(verdict: RoofVerdict) -> str:
    binding = verdict.binding
    what = f"the machine's {binding.roof} peak" if binding.what == "arithmetic" else f"what {binding.roof} can deliver"
    return f"it would be {words.percent(verdict.share)} of {what}; likely cause: {verdict.reason}"


def _without(run: Run, refused: Sequence[tuple[str, Refusal]]) -> Run:
    if not refused:
        return run
    by_kernel = {kernel: [one for name, one in refused if name == kernel] for kernel, _ in refused}
    return replace(run, records=tuple(_stripped(record, by_kernel.get(record.kernel, ())) for record in run.records))


def _stripped(record: Record, refused: Collection[Refusal]) -> Record:
    """Return a record without the refused cases, and without what else was timed of them."""
    if not refused:
        return record
    hit = {(one.mode, one.batch_size) for one in refused}
    everything = any(mode is None for mode, _ in hit)

    def kept(blocks: Iterable[Any]) -> tuple[Any, ...]:
        return () if everything else tuple(one for one in blocks if (one.mode, one.batch_size) not in hit)

    trust, device_times = record.trust, record.device_times
    told = (Failure(record.kernel, one.mode, one.batch_size, PHASE, f"{one.check}: {one.reason}") for one in refused)
    starts = tuple(changed(start, first_calls=kept(start.first_calls)) for start in trust.starts)
    return changed(
        record,
        cases=kept(record.cases),
        failures=tuple(dict.fromkeys((*record.failures, *told))),
        device_times=device_times and changed(device_times, cases=kept(device_times.cases)),
        trust=changed(trust, singles=kept(trust.singles), audits=kept(trust.audits), starts=starts),
    )
