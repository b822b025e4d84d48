"""The processor's pace beside each case, so that two sides can be compared at one pace.

A processor's clock wanders, most of all on a shared machine: by 5 % within minutes, with nothing else to be seen. What
is timed wanders with it. The calibration spins just before and just after a case are a fixed number of dependent
instructions, so they tell the pace at which the case ran, and a time divided by it is a time in spins. Comparisons
count in spins and show them as seconds at one pace, the usual one of both sides. This is a control variate with its
coefficient set to 1, which is what work inside a core has (J. M. Hammersley and D. C. Handscomb, "Monte Carlo Methods"
(1964), chapter 5); docs/statistics.md has what it gains, and where it is too much.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from mlpbench.bench.record.trust import Trust
from mlpbench.bench.trust.disturbance import levels_s


@dataclass(frozen=True)
class Pace:
    """What two sides can be compared at: ``spin_s`` seconds for one spin, None where there is no common pace.

    ``spread``: the widest distance, as a share, between the pace of a case and ``spin_s`` (beside all but 5 % of the
    cases). ``reason`` says why there is none.
    """

    spin_s: float | None
    spread: float = 0.0
    reason: str | None = None

    def scale(self, spin_s: float | None) -> float:
        """Return the factor for a time that was measured beside spins of ``spin_s`` seconds; 1 without a pace."""
        return self.spin_s / spin_s if self.spin_s is not None and spin_s is not None else 1.0


def paces(trust: Trust) -> dict[tuple[str, int], float]:
    """Return seconds for one spin beside each case of one process, by (mode, batch size).

    It is the geometric mean of the levels before and after the case (`bench.trust.disturbance.levels_s`). Cases of a
    kernel that computes on a device are left out: the processor's pace is not theirs.
    """
    waits = {(at.mode, at.batch_size) for at in trust.windows if at.waits}
    return {at: math.sqrt(before * after) for at, (before, after) in levels_s(trust).items() if at not in waits}


def common_pace(trusts: Sequence[Trust]) -> Pace:
    """Return the median pace of the processes of both sides: of one machine, else their spins say nothing."""
    if not trusts or not all(trust.windows for trust in trusts):
        return Pace(None, reason="not every process has calibration spins")
    if len({trust.spin.name for trust in trusts}) > 1:
        return Pace(None, reason="the calibration spins are of different kinds")
    found = [pace for trust in trusts for pace in paces(trust).values()]
    if not found:
        return Pace(None, reason="the kernels compute on a device")
    usual = median(found)
    distances = sorted(abs(math.log(pace / usual)) for pace in found)
    return Pace(usual, math.expm1(distances[math.ceil(0.95 * len(distances)) - 1]))
