"""Judges a run once, before anybody reads a time of it: which rounds count, and which times are refused.

A time is refused by a check of its process (`bench.measure.checks`), by the device's own clock, or because the machine
cannot be so fast (`bench.analysis.roofline`). **A check that takes a time away is sure twice**: what rests on a time
itself (`bench.record.trust.BY_TIME`) counts where two processes of a kernel have found it. Of one process alone nobody
can say more than "not checked". What is a wrong value counts at once. A refused case has no time in any repeat: a
kernel that was caught is not believed where it was not.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from msgspec.structs import replace as changed

from mlpbench.bench import words
from mlpbench.bench.analysis import evidence
from mlpbench.bench.analysis.evidence import Evidence
from mlpbench.bench.analysis.roofline import RoofVerdict
from mlpbench.bench.cases import Case
from mlpbench.bench.groups import grouped
from mlpbench.bench.record import runs
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Failure, Record
from mlpbench.bench.record.trust import Refusal
from mlpbench.bench.trust.rounds import At, CaseTime, fastest_looks, slowness, taken

#: The phases of failures that stand for a refusal, and for one that nobody can be sure of.
PHASE, UNSURE = "refused", "not checked"

#: The cases of each record of a run, by (mode, batch size).
Times = tuple[Mapping[At, CaseTime], ...]
#: One refusal, and the kernel and the repeat whose process found it.
_Found = tuple[str, int, Refusal]


@dataclass(frozen=True, kw_only=True)
class Judged(Run):
    """A run without the times that are refused, and with a failure for each: what all of analysis takes.

    ``times``: of each record, the time of each case, whose rounds were chosen beside all others of the run.
    ``evidence``: what was measured beside the cases. ``unsure``: cases that keep their times, though a check of the one
    process that they have spoke against them.
    """

    times: Times
    evidence: Evidence
    unsure: tuple[Failure, ...] = ()


def judge(run: Run) -> Judged:
    """Judge a run; one that was judged is returned as it is."""
    if isinstance(run, Judged):
        return run
    beside = evidence.read(run)
    found = [(record.kernel, record.repeat, one) for record in run.records for one in _of_process(record)]
    records, unsure = _without(run.records, found)
    times = tuple(taken(records))
    if impossible := list(_impossible(records, times, beside)):
        records, more = _without(records, impossible)
        times, unsure = tuple(taken(records)), (*unsure, *more)
    return Judged(**vars(replace(run, records=records)), times=times, evidence=beside, unsure=unsure)


def read(path: Path) -> list[Judged]:
    """Read and judge a run, or all runs of a sweep. Raises UserError as `bench.record.runs.read_runs`."""
    return list(map(judge, runs.read_runs(path)))


def _of_process(record: Record) -> Iterator[Refusal]:
    """Yield what one process says against itself."""
    yield from record.trust.refusals
    yield from _unwaited(record)


def _unwaited(record: Record) -> Iterator[Refusal]:
    """Yield the cases whose calls were over before the device was, by its own clock: nobody waited for it."""
    for timing in record.cases:
        found = record.device_times.of(timing.mode, timing.batch_size) if record.device_times else None
        hot = found.times.get("hot") if found else None
        if found is None or hot is None or hot.samples < 10:  # the least of fewer samples says little
            continue
        call_s = median(timing.rounds_s) * found.rows / timing.rows_per_call
        if call_s < hot.min_s / 2:  # far from what noise makes
            what = f"a call took {words.seconds(call_s)}, and the device alone takes {words.seconds(hot.min_s)} for it"
            reason = f"{what}: it was not waited for"
            yield Refusal.of(Case(timing.mode, timing.batch_size), "wait", reason)


def _impossible(records: Sequence[Record], times: Times, beside: Evidence) -> Iterator[_Found]:
    """Yield the cases that are faster than the machine can be, repeat by repeat."""
    best = fastest_looks(records)
    for record, cases in zip(records, times, strict=True):
        slow = slowness(record, best)
        sample_s = {at: case.sample_s / slow for at, case in cases.items()}
        found: dict[Case, Refusal] = {}
        # Roofs that were refused are too low, and nobody is many times faster.
        for roofs in (beside.too_low_for(record), beside.of(record)):
            for share in evidence.shares(record, sample_s, roofs):
                if share.verdict is not None and share.verdict.impossible:
                    at = Case(share.mode, share.batch_size)
                    found[at] = Refusal.of(at, "roofline", _why(share.verdict))
        yield from ((record.kernel, record.repeat, one) for one in found.values())


def _why(verdict: RoofVerdict) -> str:
    binding = verdict.binding
    what = f"the machine's {binding.roof} peak" if binding.what == "arithmetic" else f"what {binding.roof} can deliver"
    return f"it would be {words.percent(verdict.share)} of {what}; likely cause: {verdict.reason}"


def _without(records: tuple[Record, ...], found: Sequence[_Found]) -> tuple[tuple[Record, ...], tuple[Failure, ...]]:
    """Return the records without what is surely refused, and what one process alone has found."""
    processes = Counter(record.kernel for record in records if record.cases or record.trust.refusals)
    alike = grouped(((kernel, one.mode, one.batch_size, one.check), (repeat, one)) for kernel, repeat, one in found)
    sure, unsure = dict[str, list[Refusal]](), list[Failure]()
    for (kernel, *_), of_check in alike.items():
        repeats, first = {repeat for repeat, _ in of_check}, of_check[0][1]
        if not first.by_time or len(repeats) > 1:
            sure.setdefault(kernel, []).append(first)
        elif processes[kernel] == 1:
            unsure.append(_failure(kernel, first, UNSURE))
    stripped = (_stripped(record, sure[record.kernel]) if record.kernel in sure else record for record in records)
    return tuple(stripped), tuple(dict.fromkeys(unsure))


def _failure(kernel: str, one: Refusal, phase: str) -> Failure:
    return Failure(kernel, one.mode, one.batch_size, phase, one.reason, one.check)


def _stripped(record: Record, refused: Sequence[Refusal]) -> Record:
    """Return a record without the refused cases, and without what else was timed of them."""

    def is_hit(mode: str, batch_size: int) -> bool:
        return any(one.hits(mode, batch_size) for one in refused)

    def kept(blocks: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(block for block in blocks if not is_hit(block.mode, block.batch_size))

    trust, device_times = record.trust, record.device_times
    told = (_failure(record.kernel, one, PHASE) for one in refused)
    starts = tuple(
        changed(start, first_calls=tuple(call for call in start.first_calls if not is_hit(call[0], call[1])))
        for start in trust.starts
    )
    return changed(
        record,
        cases=kept(record.cases),
        failures=tuple(dict.fromkeys((*record.failures, *told))),
        device_times=device_times and changed(device_times, cases=kept(device_times.cases)),
        trust=changed(trust, singles=kept(trust.singles), starts=starts),
    )
