"""A run: planned, carried out, and its results."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from mlpbench.bench.api.results import Results, load
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import card, environment
from mlpbench.bench.plan import request, sweep
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import profile
from mlpbench.bench.plan.request import Request
from mlpbench.bench.plan.sweep import Sweep
from mlpbench.bench.registered import modules
from mlpbench.bench.run import folder as run_folder
from mlpbench.bench.run import process
from mlpbench.bench.run.process import Job, Outcome
from mlpbench.kernels import base

Option = str | float | bool | PathLike[str] | Sequence[Any] | None


@dataclass(frozen=True)
class Progress:
    """What a run does: a process has begun to do something else, or it has ended, with its ``outcome``.

    ``done`` of ``total`` processes have ended, or more where the budget decides. ``left_s``: seconds that may still be
    spent, None where nobody can say. ``setting``: in a sweep over several, which one, in words.
    """

    kernel: str
    repeat: int
    doing: str
    done: int
    total: int
    left_s: float | None = None
    setting: str | None = None
    outcome: Outcome | None = None

    @property
    def times(self) -> Mapping[tuple[str, int], float]:
        """Seconds per sample by (mode, batch size), once the process has ended."""
        return self.outcome.times if self.outcome else {}

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with a process that has ended, one line each."""
        return self.outcome.problems if self.outcome else ()

    def __str__(self) -> str:
        """Return it as a line: ``numpy 1: timing batched 100 (3 of 9 processes ended)``."""
        doing = f"{self.kernel} {self.repeat + 1}: {self.doing} ({self.done} of {self.total} processes ended)"
        return "; ".join((doing, *self.problems))


@dataclass(frozen=True)
class Planned:
    """A run that may begin, or go on where it has ``stopped``; ``effort`` knows which process is next.

    ``stopped`` is what the wing `resume` has found.
    """

    sweep: Sweep
    effort: Effort
    stopped: Any = None

    def warnings(self) -> Iterator[str]:
        """Yield what will be wrong with the run, or with its times."""
        if self.stopped is None and (reason := run_folder.no_seal()) is not None:
            yield f"if this run stops, it cannot be resumed: {reason}"
        yield from environment.warnings(environment.collect())
        most, there = max(part.setting.threads for part in self.sweep.parts), base.processors()
        if most > there:
            yield f"{most} threads on {there} processors take turns: times with them say little about threads"


@dataclass(frozen=True)
class Carried:
    """A run that was carried out as far as it came: ``finished``, or stopped by Ctrl-C or a request to end."""

    sweep: Sweep
    folder: Path
    folders: list[Path]
    finished: bool

    def measure_limits(self) -> list[str]:
        """Measure what the machine can do at most, for reports; return why something of it is not known."""
        most_s = profile(self.sweep.plan.profile or "").max_time_s
        after = (module.after_run(self.folders, self.sweep, most_s) for module in modules("after_run"))
        return list(chain.from_iterable(after))


def run(*kernels: str, on_progress: Callable[[Progress], None] | None = None, **options: Option) -> Results:
    """Check and time kernels, save the results, and return them.

    ``options`` are those of `mlpbench run`, with ``_`` for ``-``: ``profile="smoke", batch_size=[1, 100], threads=1``.
    A settings file counts too. What ``on_progress`` raises ends the run, and what was finished is kept. Nothing is
    printed: warnings are in the log ``mlpbench``. A kernel that fails is among `Results.problems`.

    Raises UserError for bad options, before anything runs, and KeyboardInterrupt after Ctrl-C.
    """
    log = logging.getLogger("mlpbench")
    named = {**options, "kernels": kernels or options.get("kernels")}
    asked = request.from_python(named, ["mlpbench", "run", *kernels, *_words(options)])
    planned = plan(asked)
    for warning in planned.warnings():
        log.warning("%s", warning)
    carried = carry_out(planned, asked.results, on_progress=on_progress)
    if not carried.finished:
        raise KeyboardInterrupt
    for reason in carried.measure_limits():
        log.warning("%s", reason)
    return load(carried.folder)


def _words(options: Mapping[str, Option]) -> Iterator[str]:
    """Yield options as words of the command line, by which the run can be made again."""
    for name, value in options.items():
        for text in value if isinstance(value, list | tuple) else [value]:
            if text is not None and text is not False:
                yield f"--{name.replace('_', '-')}" + ("" if text is True else f"={text}")


def plan(asked: Request) -> Planned:
    """Return what a request comes to here: nothing is written yet."""
    if asked.resume is not None:
        return resumed(asked)
    card.use(asked.device)
    planned = sweep.plan(asked)
    return Planned(planned, Effort(planned.plan, planned.pairs))


def resumed(asked: Request) -> Planned:
    """Return the run that a request goes on with, with what it has left taken in, as `Planned` has it.

    Raises UserError where there is none.
    """
    if not (found := modules("resume")):
        raise UserError("--resume needs mlpbench's folder bench/wings/resume, and it is not there")
    stopped = found[0].find(asked)
    effort = Effort(stopped.sweep.plan, stopped.sweep.pairs)
    stopped.take_in(effort)
    return Planned(stopped.sweep, effort, stopped)


def carry_out(
    planned: Planned,
    results: Path,
    on_begin: Callable[[Path], None] = lambda _: None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Carried:
    """Run the processes of a plan, each into a file, below ``results``; ``on_begin`` is called with their folder."""
    sweep, stopped = planned.sweep, planned.stopped
    if stopped:
        folder, folders = stopped.folder, stopped.folders
    else:
        folder, folders = run_folder.open_folders(results, sweep)
    with run_folder.held(folder):
        on_begin(folder)
        if stopped:
            stopped.reopen()
        finished = _run_processes(planned, folders, on_progress or (lambda _: None))
        run_folder.close(sweep, folder, folders, planned.effort, interrupted=not finished)
    return Carried(sweep, folder, folders, finished)


def _run_processes(planned: Planned, folders: Sequence[Path], on_progress: Callable[[Progress], None]) -> bool:
    """Run the processes; return False where Ctrl-C, or a request to end, stopped them."""
    effort, least = planned.effort, len(planned.sweep.plan.order)
    done, total = 0, least

    def on_phase(job: Job, phase: str, outcome: Outcome | None = None) -> None:
        on_progress(Progress(job.kernel, job.repeat, phase, done, total, effort.left_s(), job.setting, outcome))

    with suppress(KeyboardInterrupt), ended_by_request():
        for outcome in process.execute(planned.sweep, folders, on_phase, effort):
            done += 1
            total = max(least, done + effort.goes_on)
            on_phase(outcome.job, "ended", outcome)
        return True
    return False


@contextmanager
def ended_by_request() -> Iterator[None]:
    """Let a request to end, SIGTERM, end the block as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # signals belong to that one
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
