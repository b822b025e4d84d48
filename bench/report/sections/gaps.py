"""What a run has no time for, and why: skipped kernels, failures, processes that never ended, cases left out."""

from collections.abc import Iterable, Iterator, Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis import judge
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.groups import grouped
from mlpbench.bench.record import consistency
from mlpbench.bench.record.schema import STOPPED, Failure
from mlpbench.bench.report.document import Findings, Part, Table, table

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
}
_ALONE = ". One process alone may be wrong: a second one decides (--repeats 2)"


def doubted(runs: Sequence[Judged], phase: str = judge.PHASE) -> tuple[str, ...]:
    """Return one sentence for each kernel and check by which times were refused, or were not checked."""
    return tuple(
        f"{phase.capitalize()}: {first.kernel}, {cases}: {why}."
        for run in runs
        for first, cases, _, why in _failed(run)
        if first.phase == phase
    )


def gaps(run: Judged) -> list[Gap]:
    """Return (kernel, what is missing, why) for everything that was planned, or found, and has no time."""
    skipped = ((kernel, "skipped", reason) for kernel, reason in run.skipped.items())
    sizes = (("all kernels", words.case("batched", size), why) for size, why in (run.plan.no_room if run.plan else ()))
    failed = (
        (first.kernel, f"{cases}{repeats}: {_PHASES.get(first.phase, first.phase)}", why)
        for first, cases, repeats, why in _failed(run)
    )
    return [*skipped, *sizes, *failed, *_absent(run)]


def _failed(run: Judged) -> Iterator[tuple[Failure, str, str, str]]:
    """Yield failures that are alike once, whatever the numbers in them: the first, the cases, the repeats, and why."""
    every = [(failure, {record.repeat}) for record in run.records for failure in record.failures]
    every += [(failure, set()) for failure in run.unsure]
    planned = len(run.plan.cases) if run.plan else 0
    for alike in grouped(((one.kernel, one.phase, one.check or one.reason), (one, at)) for one, at in every).values():
        first = alike[0][0]
        cases = dict.fromkeys(_name(failure.mode, failure.batch_size) for failure, _ in alike)
        whole = ALL in cases or len(cases) == planned
        why = first.why + (_ALONE if first.phase == judge.UNSURE else "")
        yield first, ALL if whole else ", ".join(cases), _repeats(set().union(*(at for _, at in alike)), run), why


def _absent(run: Judged) -> Iterator[Gap]:
    """Yield planned processes that have no record, and planned cases that have neither a time nor a failure."""
    stopped = {failure.kernel for failure in run.failures if failure.phase == STOPPED}
    spent = {True: "not started again after its process was stopped", False: "the budget was spent"}
    absent = [((kernel, ALL, "the run was interrupted before this process ended"), n) for kernel, n in run.missing]
    left_out = run.ending.left_out if run.ending else ()
    absent += [((kernel, ALL, spent[kernel in stopped]), repeat) for kernel, repeat in left_out]
    for record in run.records:
        for case in consistency.unexplained(record, run.plan):
            name = _name(case.mode, case.batch_size)
            absent.append(((record.kernel, name, "planned, and neither measured nor explained"), record.repeat))
    for (kernel, cases, why), repeats in grouped(absent).items():
        yield kernel, f"{cases}{_repeats(repeats, run)}", why


def _name(mode: str | None, batch_size: int | None) -> str:
    return ALL if mode is None or batch_size is None else words.case(mode, batch_size)


def _repeats(repeats: Iterable[int], run: Judged) -> str:
    """Return numbers of repeats as people count them, from 1, behind a comma; nothing for none."""
    numbers, planned = sorted({repeat + 1 for repeat in repeats}), run.plan.repeats if run.plan else None
    if not numbers or planned == len(numbers):
        return ", every repeat" if numbers else ""
    listed = f", repeat{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"
    return f"{listed} of {planned}" if planned else listed


def notices(runs: Sequence[Judged]) -> list[str]:
    """Return what must not be overlooked: the numbers are not all that were planned."""
    texts = []
    for run in runs:
        which = run.title if len(runs) > 1 else "The run"
        texts += [f"{which} was {problem}." for problem in run.problems]
        went_on = (words.things(after, "process", "processes") for _, after in run.resumed)
        texts += [f"{which} stopped, and went on after {processes}." for processes in went_on]
        texts += [f"{which} contradicts itself: {doubt}." for doubt in run.contradictions]
        texts += [f"{which} leaves a file out; the rest is shown. {line}." for line in run.damaged]
        badly = [(record.path.name, record.ran.ended) for record in run.records if record.ran and record.ran.ended]
        texts += [f"{name} was whole when its process {ended}: it counts." for name, ended in badly]
        if failed := dict.fromkeys(failure.kernel for failure in run.failures):
            texts.append(f'{which} has failures, listed under "What is missing": {", ".join(failed)}.')
    return texts


def _blocks(findings: Findings) -> tuple[Table, ...]:
    rows = [(run.name, *gap) for run in findings.runs for gap in gaps(run)]
    last = ("what is missing", "why")
    return (table("Cases without a time, and why.", ("kernel",), (), last, rows=rows, several=findings.several),)


SECTIONS = (Part(110, "missing", "What is missing", _blocks),)
