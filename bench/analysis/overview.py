"""The headline of several runs: of each, in one line, the fastest kernel, what batches bring it, and the best peer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlpbench.bench import words
from mlpbench.bench.analysis.headline import against

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.analysis.headline import KernelFinding
    from mlpbench.bench.analysis.limits import Limits, Place
    from mlpbench.bench.record.record import Run
    from mlpbench.bench.stats.estimates import Ratio

__all__ = ["Overview", "find"]


@dataclass(frozen=True)
class Overview:
    """One run. ``fastest``: the kernel with the shortest time per sample in its best batch, None where none has a time.

    It is one of ours where there are any besides peers. ``kernels``: how many it was chosen from, ``peers``: whether
    there are peers besides. ``place``: it beside the best peer with results of its kind, in that batch; None where
    there is none.
    """

    title: str
    fastest: KernelFinding | None
    kernels: int
    peers: bool
    place: Place | None

    def sentence(self) -> str:
        """Return the finding as one sentence."""
        if self.fastest is None:
            return f"{self.title}: nothing was timed."
        gains = [against(*gain) for gain in self.gains] or [f"no batching speedup, {self.fastest.missing}"]
        comma = "," if self.kernels > 1 else ""
        return f"{self.title}: {self.name}{comma} takes {self.time}: {' and '.join(gains)}."

    @property
    def name(self) -> str:
        """The kernel, and what it was chosen from: ``numba-simd, the fastest of ours``."""
        name = self.fastest.kernel if self.fastest else "no kernel"
        if self.kernels < 2:
            return name
        return f"{name}, the fastest of {'ours' if self.peers else self.kernels}"

    @property
    def time(self) -> str:
        """Its time per sample and where: ``310 ns per sample in batches of 1,000``."""
        if self.fastest is None:
            return "not measured"
        where = "one at a time" if self.fastest.best is None else f"in batches of {self.fastest.best_batch_size:,}"
        return f"{words.seconds(_sample_s(self.fastest))} per sample {where}"

    @property
    def gains(self) -> list[tuple[Ratio, str]]:
        """What it is compared with, in words, and how much longer that takes: one at a time, and the best peer."""
        found = []
        if self.fastest and self.fastest.speedup is not None:
            found.append((self.fastest.speedup, "one at a time"))
        if self.place is not None:
            found.append((self.place.ratio, f"the best peer, {self.place.peer}"))
        return found


def find(run: Run, kernels: Sequence[KernelFinding], limits: Limits | None) -> Overview:
    """Return the overview of a run from what was found of its ``kernels``, and where they stand beside peers."""
    peers = {record.kernel for record in run.records if record.peer}
    timed = [found for found in kernels if found.best or found.one]
    ours = [found for found in timed if found.kernel not in peers] or timed
    fastest = min(ours, key=_sample_s, default=None)
    place = _place(fastest, limits) if fastest and limits else None
    return Overview(run.shown or run.title, fastest, len(ours), len(ours) < len(timed), place)


def _sample_s(found: KernelFinding) -> float:
    """Return its shortest time per sample, in seconds."""
    shortest = found.best or found.one
    if shortest is None:
        raise ValueError(f"{found.kernel} has no time")
    return shortest.value


def _place(fastest: KernelFinding, limits: Limits) -> Place | None:
    places = (place for row in limits.rows if row.kernel == fastest.kernel for place in row.places)
    return next((place for place in places if place.batch_size == fastest.best_batch_size), None)
