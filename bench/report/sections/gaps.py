"""What a run has no time for, and why: skipped kernels, failures, processes that never ended, cases left out."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from mlpbench.bench import words
from mlpbench.bench.analysis import judge
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.groups import grouped
from mlpbench.bench.record import consistency
from mlpbench.bench.record.schema import STOPPED, Failure
from mlpbench.bench.report.document import Findings, Table, table
from mlpbench.bench.report.parts import Part

Gap = tuple[str, str, str]
ALL = "all cases"

_PHASES = {
    "gate": "did not agree with the reference",
    "threads": "used more threads than it was given",
    "construct": "could not be made",
    "measure": "failed while it was timed",
    "process": "its process died",
    "record": "its record cannot be read",
    STOPPED: "its process was stopped",
    judge.PHASE: judge.PHASE,
}


def refused(runs: Sequence[Judged]) -> tuple[str, ...]:
    """Return one sentence for each kernel and check by which times were refused: they stand beside the headline."""
    return tuple(
        f"Refused: {first.kernel}, {cases}: {first.why}."
        for run in runs
        for first, cases, _ in _alike(run, _failures(run))
        if first.phase == judge.PHASE
    )


def not_checked(runs: Sequence[Judged]) -> tuple[str, ...]:
    """Return one sentence for each kernel and check that found its times wrong in the one process there is."""
    return tuple(f"Not checked: {kernel}, {cases}: {why}." for run in runs for kernel, cases, why in _unsure(run))


def gaps(run: Judged) -> list[Gap]:
    """Return (kernel, what is missing, why) for everything that was planned, or found, and has no time."""
    skipped = ((kernel, "skipped", reason) for kernel, reason in run.skipped.items())
    failed = (
        (first.kernel, f"{cases}, {_repeats(repeats, run)}: {_PHASES.get(first.phase, first.phase)}", first.why)
        for first, cases, repeats in _alike(run, _failures(run))
    )
    unsure = ((kernel, f"{cases}: {judge.UNSURE}", why) for kernel, cases, why in _unsure(run))
    return [*skipped, *failed, *unsure, *_absent(run)]


def _failures(run: Judged) -> list[tuple[Failure, int]]:
    return [(failure, record.repeat) for record in run.records for failure in record.failures]


def _alike(run: Judged, failures: Iterable[tuple[Failure, int]]) -> Iterator[tuple[Failure, str, set[int]]]:
    """Yield failures that are alike once, whatever the numbers in them: the first, and the cases and repeats."""
    planned = len(run.plan.cases) if run.plan else 0
    alike = grouped(((one.kernel, one.phase, one.check or one.reason), (one, repeat)) for one, repeat in failures)
    for hits in alike.values():
        cases = dict.fromkeys(_name(failure.mode, failure.batch_size) for failure, _ in hits)
        whole = ALL in cases or len(cases) == planned
        yield hits[0][0], ALL if whole else ", ".join(cases), {repeat for _, repeat in hits}


def _unsure(run: Judged) -> Iterator[Gap]:
    """Yield what a check found in the one process of a kernel: too little to refuse a time."""
    for first, cases, _ in _alike(run, [(failure, 0) for failure in run.unsure]):
        yield first.kernel, cases, f"{first.why}. One process alone may be wrong: a second one decides (--repeats 2)"


def _absent(run: Judged) -> Iterator[Gap]:
    """Yield planned processes that have no record, and planned cases that have neither a time nor a failure."""
    stopped = {failure.kernel for failure in run.failures if failure.phase == STOPPED}
    spent = {True: "not started again after its process was stopped", False: "the budget was spent"}
    absent = [((kernel, ALL, "the run was interrupted before this process ended"), n) for kernel, n in run.missing]
    absent += [((kernel, ALL, spent[kernel in stopped]), repeat) for kernel, repeat in run.left_out]
    absent += [
        (
            (record.kernel, _name(case.mode, case.batch_size), "planned, and neither measured nor explained"),
            record.repeat,
        )
        for record in run.records
        for case in consistency.unexplained(record, run.plan)
    ]
    for (kernel, cases, why), repeats in grouped(absent).items():
        yield kernel, f"{cases}, {_repeats(repeats, run)}", why


def _name(mode: str | None, batch_size: int | None) -> str:
    if mode is None or batch_size is None:
        return ALL
    return "one at a time" if mode == "per_sample" else f"{mode} {batch_size:,}"


def _repeats(repeats: Iterable[int], run: Judged) -> str:
    """Return numbers of repeats as people count them, from 1."""
    numbers = sorted({repeat + 1 for repeat in repeats})
    planned = run.plan.repeats if run.plan else None
    listed = f"repeat{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"
    return "every repeat" if planned == len(numbers) else f"{listed} of {planned}" if planned else listed


def notices(runs: Sequence[Judged]) -> list[str]:
    """Return what must not be overlooked: the numbers are not all that were planned."""
    texts = []
    cut = [
        (run, f"{len(run.missing)} of {len(run.plan.order)} processes have no result")
        for run in runs
        if run.missing and run.plan
    ]
    if len(cut) > 1:
        each = "; ".join(f"{run.name}: {detail}" for run, detail in cut)
        texts.append(f"{len(cut)} of {len(runs)} runs were interrupted. {each}.")
    for run in runs:
        which = run.title if len(runs) > 1 else "The run"
        if len(cut) == 1 and run is cut[0][0]:
            texts.append(f"{which} was interrupted: {cut[0][1]}.")
        if run.problems and not run.missing:
            texts.append(f"{which} was {'; '.join(run.problems)}.")
        for at_s, after in run.resumed:
            moment = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
            texts.append(f"Resumed {moment}, after {words.things(after, 'process', 'processes')}.")
        texts += [f"{which} contradicts itself: {doubt}." for doubt in run.contradictions]
        texts += [f"{which} leaves a file out; the rest is shown. {line}." for line in run.damaged]
        badly = [(record.path.name, record.ran.ended) for record in run.records if record.ran and record.ran.ended]
        texts += [f"{name} was whole when its process {ended}: it counts." for name, ended in badly]
        failed = dict.fromkeys(failure.kernel for failure in run.failures)
        if failed:
            texts.append(f'{which} has failures, listed under "What is missing": {", ".join(failed)}.')
    return texts


def _blocks(findings: Findings) -> tuple[Table, ...]:
    rows = [(run.name, *gap) for run in findings.runs for gap in gaps(run)]
    texts = ("kernel", "what is missing", "why")
    caption = "Cases without a time, and why."
    return (table(caption, texts, rows=rows, heads=1, several=findings.several),) if rows else ()


SECTIONS = (Part(110, "missing", "What is missing", _blocks),)
