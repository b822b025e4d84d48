"""The block ``trust`` of a record, of which `bench.trust` makes sense, and ``look.json``: a machine's fastest looks."""

import heapq
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from msgspec import field

from mlpbench.bench.cases import Case
from mlpbench.bench.record import untrusted
from mlpbench.bench.record.fields import Block, Bytes, File, Head, Mode, Name, Nanoseconds, Seconds, Text, Whole

#: Checks that rest on a time. Something else may have run just then: it takes two processes to refuse a case for one.
BY_TIME = frozenset({"timer", "clock", "memory", "threads", "transfers", "wait", "roofline"})
#: A look is quiet up to this multiple of the best one: neighbours make it twice as long, its own noise is 1 or 2 %.
QUIET = 1.06
#: Of all looks, this one counts as the best, counted from 0: a single one that a clock cut short moves nothing.
BEST = 2
#: The best look beside one piece of work may be so much longer than the best of all: wide vectors slow the clock down,
#: and so does saving power. A neighbour costs more.
OWN = 1.15


class Start(Block, frozen=True, kw_only=True):
    """A kernel started in a separate process, with an empty (``fresh``) or a filled cache of compiled code.

    ``first_calls``: mode, batch size and seconds. ``compile_s`` is part of the others. ``peak_bytes``: resident memory
    that construction and first calls added; ``pool_bytes``: a device's pool.
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


class Refusal(Block, frozen=True, kw_only=True):
    """A check that a case, or without one the whole process, did not pass, and the ``reason`` as half a sentence."""

    mode: Mode | None = None
    batch_size: Whole | None = None
    check: Name
    reason: Text

    @classmethod
    def of(cls, case: Case | None, check: str, reason: str) -> Self:
        """Return the refusal of a case, or of the whole process."""
        mode, size = (case.mode, case.batch_size) if case else (None, None)
        return cls(mode=mode, batch_size=size, check=check, reason=reason)

    @property
    def by_time(self) -> bool:
        """Whether it rests on a time."""
        return self.check in BY_TIME

    def hits(self, mode: str, batch_size: int) -> bool:
        """Return whether it is about a case."""
        return self.mode is None or (self.mode, self.batch_size) == (mode, batch_size)


class LookFacts(Block, frozen=True, kw_only=True):
    """What a look is called, None where none could be taken; by processors, the fastest that were known here."""

    name: Text | None = None
    best_ns: tuple[tuple[Whole, Nanoseconds], ...] = ()

    def best_of(self, processors: int) -> int | None:
        """Return the fastest known look on so many processors."""
        return dict(self.best_ns).get(processors)


class Trust(Block, frozen=True, kw_only=True):
    """All of it. ``call_costs_s``: what a call of a kernel that does nothing took, by mode.

    ``starts``: of the kernel in separate processes; ``no_starts``: why there are none.
    """

    look: LookFacts = LookFacts()
    call_costs_s: dict[Name, Seconds] = field(default_factory=dict)
    compile_s: Seconds | None = None
    pool_bytes: Bytes | None = None
    starts: tuple[Start, ...] = ()
    no_starts: Text | None = None
    refusals: tuple[Refusal, ...] = ()


NOTHING = Trust()


class BestLook(Block, frozen=True, kw_only=True):
    """The fastest look of a kind, on so many ``processors`` at once."""

    name: Text
    processors: Whole
    best_ns: Nanoseconds


class LookHead(Head, frozen=True, kw_only=True):
    """The block "mlpbench" of ``look.json``."""

    kind: Literal["look"] = "look"
    machine: Name
    best: tuple[BestLook, ...] = ()


#: The content of ``look.json``.
LookFile = File[LookHead]


def best_look(looks: Iterable[float]) -> float:
    """Return the look that counts as the best of some."""
    return heapq.nsmallest(BEST + 1, looks)[-1]


def quiet_up_to(best_ns: float, beside_ns: float) -> float:
    """Return up to which time a look is quiet, where the best of all is known, and the best beside this work."""
    return QUIET * (beside_ns if beside_ns <= OWN * best_ns else best_ns)


def fastest(looks: Iterable[BestLook]) -> tuple[BestLook, ...]:
    """Return the fastest look of each kind."""
    kept: dict[tuple[str, int], BestLook] = {}
    for look in looks:
        kind = look.name, look.processors
        kept[kind] = min(kept.get(kind, look), look, key=lambda entry: entry.best_ns)
    return tuple(kept.values())


def read_looks(path: Path) -> tuple[BestLook, ...]:
    """Return the fastest looks that a file holds, none where there is no file. Raises UserError for a damaged one."""
    return untrusted.read(path, LookFile).mlpbench.best if path.exists() else ()
