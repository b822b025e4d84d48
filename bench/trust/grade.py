"""The grade of a machine in one run, and what to do about it: from the marks, the looks, and how far repeats agree."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.trust.disturbance import Cause, best_spin_s, levels_s
from mlpbench.bench.trust.quiet import of_run

#: Up to which a machine is quiet, or fair: the share of disturbed timings, the share of slow looks, the spread of the
#: calibration, and half the width of the intervals. The worst of them decides.
QUIET, FAIR = (0.05, 0.05, 0.05, 0.05), (0.25, 0.25, 0.15, 0.15)


@dataclass(frozen=True)
class Grade:
    """A machine in one run: ``disturbed`` of ``cases`` timings, one for each case and process; ``lost`` do not count.

    ``slow``: the share of slow looks, None without looks. ``spread``: by how much the calibration was slower than at
    its best, beside all but the worst 5 % of the cases. ``width``: half the width of the interval of half of the
    cases, as a share; None without intervals. ``name`` is None where nothing was recorded.
    """

    name: Literal["quiet", "fair", "noisy"] | None
    disturbed: int
    lost: int
    cases: int
    slow: float | None
    spread: float
    width: float | None
    causes: tuple[tuple[Cause, int], ...]
    advice: tuple[str, ...]
    #: Of a device's samples the share that was taken at a lowered clock, and the most other processes on the card.
    card_slowed: float = 0.0
    card_others: int = 0


def grade(run: Run, width: float | None = None) -> Grade:
    """Return the grade of the machine in one run. ``width``: see `Grade`."""
    records, governor = run.records, run.measured_in.machine.governor
    found = [case for of_record in of_run(run) for case in of_record.values()]
    best = best_spin_s(record.trust for record in records)
    looks = [case.slow for case in found if case.slow is not None]
    if best is None and not looks:
        return Grade(None, 0, 0, 0, None, 0.0, None, (), ())
    disturbed = [case for case in found if case.disturbances]
    lost = sum(not case.counts for case in disturbed)
    levels = sorted(max(pair) for record in records for pair in levels_s(record.trust).values())
    spread = levels[math.ceil(0.95 * len(levels)) - 1] / best - 1 if best is not None else 0.0
    slow = fmean(looks) if looks else None
    slowed, others = _card(records)
    seen = (max(len(disturbed) / max(len(found), 1), slowed), slow or 0.0, spread, width or 0.0)
    causes = Counter(cause for case in disturbed for cause in {reason.cause for reason in case.disturbances})
    common = tuple(causes.most_common())
    advice = _advice([cause for cause, _ in common], governor, wide=seen[3] > QUIET[3])
    advice += (_SLOWED_CARD,) * (slowed > 0) + (_SHARED_CARD,) * (others > 0)
    graded = _name(seen)
    name = "fair" if others and graded == "quiet" else graded
    return Grade(name, len(disturbed), lost, len(found), slow, spread, width, common, advice, slowed, others)


def _card(records: Sequence[Record]) -> tuple[float, int]:
    """Return what was seen of the card that kernels of a run computed on: see `Grade`. Nothing is 0."""
    seen = [record.device_times for record in records if record.device_times is not None]
    cases = [case for times in seen for case in times.cases]
    slowed, kept = sum(case.throttled for case in cases), sum(case.samples for case in cases)
    return slowed / max(slowed + kept, 1), max((times.card.others or 0 for times in seen), default=0)


def _name(seen: Sequence[float]) -> Literal["quiet", "fair", "noisy"]:
    if all(value <= most for value, most in zip(seen, QUIET, strict=True)):
        return "quiet"
    return "fair" if all(value <= most for value, most in zip(seen, FAIR, strict=True)) else "noisy"


_TO_DO: dict[str, str] = {
    "load": "Other programs took the processors: stop them, or keep some processors free of them (taskset, cpusets) "
    "and start mlpbench there with --threads at their number.",
    "host": "The host gave the processors to other virtual machines: use a machine with dedicated ones, or another "
    "hour.",
    "throttled": "The processor was held back: raise the container's share of processors (its CPU limit), or let the "
    "machine cool.",
    "clock": "The processor's clock speed moved: set the governor to performance, and switch boost off where you may.",
    "blocked": "The process was blocked on I/O or swap: give the machine more memory, and keep other programs off it.",
    "neighbour": "Another program used the same cores, in another virtual machine or on the other thread of a core: "
    "use a machine whose cores are not shared, leave the other thread of each core free, or try another hour.",
    "unknown": "Some timings were slow for a reason that nothing here sees, such as a busy memory: more repeats "
    "(--repeats, --budget) average over it, and so does another hour.",
}


_SLOWED_CARD = (
    "The card's clock was lowered: let it cool, look at its power cap (nvidia-smi -q -d PERFORMANCE), or lock a lower "
    "clock (nvidia-smi -lgc)."
)
_SHARED_CARD = "Other processes computed on the card: stop them, or choose another card (--device)."


def _advice(causes: list[Cause], governor: str | None, *, wide: bool) -> tuple[str, ...]:
    lines = [_TO_DO[cause] for cause in causes]
    if wide:
        lines.append("Repeats differ: more of them make the intervals narrower (--repeats, --budget).")
    if governor not in (None, "", "performance"):
        lines.append(f"The governor is {governor}: set it to performance.")
    return tuple(lines)
