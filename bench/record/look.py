"""``look.json``: the fastest look that a machine is known to have had, kept beside its runs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from mlpbench.bench.groups import grouped
from mlpbench.bench.record import untrusted
from mlpbench.bench.record.fields import SCHEMA, Block, File, Name, Nanoseconds, Schema, Text, Whole
from mlpbench.bench.record.schema import Record

FILE = "look.json"
#: The look that counts as a process's fastest: not the first, so that one glitch of a clock is no best for ever.
PLACE = 3


class BestLook(Block, frozen=True, kw_only=True):
    """The fastest look of a kind, on so many ``processors`` at once."""

    name: Text
    processors: Whole
    best_ns: Nanoseconds


class LookHead(Block, frozen=True, kw_only=True):
    """The block "mlpbench" of the file."""

    schema: Schema = SCHEMA
    kind: Literal["look"] = "look"
    machine: Name
    best: tuple[BestLook, ...] = ()


#: The content of ``look.json``.
LookFile = File[LookHead]


def read(path: Path) -> tuple[BestLook, ...]:
    """Return the fastest looks that a file holds, none where there is no file. Raises UserError for a damaged one."""
    return untrusted.read(path, LookFile).mlpbench.best if path.exists() else ()


def of_record(record: Record) -> list[BestLook]:
    """Return the fastest looks of a process."""
    taken = grouped((case.look_processors or 1, ns) for case in record.cases for pair in case.looks_ns for ns in pair)
    name = record.trust.look.name
    return [
        BestLook(name=name, processors=processors, best_ns=sorted(found)[PLACE - 1])
        for processors, found in taken.items()
        if name is not None and len(found) >= PLACE
    ]


def fastest(known: Iterable[BestLook], found: Iterable[BestLook]) -> tuple[BestLook, ...]:
    """Return the fastest look of each kind."""
    kept: dict[tuple[str, int], BestLook] = {}
    for one in (*known, *found):
        at = one.name, one.processors
        if at not in kept or one.best_ns < kept[at].best_ns:
            kept[at] = one
    return tuple(kept.values())
