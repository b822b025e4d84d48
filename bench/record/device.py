"""What a device's own clock says of the cases, beside the host's rounds: the record's block ``device``."""

from msgspec import field

from mlpbench.bench.record.fields import Block, Duration, Index, Mode, Name, Number, Text, Whole

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
    def throttled(self) -> int:
        """How many samples were dropped because the card's clock was lowered."""
        return sum(spread.throttled for spread in self.times.values())

    @property
    def dropped(self) -> int:
        """How many samples were dropped."""
        return self.throttled + sum(spread.timed_out for spread in self.times.values())

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
