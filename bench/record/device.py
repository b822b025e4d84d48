"""What is measured of devices: their times of the cases, the machine's limits (``roofs.json``), and small networks."""

from typing import Literal

from msgspec import field

from mlpbench.bench.cases import CPU
from mlpbench.bench.record.fields import (
    Block,
    Duration,
    File,
    Head,
    Index,
    Mode,
    Name,
    Nanoseconds,
    Network,
    Number,
    Rounds,
    Text,
    Whole,
)
from mlpbench.bench.record.trust import LookFacts, best_look, quiet_up_to

#: Everything that is measured of a case, in the order of columns, and what it is.
MEASURES = {
    "latency": "from the call until its result is there, by the host's clock",
    "enqueue": "until the call returns, by the host's clock",
    "cold": "on the device, its cache flushed before",
    "hot": "on the device, call behind call",
    "graph": "from the replay of a CUDA graph until its result is there, by the host's clock",
    "to_device": "inputs to the device, as the kernel moves them",
    "to_device_pinned": "the same from pinned memory",
    "to_device_uint8": "the same from pinned memory, a byte for each input",
    "to_host": "the result to the host, as the kernel moves it",
    "to_host_pinned": "the same into pinned memory",
    "to_host_uint8": "the same into pinned memory, a byte for each row: its class",
    "end_to_end": "inputs there, the call, its result back, in pinned memory, one batch behind the other",
    "overlapped": "the same of many batches, copies and calls side by side on three streams",
}
#: What is kept of the samples of a measurement: percentiles, from the least to the most.
QUANTILES = {"min": 0, "p5": 5, "p50": 50, "p95": 95, "p99": 99, "max": 100}


class Spread(Block, frozen=True, kw_only=True):
    """The samples of one measurement: seconds of one call, by the names of `QUANTILES`.

    Others were dropped: the device did not wait long enough for the host (``timed_out``), or its clock was lowered.
    """

    samples: Whole
    timed_out: Index = 0
    throttled: Index = 0
    seconds: dict[Name, Duration]

    def __post_init__(self) -> None:
        times = list(self.seconds.values())
        if list(self.seconds) != list(QUANTILES) or times != sorted(times):
            raise ValueError(f"seconds: expected times that ascend, {', '.join(QUANTILES)}")


class DeviceCase(Block, frozen=True, kw_only=True):
    """One case: ``times`` by the names of `MEASURES`; ``lost``: why others are not known."""

    mode: Mode
    batch_size: Whole
    times: dict[Name, Spread] = field(default_factory=dict)
    lost: dict[Name, Text] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of one call."""
        return 1 if self.mode == "per_sample" else self.batch_size

    @property
    def dropped(self) -> int:
        """How many samples were dropped."""
        return sum(spread.throttled + spread.timed_out for spread in self.times.values())

    @property
    def samples(self) -> int:
        """How many samples were kept."""
        return sum(one.samples for one in self.times.values())


class CardWatch(Block, frozen=True, kw_only=True):
    """What NVML saw of the card meanwhile: the lowest and the highest clock of its multiprocessors, and their most.

    ``slowed``: why the clock was lowered, as NVML calls it. ``others``: the most other processes that computed on it.
    """

    sm_mhz: tuple[Number, Number] | None = None
    most_mhz: Number | None = None
    slowed: tuple[Text, ...] = ()
    others: Index | None = None
    reason: Text | None = None


class DeviceTimes(Block, frozen=True, kw_only=True):
    """All of one process."""

    cases: tuple[DeviceCase, ...] = ()
    card: CardWatch = CardWatch()

    def of(self, mode: str, batch_size: int) -> DeviceCase | None:
        """Return what there is of a case."""
        return next((one for one in self.cases if (one.mode, one.batch_size) == (mode, batch_size)), None)


#: What a peak is measured with.
ARITHMETIC = ("matrix product", "multiply-add")
#: Of a device: a launch that does nothing, and the wait for it.
LAUNCH_AND_WAIT = "launch and wait"
#: Operations, or bytes, a thousand times what the fastest card does.
MOST_PER_SECOND = 1e18


class Measured(Block, frozen=True, kw_only=True):
    """``data``: seconds per call of each round. ``work``: operations done, or bytes moved, by one call.

    ``name``: what was done, or the level that was read. Of a device, ``how``: in which of several ways;
    ``arithmetic``: what products were computed in. ``looks_ns``: how long the look before each round took, and the one
    after it, on the slowest of ``look_processors``. ``refused``: why it is no roof: the machine was busy.
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
        return tuple(seconds for seconds, pair in zip(self.data, self.looks_ns, strict=True) if max(pair) <= limit)


class DeviceRoofs(Block, frozen=True, kw_only=True):
    """What was measured of the CPU, or of another device; ``reason``: why nothing was.

    ``caches``: bytes by name. ``facts``: what the device says of itself. ``look``: the best looks then.
    """

    device: Name = CPU
    reason: Text | None = None
    caches: dict[Text, Whole] = field(default_factory=dict)
    facts: dict[Text, Text | None] = field(default_factory=dict)
    measured: tuple[Measured, ...] = ()
    look: LookFacts = LookFacts()

    def __post_init__(self) -> None:
        if not self.measured and self.reason is None:
            raise ValueError("nothing was measured; this is a damaged file")
        without = {limit.threads for limit in self.measured}
        without -= {limit.threads for limit in self.measured if limit.name in ARITHMETIC}
        if without:
            raise ValueError(f"no arithmetic for {min(without)} threads; this is a damaged file")


class RoofsHead(Head, frozen=True, kw_only=True):
    """The block "mlpbench" of a file of roofs."""

    kind: Literal["roofs"] = "roofs"
    devices: tuple[DeviceRoofs, ...] = ()

    def __post_init__(self) -> None:
        if len(self.by_device) < len(self.devices):
            raise ValueError("devices: expected every device once")

    @property
    def by_device(self) -> dict[str, DeviceRoofs]:
        """The devices by the names that kernels call them."""
        return {entry.device: entry for entry in self.devices}


#: The content of ``roofs.json``.
RoofsFile = File[RoofsHead]


class SmallNetwork(Block, frozen=True, kw_only=True):
    """A small network. ``one_s``: seconds per row of each round, one row at a time; ``batch_s``: in a batch."""

    network: Network = field(name="spec")
    batch_size: Whole
    one_s: Rounds
    batch_s: Rounds


class Anatomy(Block, frozen=True, kw_only=True):
    """What one process measured on small networks; None what was not, and ``reason`` says why."""

    reason: Text | None = None
    two_neurons: SmallNetwork | None = None
    in_l1: SmallNetwork | None = None
