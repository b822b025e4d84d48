"""Instructions, cycles, cache misses and joules of a case, beside its timed rounds: what more than time it costs."""

from typing import Any

from mlpbench.bench.cases import CUDA, Case
from mlpbench.bench.clock import elapsed, times_s
from mlpbench.bench.machine import counters, spin
from mlpbench.bench.machine.card import Card
from mlpbench.bench.machine.counters import Counted
from mlpbench.bench.measure.case import prepare
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.record.trust import Spent

#: So long a case runs for its counts: the energy counters of processors move a thousand times in a second.
SECONDS = 0.15
#: By how much the instructions of a step of the calibration spin may miss a whole number, as a share.
OFF = 0.01


def spent(contestant: Contestant, case: Case) -> list[Spent]:
    """Return what a case counts; nothing of the book's cell, which is mostly reading files.

    Where no counter of the hardware and no energy is shown, nothing runs, and the reasons are the result.
    """
    if case.mode == "book":
        return []
    uuid = contestant.kernel.describe().device_uuid
    drawn = Card.of(uuid).energy_mj if contestant.kernel.device == CUDA else None
    with counters.counting(drawn) as found:
        pass
    if set(found.values) <= {"page_faults"}:
        return [Spent(mode=case.mode, batch_size=case.batch_size, missing=found.missing)]
    call = prepare(contestant.kernel, case, contestant.inputs).call
    calls = max(1, round(SECONDS / min(times_s(call, 3))))
    with counters.counting(drawn) as found, elapsed() as span:
        for _ in range(calls):
            call()
    samples = calls * case.batch_size
    each = {name: value / samples for name, value in found.values.items()}
    missing = found.missing | _false_counters(found)
    told = {name: value for name, value in each.items() if name not in missing}
    found_here: dict[str, Any] = {"samples": samples, "wall_s": span.seconds, "missing": missing, **told}
    return [Spent(mode=case.mode, batch_size=case.batch_size, **found_here)]


def _false_counters(found: Counted) -> dict[str, str]:
    """Return why instructions are not believed; nothing where a known piece of work says that they are right.

    A spin twice as long has twice the steps, and each step has a whole number of instructions: 6 that depend on each
    other, and what the compiler adds to move on.
    """
    work = spin.best_spin()
    if "instructions" not in found.values or work.instructions is None:
        return {}
    counts = []
    for spins in (4, 8):
        with counters.counting() as counted:
            work.run(spins)
        counts.append(counted.values.get("instructions", 0.0))
    per_step = (counts[1] - counts[0]) / (4 * spin.STEPS)
    if per_step < spin.INSTRUCTIONS_PER_STEP * (1 - OFF) or abs(per_step - round(per_step)) > OFF * per_step:
        return {"instructions": f"the counter is wrong: it counts {per_step:.3f} for a step of the calibration spin"}
    return {}
