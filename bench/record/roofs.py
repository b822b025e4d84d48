"""What is measured of the machine and of small networks beside the cases: ``roofs.json``, a record's ``anatomy``."""

from typing import Literal

from msgspec import field

from mlpbench.bench.cases import CPU
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.fields import (
    SCHEMA,
    Block,
    Mode,
    Name,
    Nanoseconds,
    Network,
    Rounds,
    Schema,
    Text,
    Whole,
)
from mlpbench.bench.record.trust import LookFacts, best_look, quiet_up_to

#: What a peak is measured with.
ARITHMETIC = ("matrix product", "multiply-add")
#: Of a device: launches that do nothing, behind each other and each with its wait.
LAUNCH, LAUNCH_AND_WAIT = "launch", "launch and wait"
#: Operations, or bytes, a thousand times what the fastest card does.
MOST_PER_SECOND = 1e18


class Measured(Block, frozen=True, kw_only=True):
    """``data``: seconds per call of each round. ``work``: operations done, or bytes moved, by one call.

    ``name``: what was done, or the level that was read; ``how``: of a device, in which of several ways.
    ``arithmetic``: of a device, what products were computed in (fp32, tf32, fp16, fp64); None in older files.

    ``looks_ns``: how long the look before each round took, and the one after it, on the slowest of ``look_processors``;
    empty where there are none. ``refused``: why it is no roof: the machine was busy.
    """

    name: Text
    threads: Whole = 1
    how: Text | None = None
    arithmetic: Name | None = None
    work: Whole
    data: Rounds
    looks_ns: tuple[tuple[Nanoseconds, Nanoseconds], ...] = ()
    look_processors: Whole | None = None
    refused: Text | None = None

    def __post_init__(self) -> None:
        if self.looks_ns and len(self.looks_ns) != len(self.data):
            raise ValueError(f"looks_ns: expected two for each of {len(self.data)} rounds, got {len(self.looks_ns)}")
        if (rate := self.work / min(self.data)) > MOST_PER_SECOND:
            raise ValueError(f"{rate:.0e} a second: nothing does so much; this is a damaged file")

    def quiet_s(self, look: LookFacts) -> tuple[float, ...]:
        """Return the rounds between two quiet looks, all of them where there are no looks."""
        if not self.looks_ns:
            return self.data
        own = best_look(one for pair in self.looks_ns for one in pair)
        limit = quiet_up_to(look.best_of(self.look_processors or 1) or own, own)
        return tuple(one for one, pair in zip(self.data, self.looks_ns, strict=True) if max(pair) <= limit)


class MeasuredRoofs(Block, frozen=True, kw_only=True):
    """What was measured of the CPU, or of a device. ``caches``: bytes by name. ``look``: the best looks then."""

    dtype: Text | None = None
    caches: dict[Text, Whole] = field(default_factory=dict)
    facts: dict[Text, Text | None] = field(default_factory=dict)
    measured: tuple[Measured, ...]
    environment: Environment = Environment()
    look: LookFacts = LookFacts()

    def __post_init__(self) -> None:
        if not self.measured:
            raise ValueError("nothing was measured; this is a damaged file")
        without = {one.threads for one in self.measured}
        without -= {one.threads for one in self.measured if one.name in ARITHMETIC}
        if without:
            raise ValueError(f"no arithmetic for {min(without)} threads; this is a damaged file")


class OfDevice(Block, frozen=True):
    """What was measured of another device than the CPU, or the reason why nothing was."""

    device: Name
    roofs: MeasuredRoofs | None = None
    reason: Text | None = None


class RoofsHead(Block, frozen=True, kw_only=True):
    """The block "mlpbench" of a file of roofs."""

    schema: Schema = SCHEMA
    kind: Literal["roofs"] = "roofs"
    roofs: MeasuredRoofs | None = None
    reason: Text | None = None
    devices: tuple[OfDevice, ...] = ()

    def __post_init__(self) -> None:
        names = [entry.device for entry in self.devices]
        if CPU in names or len(set(names)) < len(names):
            raise ValueError("devices: expected every device once, and the CPU elsewhere")

    def of(self, device: str) -> MeasuredRoofs | None:
        """Return what was measured of the CPU or of another device."""
        return self.roofs if device == CPU else next((e.roofs for e in self.devices if e.device == device), None)


class RoofsFile(Block, frozen=True):
    """The content of ``roofs.json``."""

    mlpbench: RoofsHead


class SmallCase(Block, frozen=True):
    """One case of a small network. ``data``: seconds per call of each round."""

    mode: Mode
    batch_size: Whole
    data: Rounds


class SmallNetwork(Block, frozen=True):
    """A small network, timed one row at a time and in a batch."""

    network: Network = field(name="spec")
    cases: tuple[SmallCase, ...]

    def __post_init__(self) -> None:
        if missing := [mode for mode in ("per_sample", "batched") if mode not in {case.mode for case in self.cases}]:
            raise ValueError(f"the case {missing[0]} is missing; this is a damaged record")

    def case(self, mode: str) -> SmallCase:
        """Return the case of a mode, per_sample or batched."""
        return next(case for case in self.cases if case.mode == mode)


class Anatomy(Block, frozen=True, kw_only=True):
    """What one process measured on small networks; None what was not, and ``reason`` says why."""

    reason: Text | None = None
    two_neurons: SmallNetwork | None = None
    in_l1: SmallNetwork | None = None
