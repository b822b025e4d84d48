"""Judges a run once, before anybody reads a time of it: which rounds count, and which times are refused.

A time is refused by a check of its process (`bench.measure.checks`), or by the module ``refusals`` of a wing. **A check
that takes a time away is sure twice**: what rests on a time itself (`bench.record.trust.BY_TIME`) counts where two
processes of a kernel have found it; of one process alone it is "not checked". A wrong value counts at once. A refused
case has no time in any repeat: a kernel that was caught is not believed where it was not.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

from msgspec.structs import replace as changed

from mlpbench.bench.groups import grouped
from mlpbench.bench.record import runs
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Failure, Record
from mlpbench.bench.record.trust import Refusal
from mlpbench.bench.registered import modules
from mlpbench.bench.trust.rounds import At, CaseTime, taken

#: The phases of failures that stand for a refusal, and for one that nobody can be sure of.
PHASE, UNSURE = "refused", "not checked"

#: One refusal, and the kernel and the repeat whose process found it.
Found = tuple[str, int, Refusal]


@dataclass(frozen=True, kw_only=True)
class Judged(Run):
    """A run without the times that are refused, and with a failure for each: what all of analysis takes.

    ``times``: of each record, the time of each case. ``unsure``: cases that keep their times, though a check of the one
    process that they have spoke against them.
    """

    times: tuple[Mapping[At, CaseTime], ...] = ()
    unsure: tuple[Failure, ...] = ()


def judge(run: Run) -> Judged:
    """Judge a run; one that was judged is returned as it is."""
    if isinstance(run, Judged):
        return run
    own = [(record.kernel, record.repeat, one) for record in run.records for one in record.trust.refusals]
    judged = _refused(Judged(**vars(run)), own)
    for check in modules("refusals"):
        if refusals := list(check.refusals(judged)):
            judged = _refused(judged, refusals)
    return judged


def read(path: Path) -> list[Judged]:
    """Read and judge a run, or all runs of a sweep. Raises UserError as `bench.record.runs.read_runs`."""
    return list(map(judge, runs.read_runs(path)))


def _refused(run: Judged, refusals: Sequence[Found]) -> Judged:
    """Return a run without what is surely refused, and with what one process alone has found."""
    processes = Counter(record.kernel for record in run.records if record.cases or record.trust.refusals)
    alike = grouped(((kernel, one.mode, one.batch_size, one.check), (repeat, one)) for kernel, repeat, one in refusals)
    sure, unsure = dict[str, list[Refusal]](), list(run.unsure)
    for (kernel, *_), of_check in alike.items():
        repeats, first = {repeat for repeat, _ in of_check}, of_check[0][1]
        if not first.by_time or len(repeats) > 1:
            sure.setdefault(kernel, []).append(first)
        elif processes[kernel] == 1:
            unsure.append(Failure(kernel, first.mode, first.batch_size, UNSURE, first.reason, first.check))
    records = tuple(
        _stripped(record, sure[record.kernel]) if record.kernel in sure else record for record in run.records
    )
    return replace(run, records=records, times=tuple(taken(records)), unsure=tuple(dict.fromkeys(unsure)))


def _stripped(record: Record, refused: Sequence[Refusal]) -> Record:
    """Return a record without the refused cases, and without what else was timed of them."""

    def kept(items: Iterable[Any], at: Callable[[Any], At] = attrgetter("mode", "batch_size")) -> tuple[Any, ...]:
        return tuple(item for item in items if not any(one.hits(*at(item)) for one in refused))

    trust, device_times = record.trust, record.device_times
    failures = (Failure(record.kernel, one.mode, one.batch_size, PHASE, one.reason, one.check) for one in refused)
    starts = (changed(start, first_calls=kept(start.first_calls, itemgetter(0, 1))) for start in trust.starts)
    return changed(
        record,
        cases=kept(record.cases),
        failures=tuple(dict.fromkeys((*record.failures, *failures))),
        device_times=device_times and changed(device_times, cases=kept(device_times.cases)),
        trust=changed(trust, starts=tuple(starts)),
    )
