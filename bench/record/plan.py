"""``run.json``: the plan of a run or the header of a sweep over several settings, and how either ended."""

from collections import Counter
from typing import Annotated

from msgspec import Meta, field
from msgspec.structs import force_setattr

from mlpbench.bench import words
from mlpbench.bench.cases import MODES, Case, Setting
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.fields import (
    MAX_INTEGER,
    Amount,
    Block,
    Date,
    File,
    Head,
    Index,
    Mode,
    Name,
    Process,
    Repeats,
    Seconds,
    SomeShare,
    Text,
    Whole,
)


class Binding(Block, frozen=True):
    """Numbers of the processors, None where processes are free to move, with the reason."""

    processors: tuple[Index, ...] | None = None
    reason: Text | None = None

    def words(self) -> str:
        """Return it as the rest of a sentence: ``bound to processors 0, 1``."""
        if self.processors is None:
            return f"not bound to processors: {self.reason}"
        plural = "" if len(self.processors) == 1 else "s"
        return f"bound to processor{plural} {', '.join(map(str, self.processors))}"


class KernelFile(Block, frozen=True):
    """A kernel in somebody's file: the file, the name in it, the hash of its content."""

    path: Text
    attribute: Text
    sha256: Text


class Interpreter(Block, frozen=True):
    """The Python environment that a run measures, mlpbench's folder in it, and the requirements that made it."""

    name: Name
    python: Text
    package: Text
    source: Text | None = None


class Plan(Block, frozen=True, kw_only=True):
    """What a run was to do. ``order`` holds (kernel, repeat), one for each process, in running order.

    ``clock``: pytest-benchmark's options. ``target``: half the width that intervals are to have, as a share, and
    ``budget_s``: the seconds that may be spent on it; ``repeats`` is then the least number, and ``order`` has no more.
    ``binding``: None where it was not wanted. ``skipped``: kernels that are left out, and why; ``no_room``: batch sizes
    for which memory has no room. ``setting``: that of a run in a ``sweep``. ``env``: whose interpreter starts every
    process, None for mlpbench's own. ``timeout_s``: when a process is stopped. ``files``: of kernels that are files.
    """

    run_id: Name
    profile: Name | None = None
    kernels: tuple[Name, ...] = ()
    cases: tuple[Case, ...] = ()
    repeats: Repeats
    seed: Index | None = None
    order: tuple[Process, ...] = ()
    threads: Whole | None = None
    skipped: dict[Name, Text] = field(default_factory=dict)
    no_room: tuple[tuple[Whole, Text], ...] = ()
    command: tuple[Text, ...] = ()
    started: Text | None = None
    clock: tuple[Text, ...] = ()
    target: SomeShare | None = None
    budget_s: Seconds | None = None
    sweep: Name | None = None
    setting: Setting | None = None
    binding: Binding | None = None
    options_from_file: dict[Text, Text] = field(default_factory=dict)
    files: dict[Name, KernelFile] = field(default_factory=dict)
    env: Interpreter | None = None
    timeout_s: Seconds | None = None

    def __post_init__(self) -> None:
        if (self.sweep is None) != (self.setting is None):
            raise ValueError("setting: expected a setting and the sweep that it is of, or neither")
        for case in self.cases:
            if case.mode not in MODES or not 1 <= case.batch_size <= MAX_INTEGER:
                raise ValueError(f"cases: expected a mode and a batch size, got {case.mode!r} and {case.batch_size}")
        if not self.order:
            every = tuple((kernel, repeat) for repeat in range(self.repeats) for kernel in self.kernels)
            force_setattr(self, "order", every)


#: What can end the repeats of a case, and the words for it.
LIMITS = {
    "target": "interval narrow enough",
    "budget": "ran out of budget",
    "repeats": "had all their repeats",
    "failed": "failed",
    "interrupted": "were interrupted",
}


class CaseEnd(Block, frozen=True):
    """One case: half the width of its 95 % interval as a share of its time (None without one), and what ended it."""

    kernel: Name
    mode: Mode
    batch_size: Whole
    repeats: Index
    limit: Annotated[str, Meta(pattern=f"^(?:{'|'.join(LIMITS)})$")]
    half_width: Amount | None = None


class Ending(Block, frozen=True, kw_only=True):
    """How a run ended, or a sweep, which itself has no processes and no cases.

    ``order``: the processes that ended. ``left_out``: those for which the budget had no time.
    """

    spent_s: Seconds
    interrupted: bool = False
    ended: Text | None = None
    order: tuple[Process, ...] = ()
    cases: tuple[CaseEnd, ...] = ()
    left_out: tuple[Process, ...] = ()

    def shortfall(self, budget_s: float | None) -> str | None:
        """Say which planned processes there was no time for, kernels with the same repeats together; None for none."""
        failed = {case.kernel for case in self.cases if case.limit == "failed"}  # more time would not have helped
        repeats = grouped((kernel, str(repeat + 1)) for kernel, repeat in self.left_out if kernel not in failed)
        if not repeats or budget_s is None:
            return None
        alike = grouped((", ".join(numbers), kernel) for kernel, numbers in repeats.items())
        each = (f"repeat{'s' * (',' in which)} {which} of {', '.join(kernels)}" for which, kernels in alike.items())
        return f"Left out, the budget of {budget_s:.0f} s was spent: {'; '.join(each)}."

    def sentence(self, plan: Plan) -> str | None:
        """Say how many cases reached the target and what stopped the others; None where there was no target."""
        if plan.target is None or plan.budget_s is None:
            return None
        ends = Counter(case.limit for case in self.cases)
        reached = f"{ends['target']} of {len(self.cases)} cases have an interval within {100 * plan.target:.3g} %"
        others = ", ".join(f"{ends[limit]} {why}" for limit, why in LIMITS.items() if ends[limit] and limit != "target")
        # The settings of a sweep share a budget.
        used = "" if plan.sweep else f" ({self.spent_s:.0f} s used, {plan.budget_s:.0f} s planned)"
        text = f"{'; '.join(filter(None, (reached, others)))}{used}."
        wide = [case for case in self.cases if case.half_width is not None] if others else []
        if not wide:
            return text
        widest = max(wide, key=lambda case: case.half_width or 0.0)
        where, width = f"{widest.kernel} {widest.mode} {widest.batch_size}", words.half_width(widest.half_width or 0.0)
        return f"{text} Widest: {where}, {width} after {widest.repeats} repeats."


class Ran(Block, frozen=True):
    """When a process began, how long it took, and timed its cases, as a share of what the plan says.

    ``ended``: what the process did, where it ended badly after its record was whole.
    """

    began_s: Date
    took_s: Seconds
    share: SomeShare = 1.0
    ended: Text | None = None


class Computed(Block, frozen=True):
    """What a run computes, and a resumed one again: ``options`` as typed, timed rows, hashes of what was read."""

    options: dict[Name, Text | None]
    rows: Whole
    data_sha256: Text
    weights_sha256: Text


class PlanHead(Head, frozen=True, kw_only=True, tag_field="kind", tag="plan"):
    """The block "mlpbench" in ``run.json`` of a run; ``ending`` is added when it is over.

    Without ``computed`` it cannot be resumed. ``resumed``: when it went on after it had stopped, and how many processes
    had ended. ``seal``: by which only the mlpbench of whoever made the run knows again what resuming it starts.
    """

    plan: Plan
    environment: Environment = Environment()
    computed: Computed | None = None
    seal: Text | None = None
    resumed: tuple[tuple[Date, Index], ...] = ()
    ending: Ending | None = None

    @property
    def cut_off(self) -> bool:
        """Whether the run stopped before its number of repeats, which it left open, was settled."""
        return self.ending.interrupted if self.ending else self.plan.budget_s is not None


class SweepHead(Head, frozen=True, kw_only=True, tag_field="kind", tag="sweep"):
    """The block "mlpbench" in ``run.json`` of a sweep over several settings, each with its own plan.

    ``order``: label of the setting, kernel and repeat of every process, in running order.
    """

    run_id: Name
    settings: tuple[Setting, ...]
    order: tuple[tuple[Text, Name, Index], ...] = ()
    ending: Ending | None = None

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or "" in self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError("settings: expected two settings or more, each with its own label")

    @property
    def labels(self) -> list[str]:
        """The labels of the settings, the names of their folders."""
        return [setting.label for setting in self.settings]


#: The content of ``run.json``.
RunFile = File[PlanHead | SweepHead]
