"""The progress of a run: a line for each process that has ended and, in a terminal, what is being done now."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import progress as rich_progress
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.text import Text

from mlpbench.bench import words
from mlpbench.bench.cli import console
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.run.process import Outcome

#: Why a phase takes long, told where it does: nobody who waits a minute knows whether it is the last.
_WHY = {"compiling": "once, later runs find it done"}
#: Making a kernel counts as compiling from so many seconds on.
_COMPILED_S = 2.0


@dataclass(frozen=True)
class Progress:
    """What a run does: a process has begun to do something else, or it has ended.

    ``done`` of ``total`` processes have ended; the total is the least number where repeats go on until the budget is
    spent. ``left_s``: seconds that may still be spent, None where nobody can say. ``times``, of a process that has
    ended: seconds per sample by (mode, batch size); ``problems``: what is wrong with it, one line each.
    """

    kernel: str
    repeat: int
    doing: str
    done: int
    total: int
    left_s: float | None = None
    times: Mapping[tuple[str, int], float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as a line: ``numpy 1: timing batched 100 (3 of 9 processes ended)``."""
        told = f"{self.kernel} {self.repeat + 1}: {self.doing} ({self.done} of {self.total} processes ended)"
        return "; ".join((told, *self.problems))


@dataclass
class Listener:
    """Who is told of a run in place of a terminal; ``folder`` is where its results are, once that is known."""

    hear: Callable[[Progress], None]
    folder: Path | None = None


#: Who listens to the runs of this thread.
listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


class Teller:
    """What `carry_out` shows of one run."""

    def __init__(self, plan: Plan, effort: Effort, progress: rich_progress.Progress, *, quiet: bool) -> None:
        self._plan, self._effort, self._progress, self._quiet = plan, effort, progress, quiet
        self._task = progress.add_task("starting", total=len(plan.order), left="")
        self._done, self._total = 0, len(plan.order)
        self._told: set[tuple[str, str | None, str]] = set()

    def phase(self, kernel: str, repeat: int, phase: str) -> None:
        """Show what the process of a kernel does from now on."""
        why = f" ({_WHY[phase]})" if phase in _WHY and repeat == 0 else ""
        self.now(f"{kernel} {self._place(repeat)}: {phase}{why}")
        self._tell(kernel, repeat, phase)

    def now(self, what: str) -> None:
        """Show what is being done from now on."""
        self._progress.update(self._task, description=what)

    def ended(self, number: int, outcome: Outcome) -> None:
        """Print what came of a process, which was the ``number``-th to end."""
        total = max(len(self._plan.order), number + self._effort.goes_on)
        left_s = self._effort.left_s()
        left = "" if left_s is None else f"{'at most ' if self._effort.goes_on else ''}{_minutes(left_s)} left"
        self._progress.update(self._task, completed=number, total=total, left=left)
        self._done, self._total = number, total
        who = f"{outcome.kernel}, {outcome.setting}," if outcome.setting else outcome.kernel
        who = f"{who} {self._place(outcome.repeat)}"
        for problem in outcome.problems:
            if (outcome.kernel, outcome.setting, problem) not in self._told:  # once, and not for each repeat
                self._progress.console.print(Text(f"{who}: {problem}", "yellow"))
                self._told.add((outcome.kernel, outcome.setting, problem))
        if outcome.times and not self._quiet:
            self._progress.console.print(Text(f"{who}: {in_words(outcome)}"))
        self._tell(outcome.kernel, outcome.repeat, "ended", times=outcome.times, problems=outcome.problems)

    def _tell(self, kernel: str, repeat: int, doing: str, **of_outcome: Any) -> None:
        if (heard := listener.get()) is not None:
            left_s = self._effort.left_s()
            heard.hear(Progress(kernel, repeat, doing, self._done, self._total, left_s, **of_outcome))

    def _place(self, repeat: int) -> str:
        return f"{repeat + 1}/{self._plan.repeats}" if repeat < self._plan.repeats else f"{repeat + 1}"


def in_words(outcome: Outcome) -> str:
    """Return the times of a process in a line: one at a time, in the best batch, and the ratio of both."""
    one = next((time for (mode, _), time in outcome.times.items() if mode == "per_sample"), None)
    batches = {size: time for (mode, size), time in outcome.times.items() if mode == "batched"}
    said = [] if one is None else [f"{words.seconds(one)} one at a time"]
    if batches:
        size = min(batches, key=batches.__getitem__)
        gain = "" if one is None else f" ({one / batches[size]:.3g}x)"
        said.append(f"{words.seconds(batches[size])} in batches of {size:,}{gain}")
    if not said:
        said = [f"{words.seconds(time)} a row in {words.case(*case)}" for case, time in outcome.times.items()]
    if outcome.construct_s >= _COMPILED_S:
        said.append(f"compiled in {outcome.construct_s:.0f} s")
    if outcome.disturbed:
        said.append(f"{len(outcome.disturbed)} of {len(outcome.times)} timings disturbed")
    return ", ".join(said)


def _minutes(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def carry_out(
    plan: Plan, effort: Effort, execute: Callable[[Teller], Iterator[Outcome]], *, quiet: bool = False
) -> bool:
    """Run the plan and show its progress; return False where Ctrl-C, or a request to end, stopped it.

    ``quiet``: show what is wrong, and nothing else.

    ``execute`` runs it: it tells what it does, and yields what came of each process.
    """
    now, left = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[left]}")
    columns = (SpinnerColumn(), now, BarColumn(20), MofNCompleteColumn(), left)
    # Signals belong to the main thread; a run from Python may be in another.
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None
    try:
        err = console.err()
        with rich_progress.Progress(
            *columns, console=err, transient=True, disable=quiet or not err.is_terminal
        ) as progress:
            teller = Teller(plan, effort, progress, quiet=quiet)
            for number, outcome in enumerate(execute(teller), start=1):
                teller.ended(number, outcome)
    except KeyboardInterrupt:
        return False
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
    return True
