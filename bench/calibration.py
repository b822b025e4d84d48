"""What `mlpbench calibrate` found: how often verdicts are wrong on a machine, and how small a slowdown they find.

Kernels that differ by nothing, or by a planted slowdown, run side by side; their repeats are cut into blocks of as many
as a comparison has on each side. Two kernels of a block are compared as two kernels of one run (paired), kernels of
different blocks as two runs (unpaired). Comparisons share processes, so their cases are not independent, and the bound
of the rate is narrower than it should be; ``disjoint`` counts comparisons, as a whole, that share no process.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import significance, verdicts
from bench.errors import UserError
from bench.untrusted import Block, load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["FILE", "KIND", "Calibration", "Kind", "Tally", "evaluate", "read", "seen_slowdowns"]

FILE = "calibration.json"
KIND = "calibration"
SCHEMA = 1
#: The share of planted slowdowns that must be found for the tool to be said to find them.
FOUND = significance.POWER
#: Of the scatter over all cases: what nine in ten do not exceed.
SCATTER_QUANTILE = 0.9

#: Above it a slowdown is not a share any more.
MAX_SCATTER = 1000.0

#: (mode, batch size) -> repeat -> seconds per sample.
_ByRepeat = Mapping[int, float]
Times = Mapping[tuple[str, int], _ByRepeat]


@dataclass(frozen=True)
class Tally:
    """``hits`` of ``cases``."""

    hits: int
    cases: int

    @property
    def rate(self) -> float:
        """The share of hits; NaN of none."""
        return self.hits / self.cases if self.cases else float("nan")

    def bounds(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the two-sided interval of the rate, C. J. Clopper and E. S. Pearson, Biometrika 26 (1934)."""
        from scipy.stats import binomtest

        if not self.cases:
            return 0.0, 1.0
        found = binomtest(self.hits, self.cases).proportion_ci(confidence, method="exact")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Kind:
    """One way to compare, paired or not. ``planted`` is the share of each slowdown -> cases in which it was found.

    ``false`` counts verdicts faster or slower where there is no difference, ``disjoint`` comparisons with any such
    verdict among those that share no process. ``scatter`` is what `bench.significance.detectable` takes.
    """

    false: Tally
    disjoint: Tally
    planted: dict[float, Tally]
    scatter: float

    @property
    def smallest(self) -> float | None:
        """The smallest planted slowdown that was found often enough, as were all larger ones; None if none was."""
        found = None
        for share in sorted(self.planted, reverse=True):
            if not self.planted[share].rate >= FOUND:
                break
            found = share
        return found


@dataclass(frozen=True)
class Calibration:
    """Of one machine. ``repeats`` on each side of a comparison; kinds that could not be measured are None.

    ``seen``: each planted slowdown -> the one that the times show, from all repeats: was it planted well?
    """

    machine: str
    run: str
    kernel: str
    threads: int | None
    ended: str
    repeats: int
    threshold: float
    false_discovery_rate: float
    paired: Kind | None
    unpaired: Kind | None
    seen: dict[float, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the file."""
        block = {key: value for key, value in vars(self).items() if key not in ("paired", "unpaired", "seen")}
        block["seen"] = [{"slowdown": share, "seen": seen} for share, seen in sorted(self.seen.items())]
        kinds = {name: _kind_as_dict(kind) for name, kind in (("paired", self.paired), ("unpaired", self.unpaired))}
        return {"mlpbench": {"schema": SCHEMA, "kind": KIND, **block, **kinds}}

    def sentence(self, n: int, *, paired: bool) -> str:
        """Say how small a slowdown is found on this machine, and with ``n`` repeats on each side if they are others."""
        kind = self.paired if paired else self.unpaired
        way = "two kernels of one run" if paired else "two runs"
        if kind is None:
            return f"how small a slowdown is found between {way} was not measured by the last `mlpbench calibrate`"
        most = 100 * max(kind.planted, default=0.0)
        size = f"none up to {most:.3g} %" if kind.smallest is None else f"{100 * kind.smallest:.3g} %"
        said = f"smallest slowdown found in {FOUND:.0%} of cases on this machine: {size}"
        said += f", between {way} with {self.repeats} repeats ({self.ended[:10]})"
        if n == self.repeats or n < 2:
            return said
        least = significance.detectable(kind.scatter, n, paired, self.threshold, self.false_discovery_rate)
        size = f"about {100 * least:.2g} %" if least < 1 else "more than 100 %"
        return f"{said}; with the {n} repeats of this comparison: {size}, by the scatter measured then"


def evaluate(
    same: Sequence[Times],
    slowed: Mapping[float, Times],
    repeats: int,
    threshold: float = verdicts.THRESHOLD,
    rate: float = significance.FALSE_DISCOVERY_RATE,
) -> tuple[Kind | None, Kind | None]:
    """Return what the times of equal kernels and of slowed ones show: paired, unpaired.

    ``same`` has the times of each equal kernel, ``slowed`` those of the kernel with each slowdown. Repeats that do
    not fill a last block are left out. None where there are not enough: paired needs one block, unpaired two.
    """
    sides = [*same, *slowed.values()]
    common = sorted(set.intersection(*(set(by_repeat) for times in sides for by_repeat in times.values())))
    blocks = [common[i : i + repeats] for i in range(0, len(common) - repeats + 1, repeats)]
    kernels = range(len(same))
    paired = _Trials(
        *(same, slowed, True, threshold, rate),
        places=[(block, block) for block in blocks],
        sides=list(itertools.combinations(kernels, 2)),
        disjoint_places=[(block, block) for block in blocks],
        disjoint_sides=list(zip(kernels[::2], kernels[1::2], strict=False)),
    )
    unpaired = _Trials(
        *(same, slowed, False, threshold, rate),
        places=list(itertools.combinations(blocks, 2)),
        sides=[(i, j) for i in kernels for j in kernels],
        disjoint_places=list(zip(blocks[::2], blocks[1::2], strict=False)),
        disjoint_sides=[(i, i) for i in kernels],
    )
    return paired.kind() if blocks else None, unpaired.kind() if len(blocks) > 1 else None


def seen_slowdowns(same: Sequence[Times], slowed: Mapping[float, Times]) -> dict[float, float]:
    """Return the slowdown that the times show for each planted one: the median over all cases, repeats and twins."""

    def ratios(times: Times) -> list[float]:
        return [
            times[case][repeat] / one[case][repeat]
            for one in same
            for case in times
            for repeat in times[case].keys() & one[case].keys()
        ]

    return {share: float(np.median(ratios(times))) - 1 for share, times in slowed.items()}


def calibration_from(block: Block) -> Calibration:
    """Return the calibration in the "mlpbench" block of its file. Raises UserError where it is damaged."""
    return Calibration(
        machine=block.name("machine"),
        run=block.text("run"),
        kernel=block.name("kernel"),
        threads=block.integer("threads", 1, None),
        ended=block.text("ended"),
        repeats=block.integer("repeats", 2),
        threshold=_share(block, "threshold"),
        false_discovery_rate=_share(block, "false_discovery_rate"),
        paired=_kind(block.block("paired")) if "paired" in block else None,
        unpaired=_kind(block.block("unpaired")) if "unpaired" in block else None,
        seen={_share(item, "slowdown"): item.number("seen") for item in block.blocks("seen")},
    )


def read(path: Path) -> Calibration:
    """Read a calibration. Raises UserError, one line that begins with the path, as `bench.record.read`."""
    content = Block(load(path), str(path))
    block = content.block("mlpbench")
    if block.data.get("kind") != KIND:
        raise UserError(f"{path}: no calibration; `mlpbench calibrate` writes one")
    schema = block.integer("schema", 1)
    if schema > SCHEMA:
        raise UserError(f"{path}: written in schema {schema}; this version reads up to {SCHEMA}: upgrade mlpbench")
    return calibration_from(block)


@dataclass(frozen=True)
class _Trials:
    """The comparisons of one kind: at each place (a block for either side), between sides of ``same``."""

    same: Sequence[Times]
    slowed: Mapping[float, Times]
    paired: bool
    threshold: float
    rate: float
    places: list[tuple[list[int], list[int]]]
    sides: list[tuple[int, int]]
    disjoint_places: list[tuple[list[int], list[int]]]
    disjoint_sides: list[tuple[int, int]]

    def kind(self) -> Kind:
        """Make all comparisons."""
        equal = [self._cases(self.same[i], self.same[j], at) for at in self.places for i, j in self.sides]
        apart = [
            self._cases(self.same[i], self.same[j], at) for at in self.disjoint_places for i, j in self.disjoint_sides
        ]
        scatter = [significance.test(a, b, self.paired).scatter for cases in equal for a, b in cases]
        return Kind(
            false=_tally([word for cases in equal for word in self._verdicts(cases)], "faster", "slower"),
            disjoint=Tally(sum(not _FALSE.isdisjoint(self._verdicts(cases)) for cases in apart), len(apart)),
            planted={share: self._found(times) for share, times in self.slowed.items()},
            scatter=float(np.quantile(scatter, SCATTER_QUANTILE)),
        )

    def _found(self, times: Times) -> Tally:
        trials = [self._cases(one, times, at) for at in self.places for one in self.same]
        return _tally([word for cases in trials for word in self._verdicts(cases)], "slower")

    def _cases(self, a: Times, b: Times, at: tuple[list[int], list[int]]) -> list[tuple[_ByRepeat, _ByRepeat]]:
        return [({i: a[case][i] for i in at[0]}, {i: b[case][i] for i in at[1]}) for case in a]

    def _verdicts(self, cases: list[tuple[_ByRepeat, _ByRepeat]]) -> list[str]:
        return [found.verdict for found in verdicts.judge(cases, self.paired, self.threshold, self.rate)]


_FALSE = {"faster", "slower"}


def _tally(found: list[str], *words: str) -> Tally:
    return Tally(sum(word in words for word in found), len(found))


def _kind_as_dict(kind: Kind | None) -> dict[str, Any] | None:
    if kind is None:
        return None
    planted = [{"slowdown": share, **asdict(tally)} for share, tally in sorted(kind.planted.items())]
    return {
        "false": asdict(kind.false),
        "disjoint": asdict(kind.disjoint),
        "planted": planted,
        "scatter": kind.scatter,
    }


def _kind(block: Block) -> Kind:
    planted = {_share(item, "slowdown"): _read_tally(item) for item in block.blocks("planted")}
    scatter = block.number("scatter")
    if not 0 <= scatter <= MAX_SCATTER:
        block.refuse("scatter", scatter, f"a number from 0 to {MAX_SCATTER:g}")
    return Kind(_read_tally(block.block("false")), _read_tally(block.block("disjoint")), planted, scatter)


def _read_tally(block: Block) -> Tally:
    cases = block.integer("cases", 0)
    hits = block.integer("hits", 0)
    if hits > cases:
        block.refuse("hits", hits, f"at most the cases, {cases}")
    return Tally(hits, cases)


def _share(block: Block, key: str) -> float:
    share: float = block.number(key)
    if not 0 < share < 1:
        block.refuse(key, share, "a share between 0 and 1")
    return share
