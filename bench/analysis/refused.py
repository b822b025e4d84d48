"""Takes the times away that are refused. Every reader of a run begins here, so that no table can show one.

A time is refused by a check of its process (`bench.measure.checks`), by the device's own clock, or because the machine
cannot be so fast (`bench.analysis.roofline`). **A check that takes a time away is sure twice**: what rests on a time
itself (`bench.record.trust.BY_TIME`) counts where two processes of a kernel have found it. Of one process alone nobody
can say more than "not checked". What is a wrong value counts at once. A refused case has no time in any repeat: a
kernel that was caught is not believed where it was not.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
from mlpbench.bench.cases import CPU, Case
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Failure, Record
from mlpbench.bench.record.trust import Refusal
from mlpbench.bench.stats.estimates import estimate

#: A call that takes less than this share of the device's own time was not waited for: far from what noise makes. Of
#: fewer samples than that, the least of them says little.
WAITED, SAMPLES = 0.5, 10
#: The phases of failures that stand for a refusal, and for one that nobody can be sure of.
PHASE, UNSURE = "refused", "not checked"


#: One refusal, and the kernel and the repeat whose process found it.
_Found = tuple[str, int, Refusal]


def settled(run: Run, beside: Evidence | None = None) -> Run:
    """Return the run without the times that are refused, and with a failure for each; a settled run is left as it is.

    ``beside``: the run's evidence, for who has read it already. Raises UserError for damaged files of the roofs.
    """
    found = [(record.kernel, record.repeat, one) for record in run.records for one in _of_process(record)]
    run = _without(run, found)
    return _without(run, list(_impossible(run, evidence.read(run) if beside is None else beside)))


def _of_process(record: Record) -> Iterator[Refusal]:
    """Yield what one process says against itself."""
    yield from record.trust.refusals
    yield from _unwaited(record)


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
            yield Refusal.of(Case(timing.mode, timing.batch_size), "wait", reason)


def _impossible(run: Run, beside: Evidence) -> Iterator[_Found]:
    """Yield the cases that are faster than the machine can be, repeat by repeat."""
    timed = {record.kernel: record for record in reversed(run.records) if record.cases}
    for kernel, cases in of_kernels(summarize([run])).items():
        first = timed[kernel]
        device, threads = first.device or CPU, threads_used(first) or first.threads or 1
        roofs, _, disturbed, _ = held_to(device, threads, beside, first.facts.arithmetic)
        # Roofs that were refused are too low, and nobody is many times faster.
        too_low = beside.too_low_for(threads) if device == CPU else None
        for repeat in sorted({repeat for case in cases for repeat in case.every}):
            own = [replace(case, sample=estimate({0: case.every[repeat]})) for case in cases if repeat in case.every]
            found: dict[Case, Refusal] = {}
            for held, is_low in ((too_low, True), (roofs, disturbed)):
                for share in shares(first, own, held, disturbed=is_low):
                    if share.verdict is not None and share.verdict.impossible:
                        at = Case(share.mode, share.batch_size)
                        found[at] = Refusal.of(at, "roofline", _why(share.verdict))
            yield from ((kernel, repeat, one) for one in found.values())


def _why(verdict: RoofVerdict) -> str:
    binding = verdict.binding
    what = f"the machine's {binding.roof} peak" if binding.what == "arithmetic" else f"what {binding.roof} can deliver"
    return f"it would be {words.percent(verdict.share)} of {what}; likely cause: {verdict.reason}"


def _without(run: Run, found: Sequence[_Found]) -> Run:
    if not found:
        return run
    processes = Counter(record.kernel for record in run.records if record.cases or record.trust.refusals)
    alike = grouped(((kernel, one.mode, one.batch_size, one.check), (repeat, one)) for kernel, repeat, one in found)
    sure, unsure = dict[str, list[Refusal]](), list[Failure]()
    for (kernel, *_), of_check in alike.items():
        repeats, first = {repeat for repeat, _ in of_check}, of_check[0][1]
        if not first.by_time or len(repeats) > 1:
            sure.setdefault(kernel, []).append(first)
        elif processes[kernel] == 1:
            unsure.append(_failure(kernel, first, UNSURE))
    records = tuple(_stripped(record, sure.get(record.kernel, ())) for record in run.records)
    return replace(run, records=records, unsure=tuple(dict.fromkeys((*run.unsure, *unsure))))


def _failure(kernel: str, one: Refusal, phase: str) -> Failure:
    return Failure(kernel, one.mode, one.batch_size, phase, one.reason, one.check)


def _stripped(record: Record, refused: Sequence[Refusal]) -> Record:
    """Return a record without the refused cases, and without what else was timed of them."""
    if not refused:
        return record

    def kept(blocks: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(block for block in blocks if not any(one.hits(block.mode, block.batch_size) for one in refused))

    trust, device_times = record.trust, record.device_times
    told = (_failure(record.kernel, one, PHASE) for one in refused)
    starts = tuple(changed(start, first_calls=kept(start.first_calls)) for start in trust.starts)
    return changed(
        record,
        cases=kept(record.cases),
        failures=tuple(dict.fromkeys((*record.failures, *told))),
        device_times=device_times and changed(device_times, cases=kept(device_times.cases)),
        trust=changed(trust, singles=kept(trust.singles), starts=starts),
    )
