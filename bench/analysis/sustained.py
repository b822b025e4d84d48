"""What the machine does beside the kernels, repeat by repeat: ``roofs-<repeat>.json``, read and checked.

A roof is the best round of a run's start, and never too low. A processor that lowers its clock under load, or that
others use too, does not do as much for long, nor some minutes later. So where a kernel's share of a limit is asked for,
the limit is the median round of a process that ran in the same repeat (`bench.machine.roofs.write_of_repeat`).
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.record import ROOFS_OF_REPEAT
from mlpbench.bench.record.schema import block_of
from mlpbench.bench.record.untrusted import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlpbench.bench.record.untrusted import Block

__all__ = ["Sustained", "read"]

#: Work per second by number of threads, and by name of what was done.
Rates = dict[int, dict[str, float]]


@dataclass(frozen=True)
class Sustained:
    """``rates`` by repeat: FLOP/s and bytes/s of the median round. ``reasons``: why a repeat has none."""

    rates: Mapping[int, Rates] = field(default_factory=dict)
    reasons: Mapping[int, str] = field(default_factory=dict)

    def by_repeat(self, name: str, threads: int) -> dict[int, float]:
        """Return one rate, with so many threads, of each repeat in which it was measured."""
        found = {repeat: rates.get(threads, {}) for repeat, rates in self.rates.items()}
        return {repeat: rates[name] for repeat, rates in found.items() if name in rates}


def read(folder: Path) -> Sustained:
    """Return what was measured in the repeats of a run, nothing where none was. Raises UserError for damaged files."""
    rates: dict[int, Rates] = {}
    reasons = {}
    for path in sorted(folder.glob("roofs-*.json")):
        if (named := ROOFS_OF_REPEAT.fullmatch(path.name)) is None:
            continue
        block = block_of(load(path), path)
        repeat = block.integer("repeat", 0)
        if repeat != int(named[1]):
            raise UserError(f"{path}: holds repeat {repeat}: it was renamed or copied; take it away")
        if "roofs" in block:
            rates[repeat] = _rates(block.block("roofs"))
        else:
            reasons[repeat] = block.text("reason", "no reason given")
    return Sustained(rates, reasons)


def _rates(content: Block) -> Rates:
    found: Rates = {}
    for entry in content.blocks("measured"):
        of_threads = found.setdefault(entry.integer("threads", 1), {})
        of_threads[entry.text("name")] = entry.integer("work", 1) / statistics.median(entry.timings("data"))
    if not found:
        raise UserError(f"{content.where}: nothing was measured; this is a damaged file")
    return found
