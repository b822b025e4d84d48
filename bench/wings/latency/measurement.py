"""What a caller waits for: single calls of the first process, one by one, and the kernel's starts."""

from collections.abc import Callable
from statistics import median
from typing import Any

from msgspec.structs import replace

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import single_calls_ns
from mlpbench.bench.measure.case import Contestant, prepare
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record.fields import counted
from mlpbench.bench.wings.latency import cold

#: Enough for p99.9 (`latency`), and no more than this long.
MOST, LIMIT_S = 7_000, 0.5
#: The first calls of a series are slower: they are made and not kept.
DROPPED = 20


def of_case(suite: Suite, contestant: Contestant, case: Case, option: Callable[[str], Any]) -> None:
    """Time the single calls of a case at batch size 1, and for a budget (``--p99``) at every size."""
    at_one = case.mode == "per_sample" or case.batch_size == 1
    if case.mode != "book" and (at_one or option("--p99") is not None):
        suite.beside[case] |= single_calls(contestant, case)


def of_kernel(suite: Suite, contestant: Contestant, option: Callable[[str], Any]) -> dict[str, Any]:
    """Start the kernel in processes of their own: in the first repeat of a run, and by hand with ``--cold``."""
    fresh, of_a_run = option("--cold"), suite.plan is not None and suite.plan.profile != "smoke"
    if suite.repeat == 0 and (fresh or of_a_run):
        starts, reason = cold.starts(suite, contestant, fresh=fresh)
        suite.trust = replace(suite.trust, starts=tuple(starts), no_starts=reason)
    return {}


def single_calls(contestant: Contestant, case: Case) -> dict[str, Any]:
    """Return single calls as members of the case's ``extra_info``; ``per_sample`` is a call on one row."""
    single = Case(case.mode, 1) if case.mode == "per_sample" else case
    call = prepare(contestant.kernel, single, contestant.inputs[: max(single.batch_size, 1000)]).call
    for _ in range(DROPPED if single.batch_size == 1 else 1):
        call()
    calls = single_calls_ns(call, LIMIT_S, MOST)
    return {"single_calls": counted(calls), "clock_ns": round(median(single_calls_ns(lambda: None, 1.0, 1000)))}
