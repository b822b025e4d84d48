"""The plan of a run: what is timed, in which order, with which settings. Written first, embedded in every result."""

from __future__ import annotations

import random
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlpbench.bench.cases import Case, Setting
    from mlpbench.bench.machine.binding import Binding
    from mlpbench.bench.plan.profiles import Profile


#: Commit part of a run's name where mlpbench is not run from a checkout.
NO_COMMIT = "nocommit"


@dataclass(frozen=True)
class Plan:
    """Everything that `mlpbench run` decided before it measured. ``order`` holds (kernel, repeat), one per process."""

    run_id: str
    profile: str
    kernels: list[str]
    cases: list[dict[str, Any]]
    repeats: int
    seed: int
    order: list[tuple[str, int]]
    threads: int
    skipped: list[dict[str, str]]
    command: list[str]
    started: str
    #: pytest-benchmark's options, in its own words.
    clock: list[str]
    #: Half the width that intervals are to have, as a share, and the seconds that may be spent on it: ``repeats`` is
    #: then the least number, and ``order`` has no more. None: exactly ``repeats``.
    target: float | None = None
    budget_s: float | None = None
    #: Of one setting of a sweep over several: the setting, and the name of the sweep.
    setting: dict[str, Any] | None = None
    #: The processors that every process is bound to; None where that was not wanted.
    binding: Binding | None = None
    #: The kernel after each of whose processes the machine's limits are measured; None: at the run's start alone.
    limits_after: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON can hold it."""
        return {**asdict(self), "order": [list(point) for point in self.order]}


def run_id(commit: str | None, moment: datetime) -> str:
    """Return the name of a run: UTC stamp and the first 8 characters of the commit."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{(commit or NO_COMMIT)[:8]}"


def new_seed() -> int:
    """Return a seed that nobody chose."""
    return secrets.randbelow(2**32)


def shuffled(kernels: list[str], repeats: int, seed: int) -> list[tuple[str, int]]:
    """Return (kernel, repeat) in running order: every repeat goes through all kernels, in an order of its own.

    Kernels of one repeat run next to each other in time, so that a slow minute of the machine hits all of them and
    cancels in their ratios.
    """
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    return [(kernel, repeat) for repeat in range(repeats) for kernel in rng.sample(kernels, len(kernels))]


def case_order(cases: list[Case], seed: int, kernel: str, repeat: int) -> list[Case]:
    """Return the cases of one process in running order, another in every process.

    What a case leaves behind, in caches and in the processor's clock, is then not always left to the same next one.
    """
    return random.Random(f"{seed} {kernel} {repeat}").sample(cases, len(cases))  # noqa: S311 - an order, not a secret


def make_plan(
    profile: Profile,
    kernels: list[str],
    cases: list[Case],
    *,
    repeats: int,
    seed: int,
    threads: int,
    skipped: list[dict[str, str]],
    command: list[str],
    commit: str | None,
    target: float | None = None,
    budget_s: float | None = None,
) -> Plan:
    """Return the plan of a run that starts now. With a target and a budget, ``repeats`` is the least number."""
    now = datetime.now(UTC)
    return Plan(
        run_id=run_id(commit, now),
        profile=profile.name,
        kernels=kernels,
        cases=[case.as_dict() for case in cases],
        repeats=repeats,
        seed=seed,
        order=shuffled(kernels, repeats, seed),
        threads=threads,
        skipped=skipped,
        command=command,
        started=now.isoformat(timespec="seconds"),
        clock=clock_options(profile),
        target=target,
        budget_s=budget_s,
    )


def part_of(whole: Plan, setting: Setting, kernels: Mapping[str, str], skipped: list[dict[str, str]]) -> Plan:
    """Return the plan of one setting of a sweep, an ordinary run that has its own share of the order.

    ``kernels`` says which names of the whole plan are this setting's, and which kernel each of them is.
    """
    order = [(kernels[name], repeat) for name, repeat in whole.order if name in kernels]
    return replace(
        whole,
        run_id=f"{whole.run_id}.{setting.label}",
        kernels=list(kernels.values()),
        order=order,
        repeats=max((repeat for _, repeat in order), default=whole.repeats - 1) + 1,
        threads=setting.threads,
        skipped=skipped,
        setting={"sweep": whole.run_id, **setting.as_dict()},
    )


def clock_options(profile: Profile) -> list[str]:
    """Return pytest-benchmark's options for a profile.

    A round lasts at least 1 ms: pyperf's own limit for trusting a clock that costs tens of nanoseconds. Warming is
    ours (`bench.measure.case`), so pytest-benchmark's is short.
    """
    return [
        "--benchmark-disable-gc",
        "--benchmark-warmup=on",
        "--benchmark-warmup-iterations=3",
        "--benchmark-min-time=0.001",
        f"--benchmark-max-time={profile.max_time_s}",
        f"--benchmark-min-rounds={profile.min_rounds}",
    ]
