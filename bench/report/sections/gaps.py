"""What a run has no time for, and why: skipped kernels, failures, processes that never ended, cases left out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from mlpbench.bench.analysis import refused as refusals
from mlpbench.bench.groups import grouped
from mlpbench.bench.record import belongs
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import STOPPED, Failure
from mlpbench.bench.report.document import Table, columns, table_of_runs
from mlpbench.bench.report.parts import Findings, Part

Gap = tuple[str, str, str]

_PHASES = {
    "gate": "did not agree with the reference",
    "threads": "used more threads than it was given",
    "construct": "could not be made",
    "measure": "failed while it was timed",
    "process": "its process died",
    "record": "its record cannot be read",
    STOPPED: "its process was stopped",
    refusals.PHASE: refusals.PHASE,
}


def gap_table(runs: Sequence[Run]) -> Table | None:
    """Return all gaps of all runs as a table; None if there are none."""
    rows = [(run.name, *gap) for run in runs for gap in gaps(run)]
    made = columns(("kernel", "what is missing", "why"))
    return table_of_runs("What has no time, and why.", made, rows, several=len(runs) > 1) if rows else None


def refused(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return one sentence for each kernel and check by which times were refused: they stand beside the headline."""
    return tuple(
        f"Refused: {one.kernel}, {cases}: {why}."
        for run in runs
        for one, cases, _, why in _alike(run, _failures(run))
        if one.phase == refusals.PHASE
    )


def not_checked(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return one sentence for each kernel and check that spoke against times in the one process of a kernel."""
    return tuple(f"Not checked: {kernel}, {cases}: {why}." for run in runs for kernel, cases, why in _unsure(run))


def once_for_all(runs: Sequence[Run], hit: Sequence[tuple[Run, str]], what: str) -> list[str]:
    """Return a sentence about what was ``hit``, with details: one for all of several ``runs``; nothing for none."""
    if len(runs) == 1:
        return [f"The run was {what}: {detail}." for _, detail in hit]
    if len(hit) == 1:
        return [f"{run.title} was {what}: {detail}." for run, detail in hit]
    told = "; ".join(f"{run.name}: {detail}" for run, detail in hit)
    return [f"{len(hit)} of {len(runs)} runs were {what}. {told}."] if hit else []


def gaps(run: Run) -> list[Gap]:
    """Return (kernel, what is missing, why) for everything that was planned, or found, and has no time."""
    skipped = ((item.kernel, "skipped", item.reason) for item in run.skipped)
    stopped = {failure.kernel for failure in run.failures if failure.phase == STOPPED}
    again = tuple(at for at in run.left_out if at[0] in stopped)
    without = (
        (run.missing, "the run was interrupted before this process ended"),
        (again, "not started again after its process was stopped"),
        (tuple(at for at in run.left_out if at[0] not in stopped), "the budget was spent"),
    )
    absent = (gap for processes, why in without for gap in _absent(run, processes, why))
    unsure = ((kernel, f"{cases}: {refusals.UNSURE}", why) for kernel, cases, why in _unsure(run))
    return [*skipped, *_failed(run), *unsure, *absent, *_unexplained(run)]


def _failures(run: Run) -> list[tuple[Failure, int]]:
    return [(one, record.repeat) for record in run.records for one in record.failures]


def _alike(run: Run, failures: Iterable[tuple[Failure, int]]) -> Iterator[tuple[Failure, str, set[int], str]]:
    """Yield failures that are alike once: the first, the cases and repeats that they hit, and why.

    Refusals are alike that one check found, whatever the numbers in it. A gate fails for all cases at a time.
    """
    alike = grouped(((one.kernel, one.phase, one.check or one.reason), (one, repeat)) for one, repeat in failures)
    for found in alike.values():
        first, hit = found[0][0], dict.fromkeys(_name(one.mode, one.batch_size) for one, _ in found)
        cases = "all cases" if "all cases" in hit or len(hit) == len(_planned(run)) else ", ".join(hit)
        yield first, cases, {repeat for _, repeat in found}, first.why


def _failed(run: Run) -> Iterator[Gap]:
    for first, cases, repeats, why in _alike(run, _failures(run)):
        yield first.kernel, f"{cases}, {_repeats(repeats, run)}: {_PHASES.get(first.phase, first.phase)}", why


def _unsure(run: Run) -> Iterator[Gap]:
    """Yield what a check found in the one process of a kernel, which is too little to refuse a time."""
    for first, cases, _, why in _alike(run, [(one, 0) for one in run.unsure]):
        yield first.kernel, cases, f"{why}. One process alone may be wrong: a second one decides (--repeats 2)"


def _absent(run: Run, processes: Iterable[tuple[str, int]], why: str) -> Iterator[Gap]:
    for kernel, repeats in grouped(processes).items():
        yield kernel, f"all cases, {_repeats(repeats, run)}", why


def _unexplained(run: Run) -> Iterator[Gap]:
    """Yield planned cases of finished processes that have neither a time nor a failure."""
    silent: dict[tuple[str, str], set[int]] = defaultdict(set)
    for record in run.records:
        for planned in belongs.unexplained(record, run.plan):
            silent[record.kernel, _name(planned.mode, planned.batch_size)].add(record.repeat)
    for (kernel, case), repeats in silent.items():
        yield kernel, f"{case}, {_repeats(repeats, run)}", "planned, and neither measured nor explained"


def _planned(run: Run) -> tuple[tuple[str, int], ...]:
    return tuple((case.mode, case.batch_size) for case in run.plan.cases) if run.plan else ()


def _name(mode: str | None, batch_size: int | None) -> str:
    if mode is None or batch_size is None:
        return "all cases"
    return "one at a time" if mode == "per_sample" else f"{mode} {batch_size:,}"


def _repeats(repeats: Iterable[int], run: Run) -> str:
    """Return numbers of repeats as people count them, from 1."""
    numbers = sorted(repeat + 1 for repeat in repeats)
    planned = run.plan.repeats if run.plan else None
    if planned == len(numbers):
        return "every repeat"
    said = f"repeat{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"
    return f"{said} of {planned}" if planned else said


def notices(runs: Sequence[Run]) -> list[str]:
    """Return what must not be overlooked: the numbers are not all that were planned."""
    cut = [
        (run, f"{len(run.missing)} of {len(run.plan.order if run.plan else run.missing)} processes have no result")
        for run in runs
        if run.missing
    ]
    texts = once_for_all(runs, cut, "interrupted")
    for run in runs:
        which = run.title if len(runs) > 1 else "The run"
        if run.problems and not run.missing:
            texts.append(f"{which} was {'; '.join(run.problems)}.")
        texts += [resumed.sentence() for resumed in run.resumed]
        texts += [f"{which} contradicts itself: {doubt}." for doubt in run.contradictions]
        texts += [f"{which} leaves a file out; the rest is shown. {line}." for line in run.damaged]
        badly = [(record.path.name, record.ran.ended) for record in run.records if record.ran and record.ran.ended]
        texts += [f"{name} was whole when its process {ended}: it counts." for name, ended in badly]
        failed = dict.fromkeys(failure.kernel for failure in run.failures)
        if failed:
            texts.append(f'{which} has failures, listed under "What is missing": {", ".join(failed)}.')
    return texts


def _blocks(found: Findings) -> tuple[Table, ...]:
    return (table,) if (table := gap_table(found.runs)) else ()


SECTIONS = (Part(110, "missing", "What is missing", _blocks),)
