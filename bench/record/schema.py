"""A record: pytest-benchmark's file of one process, with the block "mlpbench" in it, and what readers take from it.

Times are in seconds, those of a round for one iteration of ``rows_per_call`` samples.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from msgspec import field
from msgspec.structs import asdict
from numpy.typing import NDArray

from mlpbench.bench.record import untrusted
from mlpbench.bench.record.device import DeviceTimes
from mlpbench.bench.record.environment import Environment, SourceFile
from mlpbench.bench.record.fields import (
    SCHEMA,
    Amount,
    Block,
    Duration,
    Hidden,
    Index,
    Mode,
    Name,
    Nanoseconds,
    Rounds,
    Schema,
    Seconds,
    Share,
    Text,
    Whole,
)
from mlpbench.bench.record.plan import Plan, Ran
from mlpbench.bench.record.roofs import Anatomy
from mlpbench.bench.record.trust import NOTHING, Trust
from mlpbench.kernels.base import Facts
from mlpbench.kernels.spec import DType, ForwardSpec, Output

#: The parts of the book's cell in its order: the data's files are read, the weights are read and the network made,
#: every image is inferred and its class picked, the hits are counted.
PARTS = ("load", "initialise", "infer", "count")
#: What they leave of a round: freeing what was read, and the looks at the clock.
REST = "rest"


class Parts(Block, frozen=True):
    """The parts of the book's cell: seconds for one call, one number for each round, in the order of the rounds."""

    load: tuple[Duration, ...]
    initialise: tuple[Duration, ...]
    infer: tuple[Duration, ...]
    count: tuple[Duration, ...]

    @property
    def seconds(self) -> dict[str, tuple[float, ...]]:
        """The parts by name."""
        return {name: getattr(self, name) for name in PARTS}


class Beside(Block, frozen=True, kw_only=True):
    """What was measured of a case beside its rounds: its first call, and moving a batch and its result."""

    first_call_s: Seconds | None = None
    from_host_s: Seconds | None = None
    to_host_s: Seconds | None = None
    parts: Parts | None = field(default=None, name="parts_s")

    def as_dict(self) -> dict[str, Any]:
        """Return the block as JSON can hold it, without what was not measured."""
        block = super().as_dict()
        return {name: value for name, value in block.items() if value not in (None, (), []) or name == "reads"}


class ExtraInfo(Beside, frozen=True, kw_only=True):
    """What a case is: the member ``extra_info`` of one of pytest-benchmark's benchmarks.

    ``rows_per_call``: rows that one iteration processed, what a time is divided by. ``distinct_rows``: how many of them
    are different rows of the data set; ``repeated_rows``: whether the data set is shorter than the sweep.
    ``rotated_rows``: rows that the calls rotate through; None in older files, and of the book's cell.
    ``includes_loading``: whether loading data and weights is inside the time; ``reads``: what is loaded then, in words.
    ``looks_ns``: how long the look just before each round took, and the one just after it, on the slowest of
    ``look_processors``; ``block_rounds``: how many rounds each block has, blocks of all cases take turns. They are
    empty where pytest was started by hand. ``waits_ns``: how long the threads that
    work on the case waited for a processor in each round, summed.
    """

    kernel: Name = ""
    mode: Mode
    batch_size: Whole
    rows_per_call: Whole = field(name="rows_per_round_call")
    distinct_rows: Whole | None = None
    rotated_rows: Whole | None = None
    repeated_rows: bool = False
    includes_loading: bool = False
    reads: Text | None = None
    looks_ns: tuple[tuple[Nanoseconds, Nanoseconds], ...] = ()
    look_processors: Whole | None = None
    block_rounds: tuple[Whole, ...] = ()
    waits_ns: tuple[Nanoseconds, ...] = ()


class Stats(Block, frozen=True, kw_only=True):
    """Of the member ``stats``, what mlpbench reads: seconds for one iteration of each round."""

    data: Rounds
    iterations: Whole


class Clock(Block, frozen=True):
    """Of the member ``options``, what mlpbench reads: the name of the clock."""

    timer: Text | None = None


class Benchmark(Block, frozen=True):
    """One case as pytest-benchmark writes it."""

    extra_info: ExtraInfo
    stats: Stats
    options: Clock = Clock()

    def __post_init__(self) -> None:
        parts = self.extra_info.parts
        for name, values in (parts.seconds if parts else {}).items():
            if len(values) != (rounds := len(self.stats.data)):
                raise ValueError(
                    f"extra_info.parts_s.{name}: expected one time for each of the {rounds} rounds, got {len(values)}"
                )
        rounds, looks, blocks = len(self.stats.data), len(self.extra_info.looks_ns), self.extra_info.block_rounds
        if looks and looks != rounds:
            raise ValueError(f"extra_info.looks_ns: expected two looks for each of the {rounds} rounds, got {looks}")
        if (waits := len(self.extra_info.waits_ns)) not in (0, rounds):
            raise ValueError(f"extra_info.waits_ns: expected one for each of the {rounds} rounds, got {waits}")
        if blocks and sum(blocks) != rounds:
            raise ValueError(f"extra_info.block_rounds: expected {rounds} rounds in all, got {sum(blocks)}")


class Timing(ExtraInfo, frozen=True, kw_only=True):
    """One case in one process. ``rounds_s``: seconds per iteration, one for each round, in the order measured.

    ``timer``: the clock that timed them, None where the file does not say.
    """

    iterations: int
    rounds_s: tuple[float, ...]
    timer: str | None = None

    @property
    def part_rounds_s(self) -> dict[str, NDArray[np.float64]]:
        """Seconds per call of each of `PARTS`, and of `REST`, in every round; empty where they are not known."""
        if self.parts is None:
            return {}
        parts = {name: np.array(seconds) for name, seconds in self.parts.seconds.items()}
        return {**parts, REST: np.array(self.rounds_s) - sum(parts.values())}


#: The phase of a failure whose process went beyond one of its limits.
STOPPED = "stopped"


class Failure(Block, frozen=True):
    """A case without a time, and why. ``mode`` and ``batch_size`` are None where the whole kernel failed.

    ``phase`` is one of gate, threads, construct, measure, record, process, stopped: the last three are of the whole
    process. ``check``: the one that took the time away (`bench.analysis.judge`), which no file holds.
    """

    kernel: Name
    mode: Mode | None = None
    batch_size: Whole | None = None
    phase: Name = "measure"
    reason: Text = "no reason given"
    check: Name | None = None

    @property
    def why(self) -> str:
        """The reason, and the check that gives it."""
        return self.reason if self.check is None else f"{self.check}: {self.reason}"


class Data(Block, frozen=True):
    """The data set: its ``rows`` in all, and the hash of images, then labels."""

    name: Name
    rows: Index
    sha256: Text | None = None
    source: Text | None = None


class Weights(Block, frozen=True):
    """Where the weights came from, and the hash of shapes, dtypes and values."""

    source: Text | None = None
    sha256: Text | None = None


class KernelInfo(Block, frozen=True, kw_only=True):
    """What a kernel is. ``describe``: what it says that it uses; ``peer``: whether it is a peer of our kernels.

    ``returns``: what becomes of a result, an array of its own ("new"), or a buffer that the next call uses ("kept").
    ``file``: of a kernel in somebody's file, which content it was, and the commit of the file's repository.
    """

    backend: Text | None = None
    device: Text | None = None
    version: Text | None = None
    returns: Literal["new", "kept"] | None = None
    peer: bool | None = None
    describe: dict[str, Any] = field(default_factory=dict)
    file: SourceFile | None = None

    @property
    def facts(self) -> Facts:
        """What it says that it uses, by names."""
        return Facts.of(**self.describe)


class Conformance(Block, frozen=True):
    """The largest absolute error against the reference, and the largest as a share of what is allowed."""

    max_error: Amount | None = None
    max_error_ratio: Share | None = None


class Accuracy(Block, frozen=True):
    """Share of right answers in each mode over ``rows`` rows; None with a reason where there are no labels."""

    per_sample: Share | None = None
    batched: Share | None = None
    rows: Index = 0
    reason: Text | None = None


class Timings(Block, frozen=True):
    """Seconds of probing the kernel, its library's import included, and of making it from its parameters."""

    import_s: Seconds | None = None
    construct_s: Seconds | None = None


class ThreadCount(Block, frozen=True):
    """How many threads a pool, a library or the kernel has."""

    what: Text
    threads: Index

    def __str__(self) -> str:
        return f"{self.what} {self.threads}"


class ThreadUse(Block, frozen=True):
    """Threads that were ``given``, and what each library has: in order, the kernel itself last."""

    given: Whole
    found: tuple[ThreadCount, ...] = ()

    @property
    def more(self) -> tuple[str, ...]:
        """Who uses more than was given, in words."""
        return tuple(str(count) for count in self.found if count.threads > self.given)


class Network(Block, frozen=True):
    """The specification of a record, whole: one that leaves something out is refused, and not read with defaults."""

    sizes: tuple[Whole, ...]
    hidden: Hidden
    output: Output
    dtype: DType

    def __post_init__(self) -> None:
        _ = self.spec

    @property
    def spec(self) -> ForwardSpec:
        """The specification. Raises SpecError where it makes no sense."""
        return ForwardSpec(self.sizes, self.hidden, self.output, self.dtype)


class RecordHead(Block, frozen=True, kw_only=True):
    """The block "mlpbench" of a record: one kernel in one repeat. None what the kernel did not come to."""

    schema: Schema = SCHEMA
    kernel: Name
    repeat: Index
    environment: Environment = Environment()
    spec: Network
    data: Data
    weights: Weights = Weights()
    kernel_info: KernelInfo | None = None
    conformance: Conformance | None = None
    accuracy: Accuracy | None = None
    timings: Timings | None = None
    thread_use: ThreadUse | None = None
    case_order: tuple[tuple[Mode, Whole], ...] = ()
    anatomy: Anatomy | None = None
    device_times: DeviceTimes | None = None
    plan: Plan | None = None
    failures: tuple[Failure, ...] = ()
    trust: Trust = NOTHING
    ran: Ran | None = None

    def __post_init__(self) -> None:
        untrusted.check_depth(self.kernel_info and self.kernel_info.describe)


class RecordFile(Block, frozen=True, kw_only=True):
    """The content of a record: of what pytest-benchmark writes, what mlpbench reads."""

    machine_info: dict[str, Any] = field(default_factory=dict)
    commit_info: dict[str, Any] = field(default_factory=dict)
    datetime: Text | None = None
    version: Text | None = None
    benchmarks: tuple[Benchmark, ...] = ()
    mlpbench: RecordHead

    def __post_init__(self) -> None:
        untrusted.check_depth([self.machine_info, self.commit_info])
        commit, named = self.mlpbench.environment.git.commit, self.commit_info.get("id")
        if None not in (commit, named) and commit != named:
            raise ValueError(f"commit_info.id: expected the commit of the environment, {commit}, got {named}")
        seen = set()
        for number, benchmark in enumerate(self.benchmarks):
            info, kernel = benchmark.extra_info, self.mlpbench.kernel
            if info.kernel not in ("", kernel):
                raise ValueError(
                    f"benchmarks[{number}].extra_info.kernel: expected the kernel of the file, {kernel}, "
                    f"got {info.kernel}"
                )
            if (info.mode, info.batch_size) in seen:
                raise ValueError(f"benchmarks[{number}]: the case {info.mode} {info.batch_size} is there twice")
            seen.add((info.mode, info.batch_size))


class Record(Block, frozen=True, kw_only=True):
    """One process as readers see it. What could not be found out is None; ``plan`` is None for pytest by hand.

    ``threads``: what the libraries were given, ``thread_use`` what they had. Older files do not know the latter, nor
    ``returns`` and ``peer``.
    """

    path: Path
    kernel: str
    repeat: int
    environment: Environment
    threads: int | None
    backend: str | None
    device: str | None
    version: str | None
    describe: dict[str, Any]
    returns: str | None
    peer: bool | None
    file: SourceFile | None
    spec: ForwardSpec
    data: Data
    weights: Weights
    accuracy: Accuracy
    max_error: float | None
    max_error_ratio: float | None
    import_s: float | None
    construct_s: float | None
    plan: Plan | None
    failures: tuple[Failure, ...]
    cases: tuple[Timing, ...]
    thread_use: ThreadUse | None
    anatomy: Anatomy | None
    trust: Trust
    ran: Ran | None
    device_times: DeviceTimes | None = None

    @property
    def facts(self) -> Facts:
        """What the kernel says that it uses, by names."""
        return Facts.of(**self.describe)

    @property
    def machine(self) -> str:
        """The machine's name, from its processor."""
        return self.environment.machine.name or "unknown"


def read(path: Path) -> Record:
    """Read one record. Raises UserError, one line that begins with the path, where it is not what it should be."""
    file = untrusted.read(path, RecordFile, "a record")
    head = file.mlpbench
    alike = set(RecordHead.__struct_fields__).intersection(Record.__struct_fields__) - {"spec", "accuracy"}
    return Record(
        path=path,
        **{name: getattr(head, name) for name in alike},
        threads=head.environment.threads,
        **asdict(head.kernel_info or KernelInfo()),
        spec=head.spec.spec,
        accuracy=head.accuracy or Accuracy(),
        **asdict(head.conformance or Conformance()),
        **asdict(head.timings or Timings()),
        cases=tuple(_timing(benchmark, head.kernel) for benchmark in file.benchmarks),
    )


def computed(spec: ForwardSpec, data: tuple[str, int, str, str], weights: tuple[str, str]) -> dict[str, Any]:
    """Return what `RecordHead` says of the facts of a workload (`bench.data.workload`)."""
    return {"spec": Network(**spec.as_dict()), "data": Data(*data), "weights": Weights(*weights)}


def _timing(benchmark: Benchmark, kernel: str) -> Timing:
    facts, stats = {**asdict(benchmark.extra_info), "kernel": kernel}, benchmark.stats
    return Timing(**facts, iterations=stats.iterations, rounds_s=stats.data, timer=benchmark.options.timer)
