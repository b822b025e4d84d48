"""The time of every case in every process, made of its quiet rounds, and what disturbed it.

A look is a fixed piece of work that fills a core, done just before and just after each round: it slows down where
somebody else works on the same core, which no counter shows. A round is quiet where both its looks were about as fast
as the best look of the run or machine. docs/statistics.md has what this is worth, and where the limits come from.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record, Timing
from mlpbench.bench.record.trust import best_look, quiet_up_to
from mlpbench.bench.trust.disturbance import Cause, Disturbance, best_spin_s, disturbances

#: Quiet rounds that make a time, or half of all if these are fewer: of a median of three one may be wrong.
ENOUGH = 3
#: A process is calm with at most this share of slow looks: whatever happens within its rounds, their median forgives.
CALM = 0.1
#: Longer rounds hold whole spells of about 10 ms, which the looks at their ends do not see.
SHORT_S = 4e-3
#: Where it was not calm, a round that took so much longer than the fastest fifth of the quiet ones was interrupted.
LONGEST = 1.15
#: A timing with looks is marked where the median of all its rounds is longer than its time by more, or its time than
#: that of the best repeat, or that median than the usual time of its case: each may be less, and both together more.
MOVED, APART, SLOW = 0.1, 0.1, 0.1

Rule = Literal["all rounds", "quiet rounds", "without waiting", "fastest fifth"]
#: (mode, batch size)
At = tuple[str, int]
#: Looks can be compared when they have the same name and number of processors.
_Kind = tuple[str | None, int]


@dataclass(frozen=True)
class Taken:
    """One case in one process: seconds per call, which is the median of its ``chosen`` rounds, picked by a ``rule``.

    The rules: "all rounds" where there are no looks; "quiet rounds"; "without waiting", the same of long rounds of one
    thread without the time in which it waited for a processor; and "fastest fifth" where too few were quiet, or rounds
    are so long that their looks do not tell. ``slow``: the share of looks that were slow, ``level``: the median
    look as a multiple of the best; None without looks.
    """

    timing: Timing
    rule: Rule
    chosen: tuple[int, ...]
    slow: float | None
    level: float | None
    disturbances: tuple[Disturbance, ...] = ()

    @cached_property
    def call_s(self) -> float:
        """Seconds per call."""
        rounds_s = worked_s(self.timing) if self.rule == "without waiting" else self.timing.rounds_s
        return median(rounds_s[number] for number in self.chosen)

    @property
    def sample_s(self) -> float:
        """Seconds per sample."""
        return self.call_s / self.timing.rows_per_call

    @property
    def parts_s(self) -> dict[str, float]:
        """Seconds per call of each part of the book's cell; nothing where they are not known."""
        chosen = list(self.chosen)
        return {name: float(np.median(seconds[chosen])) for name, seconds in self.timing.part_rounds_s.items()}

    @property
    def counts(self) -> bool:
        """Whether the time is good although something disturbed it, or nothing did."""
        return self.rule in ("quiet rounds", "without waiting") or (self.rule == "all rounds" and not self.disturbances)


def taken(records: Sequence[Record]) -> list[dict[At, Taken]]:
    """Return the cases of each record of one run, by (mode, batch size): all are held against the run's best looks."""
    spin, best = best_spin_s(record.trust for record in records), _best_looks(records)
    own = _best_of_cases(records)
    made = []
    for record in records:
        hit = disturbances(record.trust, spin)
        found = {}
        for timing in record.cases:
            at, kind = (timing.mode, timing.batch_size), _kind(record, timing)
            fastest = best.get(kind, 0.0)
            beside = own.get((kind, record.kernel, *at), 0.0)
            found[at] = _taken(timing, fastest, quiet_up_to(fastest, beside), hit.get(at, ()))
        made.append(found)
    return _marked(records, made)


def of_run(run: Run) -> list[dict[At, Taken]]:
    """Return `taken` of the records of a run, which is worked out once, however many sections ask for it."""
    if __name__ not in run.worked_out:
        run.worked_out[__name__] = taken(run.records)
    judged: list[dict[At, Taken]] = run.worked_out[__name__]
    return judged


def worked_s(timing: Timing) -> tuple[float, ...]:
    """Return the seconds per call of each round in which its thread did not wait for a processor."""
    pairs = zip(timing.rounds_s, timing.waits_ns, strict=True)
    return tuple(max(seconds - waited / timing.iterations / 1e9, 1e-12) for seconds, waited in pairs)


def disturbed_in_words(found: Mapping[At, Taken]) -> Iterator[str]:
    """Yield why the cases of one process are disturbed, one line for each case and reason."""
    for (mode, size), case in found.items():
        yield from (f"{mode} {size}: {reason.text}" for reason in case.disturbances)


def _kind(record: Record, timing: Timing) -> _Kind:
    return record.trust.look.name, timing.look_processors or 1


def _best_looks(records: Sequence[Record]) -> dict[_Kind, float]:
    """Return the best look of each kind: of the run, or of those before it that the machine is known by."""
    looks: dict[_Kind, list[float]] = defaultdict(list)
    known: dict[_Kind, list[float]] = defaultdict(list)
    for record in records:
        for timing in record.cases:
            kind, best = _kind(record, timing), record.trust.look.best_of(timing.look_processors or 1)
            looks[kind] += [look for pair in timing.looks_ns for look in pair]
            known[kind] += [best] if best else []
    return {kind: min([best_look(found), *known[kind]]) for kind, found in looks.items() if found}


def _best_of_cases(records: Sequence[Record]) -> dict[tuple[_Kind, str, str, int], float]:
    """Return the best look beside each case of each kernel, over all repeats."""
    looks: dict[tuple[_Kind, str, str, int], list[float]] = defaultdict(list)
    for record in records:
        for timing in record.cases:
            case = _kind(record, timing), record.kernel, timing.mode, timing.batch_size
            looks[case] += [look for pair in timing.looks_ns for look in pair]
    return {case: best_look(found) for case, found in looks.items() if found}


def _taken(timing: Timing, best_ns: float, limit_ns: float, hit: tuple[Disturbance, ...]) -> Taken:
    """Return the time of one case. ``best_ns``: the best look; up to ``limit_ns`` one is quiet.

    ``hit``: what the counters saw.
    """
    rounds = np.array(timing.rounds_s)
    every = tuple(range(len(rounds)))
    if not timing.looks_ns:
        return Taken(timing, "all rounds", every, None, None, hit)
    looks = np.array(timing.looks_ns)
    quiet, level = looks <= limit_ns, float(np.median(looks)) / max(best_ns, 1.0)
    chosen, slow = np.flatnonzero(quiet.all(axis=1)), float((~quiet).mean())
    calm, enough = slow <= CALM and not hit, min(ENOUGH, (len(rounds) + 1) // 2)
    # By the fastest: where most rounds were interrupted, their median is not how long a round is.
    short = float(np.median(rounds[_fastest(rounds)])) * timing.iterations <= SHORT_S
    whole = chosen
    if not calm and short and len(chosen):
        whole = chosen[rounds[chosen] <= LONGEST * np.median(rounds[chosen][_fastest(rounds[chosen])])]
    if len(whole) >= enough and (calm or short):
        return Taken(timing, "quiet rounds", tuple(whole.tolist()), slow, level, hit)
    waited = timing.waits_ns and slow <= CALM and {one.cause for one in hit} == {"load"}
    if len(chosen) >= enough and waited and timing.parts is None:  # the book's parts do not tell which of them waited
        return Taken(timing, "without waiting", tuple(chosen.tolist()), slow, level, hit)
    return Taken(timing, "fastest fifth", tuple(_fastest(rounds).tolist()), slow, level, hit)


def _fastest(rounds: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the places of the fastest fifth of some rounds, at least one."""
    return np.argsort(rounds, kind="stable")[: -(-len(rounds) // 5)]


def _marked(records: Sequence[Record], made: list[dict[At, Taken]]) -> list[dict[At, Taken]]:
    """Leave the marks where something moved a time, and say why; each is held against the other repeats of its case.

    Counters alone mark only what has no looks: they say what happened beside a case, not that it mattered.
    """
    every: dict[tuple[str, At], list[Taken]] = defaultdict(list)
    for record, found in zip(records, made, strict=True):
        for at, case in found.items():
            every[record.kernel, at].append(case)
    levels = {key: (min(case.call_s for case in of), _usual_s(of)) for key, of in every.items()}
    return [
        {
            at: case if case.slow is None else replace(case, disturbances=_why(case, *levels[record.kernel, at]))
            for at, case in found.items()
        }
        for record, found in zip(records, made, strict=True)
    ]


def _usual_s(repeats: Sequence[Taken]) -> float | None:
    """Return a case's time when little hinders it: the end of the fastest quarter of those that count; None: none does.

    Not the fastest of all: of many that scatter, it is far below the usual, and honest ones would seem disturbed.
    """
    good = sorted(case.call_s for case in repeats if case.counts)
    return good[len(good) // 4] if good else None


def _why(case: Taken, best_s: float, usual_s: float | None) -> tuple[Disturbance, ...]:
    """Return why a case with looks is disturbed. ``best_s``: seconds per call in the best repeat; or as usual."""
    plain_s = float(np.median(case.timing.rounds_s))
    moved, longer = plain_s / case.call_s - 1, case.call_s / best_s - 1
    slower = math.inf if usual_s is None else plain_s / usual_s - 1
    seen = f"{case.slow:.0%} of the looks beside it were slow"
    if case.rule == "fastest fifth":
        found = Disturbance("neighbour", f"{seen}: too few rounds were quiet") if slower > SLOW else None
    elif moved > MOVED:
        found = Disturbance("neighbour", f"{seen}; the median of all its rounds is {moved:.0%} longer")
    elif longer > APART:
        found = Disturbance("unknown", f"it took {longer:.0%} longer than in its best repeat, and nothing says why")
    elif slower > SLOW:
        cause: Cause = "neighbour" if (case.slow or 0.0) > CALM else "unknown"
        found = Disturbance(cause, f"{seen}; the median of all its rounds is {slower:.0%} longer than its usual time")
    else:
        found = None
    return (case.disturbances or (found,)) if found else ()
