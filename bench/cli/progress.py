"""The progress of a run: a line for each process that has ended and, in a terminal, what is being done now."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.text import Text

from mlpbench.bench import words
from mlpbench.bench.api.run import Progress
from mlpbench.bench.cli import console
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.run.process import Outcome

#: Making a kernel counts as compiling from so many seconds on.
_COMPILED_S = 2.0


@contextmanager
def shown(plan: Plan) -> Iterator[Callable[[Progress], None]]:
    """Return what shows each progress of a plan, for as long as the block lasts."""
    now, left = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[left]}")
    columns = (SpinnerColumn(), now, BarColumn(20), MofNCompleteColumn(), left)
    err = console.err()
    with rich_progress.Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("starting", total=len(plan.order), left="")
        told: set[tuple[str, str | None, str]] = set()

        def show(progress: Progress) -> None:
            repeat, who = progress.repeat, progress.kernel
            place = f"{repeat + 1}/{plan.repeats}" if repeat < plan.repeats else f"{repeat + 1}"
            who = f"{who}, {progress.setting}, {place}" if progress.setting else f"{who} {place}"
            if progress.outcome is None:
                once = " (once, later runs find it done)" if progress.doing == "compiling" and repeat == 0 else ""
                bar.update(task, description=f"{who}: {progress.doing}{once}")
                return
            bar.update(task, completed=progress.done, total=progress.total, left=_left(progress, plan))
            problems = {(progress.kernel, progress.setting, problem): problem for problem in progress.problems}
            for problem in (problems[at] for at in problems if at not in told):  # once, and not for each repeat
                err.print(Text(f"{who}: {problem}", "yellow"))
            told.update(problems)
            if progress.times:
                err.print(Text(f"{who}: {_in_words(progress.outcome)}"))

        yield show


def _left(progress: Progress, plan: Plan) -> str:
    if progress.left_s is None:
        return ""
    at_most = "at most " if plan.budget_s is not None else ""
    return f"{at_most}{progress.left_s // 60:.0f}:{progress.left_s % 60:02.0f} left"


def _in_words(outcome: Outcome) -> str:
    """Return the times of a process in a line: one at a time, in the best batch, and the ratio of both."""
    single_s = next((time for (mode, _), time in outcome.times.items() if mode == "per_sample"), None)
    batches = {size: time for (mode, size), time in outcome.times.items() if mode == "batched"}
    parts = [] if single_s is None else [f"{words.seconds(single_s)} one at a time"]
    if batches:
        size = min(batches, key=batches.__getitem__)
        gain = "" if single_s is None else f" ({single_s / batches[size]:.3g}x)"
        parts.append(f"{words.seconds(batches[size])} in batches of {size:,}{gain}")
    if not parts:
        parts = [f"{words.seconds(time)} a row in {words.case(*case)}" for case, time in outcome.times.items()]
    if outcome.construct_s >= _COMPILED_S:
        parts.append(f"compiled in {outcome.construct_s:.0f} s")
    if outcome.disturbed:
        parts.append(f"{len(outcome.disturbed)} of {len(outcome.times)} timings disturbed")
    return ", ".join(parts)
