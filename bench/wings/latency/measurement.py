"""What a caller waits for: single calls of the first process, one by one, and starts of the kernel.

A start is made in a separate process, which this module is when it is run.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from msgspec.structs import replace

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import elapsed, single_calls_ns
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine import child
from mlpbench.bench.machine.child import scratch
from mlpbench.bench.measure.case import Contestant, prepare
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record.fields import counted
from mlpbench.bench.record.trust import Start
from mlpbench.kernels import registry

#: Enough for p99.9 (`section`), and no more than this long.
MOST, LIMIT_S = 7_000, 0.5
#: The first calls of a series are slower: they are made and not kept.
DROPPED = 20
#: Where libraries keep compiled code: whatever a kernel is written with finds these folders empty, and then filled.
CACHES = ("NUMBA_CACHE_DIR", "CUPY_CACHE_DIR", "CUDA_CACHE_PATH", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")


def of_case(suite: Suite, contestant: Contestant, case: Case, option: Callable[[str], Any]) -> None:
    """Time the single calls of a case at batch size 1, and for a budget (``--p99``) at every size."""
    at_one = case.mode == "per_sample" or case.batch_size == 1
    if case.mode != "book" and (at_one or option("--p99") is not None):
        suite.beside[case] |= single_calls(contestant, case)


def of_kernel(suite: Suite, contestant: Contestant, option: Callable[[str], Any]) -> dict[str, Any]:
    """Start the kernel in processes of their own: in the first repeat of a run, and by hand with ``--cold``."""
    fresh, of_a_run = option("--cold"), suite.plan is not None and suite.plan.profile != "smoke"
    if suite.repeat == 0 and (fresh or of_a_run):
        measured, reason = starts(suite, contestant, fresh=fresh)
        suite.trust = replace(suite.trust, starts=tuple(measured), no_starts=reason)
    return {}


def single_calls(contestant: Contestant, case: Case) -> dict[str, Any]:
    """Return single calls as members of the case's ``extra_info``; ``per_sample`` is a call on one row."""
    single = Case(case.mode, 1) if case.mode == "per_sample" else case
    call = prepare(contestant.kernel, single, contestant.inputs[: max(single.batch_size, 1000)]).call
    for _ in range(DROPPED if single.batch_size == 1 else 1):
        call()
    calls = single_calls_ns(call, LIMIT_S, MOST)
    return {"single_calls": counted(calls), "clock_ns": round(median(single_calls_ns(lambda: None, 1.0, 1000)))}


def starts(suite: Suite, contestant: Contestant, *, fresh: bool) -> tuple[list[Start], str | None]:
    """Return a start with the caches as they are; if ``fresh`` two, in caches empty at first; or why there are none."""
    if contestant.kernel_info.facts.compute_mode == "exclusive":
        return [], "the card lets only this process in (compute mode exclusive): nvidia-smi -c DEFAULT lets more in"
    workload, cases = suite.workload, [asdict(case) for case in suite.cases if case.mode != "book"]
    asked = {"kernel": contestant.name, "options": vars(workload.options), "rows": workload.rows, "cases": cases}
    # A start that takes longer is stuck, and must not take this process, with its times, along.
    allowed_s = suite.plan.timeout_s if suite.plan else None
    limit_s = 120.0 if allowed_s is None else min(120.0, allowed_s / 3)
    measured: list[Start] = []
    with scratch() as temporary:
        caches = {name: str(temporary / name.lower()) for name in CACHES} if fresh else {}
        for is_fresh in (True, False) if fresh else (False,):
            answer = child.ask(__name__, asked, variables=caches, timeout_s=limit_s)
            if answer.found is None:
                return measured, answer.reason
            measured.append(replace(msgspec.convert(answer.found, Start), fresh=is_fresh))
    return measured, None


def measure_start(asked: dict[str, Any]) -> Start:
    """Import, make and call a kernel in this fresh process; at the end the gate may raise NonConforming."""
    workload = Workload(Options(**asked["options"]), asked["rows"])
    x, params = workload.inputs, workload.params
    with elapsed() as importing:
        kernel_class = registry.load(asked["kernel"])
        kernel_class.probe()
    before = begin()
    with elapsed() as construction:
        kernel = kernel_class(workload.spec, params)
    calls = []
    for case in sorted((Case(**case) for case in asked["cases"]), key=lambda case: case.batch_size):
        call = prepare(kernel, case, x[: case.batch_size]).call
        with elapsed() as first:
            call()
        calls.append((case.mode, case.batch_size, first.seconds))
    after = peak_bytes()
    start = Start(
        import_s=importing.seconds,
        construct_s=construction.seconds,
        compile_s=kernel.compiled_s(),
        first_calls=tuple(calls),
        peak_bytes=None if before is None or after is None else max(0, after - before),
        pool_bytes=kernel.describe().pool_bytes,
    )
    workload.gate(kernel_class, kernel)
    return start


def begin() -> int | None:
    """Forget the peak so far (Linux); return the bytes to measure growth from."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM to the resident memory of now
    return peak_bytes()


def peak_bytes() -> int | None:
    """Return the most bytes that this process has had resident since `begin`; None where it is not told."""
    with suppress(OSError):
        if peak_kb := re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE):
            return int(peak_kb[1]) * 1024
    return None


if __name__ == "__main__":
    child.tell(measure_start(child.question()).as_dict())
