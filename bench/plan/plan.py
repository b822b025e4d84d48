"""The plan of a run: what is timed, in which order, how. It is written first, and is in every result."""

import os
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlpbench.bench.cases import ALL_ROWS, CUDA, Case
from mlpbench.bench.record.plan import Plan
from mlpbench.kernels.registry import one_of

#: What a run measures that names no kernels, where it can run.
USUAL = ("numpy", "numba", "numba-parallel", "numba-simd", "cupy")


@dataclass(frozen=True)
class Profile:
    """A named sweep with its budget. Times in seconds; ``min_rounds`` and ``max_time_s`` are pytest-benchmark's."""

    name: str
    modes: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    repeats: int
    max_time_s: float
    min_rounds: int
    #: The kernels it is about; None for the usual ones.
    kernels: tuple[str, ...] | None = None
    #: Seconds in which repeats go on after the first ``repeats``; None for exactly so many.
    budget_s: float | None = None
    #: Where its kernels compute: of those that are usual, with NumPy beside them. None for anywhere.
    device: str | None = None
    #: Whether each kernel is also started without compiled code.
    cold: bool = False


_BOTH = ("per_sample", "batched")
_FINE = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, ALL_ROWS)
_WIDE = (1, 10, 100, 1000, ALL_ROWS, 100_000, 1_000_000)

PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", _BOTH, (1, 100), 1, 0.05, 3),
        # What the run does besides (starting, its reports) takes about 8 s more on two processors.
        Profile("quick", _BOTH, (1, 10, 100, 1000, ALL_ROWS), 5, 0.25, 10, budget_s=65),
        Profile("full", _BOTH, _FINE, 7, 0.5, 15, budget_s=1200, cold=True),
        Profile("book", (*_BOTH, "book"), (1, 100), 5, 0.5, 3, kernels=("numpy",), budget_s=300),
        Profile("gpu", _BOTH, _WIDE, 3, 0.3, 5, budget_s=1800, device=CUDA),
    )
}


def profile(name: str) -> Profile:
    """Return the profile of that name. Raises UserError that names the nearest."""
    return PROFILES[one_of("profile", name, sorted(PROFILES))]


#: The variable that ends the name of a run: it keeps runs apart that start in one second on machines of one model.
SUFFIX = "MLPBENCH_RUN_SUFFIX"
#: The longest that a process may take, whatever the budget.
MOST_TIMEOUT_S = 600.0


def shuffled(
    kernels: Sequence[str], repeats: int, seed: int, together: Sequence[Sequence[str]] | None = None
) -> list[tuple[str, int]]:
    """Return (kernel, repeat) in running order: every repeat goes through all kernels, each in another order.

    A slow minute of the machine then cancels in ratios. ``together``: groups of kernels that stay neighbours.
    """
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    groups = together or [[kernel] for kernel in kernels]
    return [(kernel, repeat) for repeat in range(repeats) for kernel in in_any_order(groups, rng)]


def in_any_order(together: Sequence[Sequence[str]], rng: random.Random) -> list[str]:
    """Return groups in random order, each of them likewise."""
    groups = rng.sample(together, len(together))
    return [name for group in groups for name in (rng.sample(group, len(group)) if len(group) > 1 else group)]


def case_order(cases: Sequence[Case], seed: int, kernel: str, repeat: int, turn: int, *, threads: int) -> list[Case]:
    """Return the cases of one process in the order of one turn, another in every process and turn.

    So what a case leaves in caches is not always left to the same next one. Threads of a pool spin on behind a large
    batch and have to be waited for: the smaller half of the cases keeps together, first in every other turn.
    """
    rng = random.Random(f"{seed} {kernel} {repeat} {turn}")  # noqa: S311 - an order, not a secret
    if threads == 1:
        return rng.sample(cases, len(cases))
    ordered = sorted(cases, key=lambda case: 0 if case.mode == "per_sample" else case.batch_size)
    halves = [ordered[: len(cases) // 2], ordered[len(cases) // 2 :]]
    halves = [rng.sample(half, len(half)) for half in halves]
    return [case for half in (halves if turn % 2 else halves[::-1]) for case in half]


def make_plan(
    profile: Profile,
    kernels: Sequence[str],
    cases: Sequence[Case],
    *,
    repeats: int,
    commit: str | None,
    seed: int | None = None,
    together: Sequence[Sequence[str]] | None = None,
    **more: Any,
) -> Plan:
    """Return the plan of a run that starts now. With a target and a budget, ``repeats`` is the least number.

    ``seed``: None for a new one. ``together``: as `shuffled` takes it. ``more``: other fields; what ``clock`` has comes
    after the profile's options.
    """
    now, seed = datetime.now(UTC), secrets.randbelow(2**32) if seed is None else seed
    name = f"{now:%Y%m%dT%H%M%SZ}", (commit or "nocommit")[:8], os.environ.get(SUFFIX)
    more = {name: tuple(value) if isinstance(value, list) else value for name, value in more.items()}
    return Plan(
        run_id="-".join(filter(None, name)),
        profile=profile.name,
        kernels=tuple(kernels),
        cases=tuple(cases),
        repeats=repeats,
        seed=seed,
        order=tuple(shuffled(kernels, repeats, seed, together)),
        started=now.isoformat(timespec="seconds"),
        clock=(*clock_options(profile), *more.pop("clock", ())),
        timeout_s=timeout_s(more.get("budget_s"), len(kernels)),
        **more,
    )


def timeout_s(budget_s: float | None, kernels: int) -> float:
    """Return the seconds after which a process is stuck: half of the budget, so that others have time.

    Not before half a minute, or of one kernel alone a minute, since a first process compiles.
    """
    longest_s = MOST_TIMEOUT_S if budget_s is None else max(budget_s, 60.0) if kernels == 1 else max(budget_s / 2, 30.0)
    return min(longest_s, MOST_TIMEOUT_S)


def clock_options(profile: Profile) -> list[str]:
    """Return pytest-benchmark's options for a profile.

    A round lasts at least 1 ms, as in pyperf. Warming is ours (`bench.measure.case`), so pytest-benchmark's is short.
    """
    return [
        "--benchmark-disable-gc",
        "--benchmark-warmup=on",
        "--benchmark-warmup-iterations=3",
        "--benchmark-min-time=0.001",
        f"--benchmark-max-time={profile.max_time_s}",
        f"--benchmark-min-rounds={profile.min_rounds}",
    ]
