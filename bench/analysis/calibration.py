"""What `mlpbench calibrate` found on a machine (`bench.stats.trials`): the file that keeps it, and what it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.untrusted import Block, load
from mlpbench.bench.stats import significance
from mlpbench.bench.stats.drift import ASSUMED, Drifts
from mlpbench.bench.stats.estimates import NO_DRIFT, Drift
from mlpbench.bench.stats.trials import FOUND, Kind, Tally

if TYPE_CHECKING:
    from pathlib import Path


FILE = "calibration.json"
KIND = "calibration"
SCHEMA = 1
_NESTED = ("paired", "unpaired", "seen", "drifts")
#: Above it a slowdown is not a share any more.
MAX_SCATTER = 1000.0


@dataclass(frozen=True)
class Calibration:
    """Of one machine. ``repeats`` on each side of a comparison; kinds that could not be measured are None.

    ``seen``: each planted slowdown -> the one that the times show, from all repeats: was it planted well?
    ``drifts``: how far the level of a whole run wanders, which comparisons of two runs reckon with.
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
    drifts: Drifts = ASSUMED

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the file."""
        block = {key: value for key, value in vars(self).items() if key not in _NESTED}
        block["seen"] = [{"slowdown": share, "seen": seen} for share, seen in sorted(self.seen.items())]
        drifts = {name: asdict(drift) for name, drift in vars(self.drifts).items() if drift}
        kinds = {name: _kind_as_dict(kind) for name, kind in (("paired", self.paired), ("unpaired", self.unpaired))}
        return {"mlpbench": {"schema": SCHEMA, "kind": KIND, **block, **kinds, "drifts": drifts}}

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
        if kind.false.rate > self.false_discovery_rate:
            said += f"; {kind.false.hits} of {kind.false.cases} equal cases were called different there"
            said += "" if paired else ": measure both sides in one run to be sure"
        if n == self.repeats or n < 2:
            return said
        drift = NO_DRIFT if paired else self.drifts.widest
        least = significance.detectable(kind.scatter, n, paired, self.threshold, self.false_discovery_rate, drift)
        size = f"about {100 * least:.2g} %" if least < 1 else "more than 100 %"
        return f"{said}; with the {n} repeats of this comparison: {size}, by the scatter measured then"


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
        drifts=_read_drifts(block.block("drifts")) if "drifts" in block else ASSUMED,
    )


def read(path: Path) -> Calibration:
    """Read a calibration. Raises UserError, one line that begins with the path, as `bench.record.runs.read`."""
    content = Block(load(path), str(path))
    block = content.block("mlpbench")
    if block.data.get("kind") != KIND:
        raise UserError(f"{path}: no calibration; `mlpbench calibrate` writes one")
    schema = block.integer("schema", 1)
    if schema > SCHEMA:
        raise UserError(f"{path}: written in schema {schema}; this version reads up to {SCHEMA}: upgrade mlpbench")
    return calibration_from(block)


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


def _read_drifts(block: Block) -> Drifts:
    found: dict[str, Drift | None] = {"one": None, "several": None}
    for name in found.keys() & block.data.keys():
        one = block.block(name)
        sd, degrees = one.number("sd"), one.number("degrees")
        if not 0 <= sd <= MAX_SCATTER:
            one.refuse("sd", sd, f"a number from 0 to {MAX_SCATTER:g}")
        if not degrees >= 1:
            one.refuse("degrees", degrees, "a number of at least 1")
        found[name] = Drift(sd, degrees)
    return Drifts(**found)


def _share(block: Block, key: str) -> float:
    share: float = block.number(key)
    if not 0 < share < 1:
        block.refuse(key, share, "a share between 0 and 1")
    return share
