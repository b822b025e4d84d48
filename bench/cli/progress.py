"""The progress of a run: a bar while its processes run, and what goes wrong in them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from mlpbench.bench.cli import console

if TYPE_CHECKING:
    from mlpbench.bench.plan.effort import Effort
    from mlpbench.bench.record.plan import Plan
    from mlpbench.bench.run.process import Outcome


def carry_out(
    plan: Plan, effort: Effort, execute: Callable[[Callable[[str, int, str], None]], Iterator[Outcome]]
) -> bool:
    """Run the plan behind a progress bar; return False where Ctrl-C, or a request to end, stopped it.

    ``execute`` runs it: given what is to be called as each case ends, it yields what came of each process.
    """
    what = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Progress(*columns, console=console.err(), transient=True, speed_estimate_period=600) as progress:
            task = progress.add_task("starting", total=len(plan.order) * len(plan.cases))

            def on_case(kernel: str, repeat: int, _: str) -> None:
                progress.update(task, advance=1, description=f"{kernel}, {_place(plan, effort, repeat)}")

            for number, outcome in enumerate(execute(on_case), start=1):
                done = number * len(plan.cases)
                # How many more there will be is not known: one at least, while it goes on.
                total = max(len(plan.order) * len(plan.cases), done + len(plan.cases) * effort.goes_on)
                progress.update(task, completed=done, total=total)
                who = f"{outcome.kernel}, {outcome.setting}" if outcome.setting else outcome.kernel
                for problem in outcome.problems:
                    progress.console.print(Text(f"{who}, repeat {outcome.repeat + 1}: {problem}", "yellow"))
    except KeyboardInterrupt:
        return False
    finally:
        signal.signal(signal.SIGTERM, before)
    return True


def _place(plan: Plan, effort: Effort, repeat: int) -> str:
    if repeat < plan.repeats:
        return f"repeat {repeat + 1} of {plan.repeats}"
    return f"repeat {repeat + 1}, {effort.spent_s:.0f} of {plan.budget_s:.0f} s"
