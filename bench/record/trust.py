"""The block ``trust`` of a record. Everything in it may be missing: older files have none of it.

What is measured is kept raw; what it means is made of it in `bench.trust`.
"""

from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Annotated, Self

from msgspec import Meta

from mlpbench.bench.cases import Case
from mlpbench.bench.record.fields import (
    Amount,
    Block,
    Bytes,
    Mode,
    Name,
    Nanoseconds,
    Rounds,
    Seconds,
    Text,
    Whole,
)


class Known(Block, frozen=True, kw_only=True):
    """One measurement of the harness itself: a null kernel called as ``mode``."""

    mode: Name
    calls: Whole
    iterations: Whole = 1
    rounds_s: Rounds


class Start(Block, frozen=True, kw_only=True):
    """A kernel started in a process of its own, with an empty (``fresh``) or a filled cache of compiled code.

    ``first_calls``: mode, batch size and seconds. ``compile_s`` is part of the others, None where the library does not
    tell. ``peak_bytes``: resident memory that construction and first calls added at their peak. ``pool_bytes``: the
    most that the pool of a device's memory held.
    """

    fresh: bool = False
    import_s: Seconds
    construct_s: Seconds
    compile_s: Seconds | None = None
    first_calls: tuple[tuple[Mode, Whole, Seconds], ...] = ()
    peak_bytes: Bytes | None = None
    pool_bytes: Bytes | None = None

    @property
    def first_calls_s(self) -> dict[tuple[str, int], float]:
        """The seconds of the first calls, by (mode, batch size)."""
        return {(mode, batch_size): seconds for mode, batch_size, seconds in self.first_calls}


class Singles(Block, frozen=True):
    """Single calls of one case, each with a reading of the clock (``clock_ns``, the median) in it.

    ``calls``: nanoseconds, rounded to three digits, and how many calls took as long.
    """

    mode: Mode
    batch_size: Whole
    clock_ns: Nanoseconds
    calls: Annotated[tuple[tuple[Nanoseconds, Whole], ...], Meta(min_length=1)]

    @classmethod
    def of(cls, case: Case, clock_ns: int, calls_ns: Iterable[int]) -> Self:
        """Return the calls of a case that took so many nanoseconds."""
        return cls(case.mode, case.batch_size, clock_ns, counted(calls_ns))

    @property
    def calls_ns(self) -> list[int]:
        """The nanoseconds of each call, ascending."""
        return [lasted for lasted, count in self.calls for _ in range(count)]


def counted(calls_ns: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return how many calls took how many nanoseconds, ascending and rounded to three digits."""
    return tuple(sorted(Counter(int(float(f"{ns:.3g}")) for ns in calls_ns).items()))


#: Checks that rest on a time. Something else may have run just then: it takes two processes to refuse a case for one.
BY_TIME = frozenset({"timer", "clock", "memory", "threads", "transfers", "wait", "roofline"})


class Refusal(Block, frozen=True, kw_only=True):
    """A check that a case did not pass in this process: docs/evidence/honesty.md says when its time goes.

    ``mode`` and ``batch_size`` are None where it is about the whole process. ``check``: the check's name; ``reason``:
    what was seen, one sentence without a full stop.
    """

    mode: Mode | None = None
    batch_size: Whole | None = None
    check: Name
    reason: Text

    @classmethod
    def of(cls, case: Case | None, check: str, reason: str) -> Self:
        """Return the refusal of a case, or of the whole process."""
        mode, size = (None, None) if case is None else (case.mode, case.batch_size)
        return cls(mode=mode, batch_size=size, check=check, reason=reason)

    @property
    def by_time(self) -> bool:
        """Whether it rests on a time."""
        return self.check in BY_TIME

    def hits(self, mode: str, batch_size: int) -> bool:
        """Return whether it is about a case."""
        return self.mode is None or (self.mode, self.batch_size) == (mode, batch_size)


#: A look is quiet up to this multiple of the best one: neighbours make it twice as long, its own noise is 1 or 2 %.
QUIET = 1.06
#: Of all looks, this one counts as the best, counted from 0: a single one that a clock cut short moves nothing.
BEST = 2
#: The best look beside one piece of work may be so much longer than the best of all: instructions that slow the clock
#: down (wide vectors), or a processor that is saving power. A neighbour costs more.
OWN = 1.15


def best_look(looks: Iterable[float]) -> float:
    """Return the look that counts as the best of some."""
    found = sorted(looks)
    return found[min(BEST, len(found) - 1)]


def quiet_up_to(best_ns: float, beside_ns: float) -> float:
    """Return up to which time a look is quiet, where the best of all is known, and the best beside this work."""
    return QUIET * (beside_ns if beside_ns <= OWN * best_ns else best_ns)


class LookFacts(Block, frozen=True, kw_only=True):
    """What a look is: its name, None where none could be taken, and the fastest that this machine was known to have.

    ``best_ns`` is of looks on the one processor that works, ``several_ns`` of those on ``processors`` at once, beside
    cases of several threads. Each is None where it was not known when the process began.
    """

    name: Text | None = None
    best_ns: Nanoseconds | None = None
    processors: Whole | None = None
    several_ns: Nanoseconds | None = None

    def best_of(self, processors: int) -> int | None:
        """Return the fastest known look on so many processors."""
        return self.best_ns if processors == 1 else self.several_ns if processors == self.processors else None


class Spent(Block, frozen=True, kw_only=True):
    """The energy that a sample of one case costs, counted apart from the timed rounds.

    ``joules``: of all that the processors' packages, or the card, drew; ``no_joules``: why that is not known.
    """

    mode: Mode
    batch_size: Whole
    joules: Amount | None = None
    no_joules: Text | None = None


class Trust(Block, frozen=True, kw_only=True):
    """All of it.

    ``starts``: of the kernel in processes of its own; ``no_starts``: why there are none. ``refusals``: what the checks
    found.
    """

    look: LookFacts = LookFacts()
    self_test: tuple[Known, ...] = ()
    compile_s: Seconds | None = None
    pool_bytes: Bytes | None = None
    singles: tuple[Singles, ...] = ()
    spent: tuple[Spent, ...] = ()
    starts: tuple[Start, ...] = ()
    no_starts: Text | None = None
    refusals: tuple[Refusal, ...] = ()

    @property
    def call_costs_s(self) -> dict[str, float]:
        """What one call of the harness cost in this process, in seconds, by mode."""
        return {known.mode: median(known.rounds_s) / known.calls for known in self.self_test}


NOTHING = Trust()
