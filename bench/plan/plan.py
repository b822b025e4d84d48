"""The plan of a run: what is timed, in which order, with which settings. Written first, embedded in every result."""

import os
import random
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mlpbench.bench.cases import Case
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.profiles import Profile
from mlpbench.bench.record.plan import Plan

#: The variable that ends the name of a run: it keeps runs apart that start in one second on machines of one model.
SUFFIX = "MLPBENCH_RUN_SUFFIX"
#: The longest that a process may take, whatever the budget.
MOST_TIMEOUT_S = 600.0


def shuffled(
    kernels: Sequence[str], repeats: int, seed: int, together: Sequence[Sequence[str]] | None = None
) -> list[tuple[str, int]]:
    """Return (kernel, repeat) in running order: every repeat goes through all kernels, in an order of its own.

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


#: All that a plan asks of the clock.
_ADMITTED = re.compile(
    r"--benchmark-(disable-gc|warmup=on|(warmup-iterations|min-rounds)=\d+|(min|max)-time=\d*\.?\d+(e-?\d+)?)"
    r"|--p99=\d*\.?\d+ *[a-zµ]+|--cold|--mlpbench-audit",
    re.ASCII,
)


def admitted(clock: Sequence[str]) -> list[str]:
    """Return the clock's options of a plan, which may stand in anybody's file. Raises UserError for any other word."""
    for word in clock:
        if not _ADMITTED.fullmatch(word):
            raise UserError(f"mlpbench.plan.clock: {word[:40]!r} is no option of the clock; start a new run")
    return list(clock)


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
