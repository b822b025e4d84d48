"""A record: pytest-benchmark's file of one process, with the block "mlpbench" in it."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import field
from msgspec.structs import asdict
from numpy.typing import NDArray

from mlpbench.bench.record import untrusted
from mlpbench.bench.record.device import Anatomy, DeviceTimes
from mlpbench.bench.record.environment import Environment, SourceFile
from mlpbench.bench.record.fields import (
    Amount,
    Block,
    Duration,
    Fact,
    Head,
    Index,
    Mode,
    Name,
    Nanoseconds,
    Network,
    Rounds,
    Seconds,
    Share,
    Text,
    Whole,
)
from mlpbench.bench.record.plan import Plan, Ran
from mlpbench.bench.record.trust import NOTHING, Trust
from mlpbench.kernels.base import Facts
from mlpbench.kernels.spec import ForwardSpec

#: The parts of the book's cell: data are read, weights are read and the network made, images inferred, hits counted.
PARTS = ("load", "initialise", "infer", "count")
#: What they leave of a round: freeing what was read, and reading the clock.
REST = "rest"
#: The phase of a failure whose process went beyond one of its limits.
STOPPED = "stopped"


class ExtraInfo(Block, frozen=True, kw_only=True):
    """What a case is, and what was measured of it beside its rounds: ``extra_info`` of pytest-benchmark's benchmark.

    ``rows_per_call``: rows that one iteration processed, what a time is divided by. ``rotated_rows``: rows that the
    calls rotate through, None of the book's cell. ``repeated_rows``: whether the data set is shorter than the sweep.
    ``reads``: what is loaded inside the time, in words. ``looks_ns``: of each block of rounds, how long the look before
    its first round took, and the one after each, on the slowest of ``look_processors``; in older files each round is a
    block; empty where pytest was started by hand. ``waits_ns``: how long the threads that work on the case waited for a
    processor in each round, summed. ``parts_s``: of the book's cell, the seconds of each of `PARTS` for one call, one
    number for each round. ``single_calls``: nanoseconds to three digits, and how many calls took as long, each with a
    reading of the clock (``clock_ns``) in it. ``joules``: what a sample cost of the processors' packages, or the card.
    """

    mode: Mode
    batch_size: Whole
    rows_per_call: Whole = field(name="rows_per_round_call")
    rotated_rows: Whole | None = None
    repeated_rows: bool = False
    reads: Text | None = None
    looks_ns: tuple[tuple[Nanoseconds, ...], ...] = ()
    look_processors: Whole | None = None
    waits_ns: tuple[Nanoseconds, ...] = ()
    first_call_s: Seconds | None = None
    from_host_s: Seconds | None = None
    to_host_s: Seconds | None = None
    parts_s: dict[Name, tuple[Duration, ...]] = field(default_factory=dict)
    single_calls: tuple[tuple[Nanoseconds, Whole], ...] = ()
    clock_ns: Nanoseconds | None = None
    joules: Amount | None = None
    no_joules: Text | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the block as JSON can hold it, without what was not measured."""
        return {name: value for name, value in super().as_dict().items() if value not in (None, (), {})}

    @property
    def includes_loading(self) -> bool:
        """Whether loading data and weights is inside the time."""
        return self.mode == "book"


class Timing(ExtraInfo, frozen=True, kw_only=True):
    """One case in one process. ``rounds_s``: seconds per iteration, one for each round; ``looks_ns`` two for each."""

    iterations: int
    rounds_s: tuple[float, ...]

    @property
    def part_rounds_s(self) -> dict[str, NDArray[np.float64]]:
        """Seconds per call of each of `PARTS`, and of `REST`, in every round; empty where they are not known."""
        if not self.parts_s:
            return {}
        parts = {name: np.array(self.parts_s[name]) for name in PARTS}
        return {**parts, REST: np.array(self.rounds_s) - sum(parts.values())}


class Stats(Block, frozen=True, kw_only=True):
    """Of the member ``stats``, what mlpbench reads: seconds for one iteration of each round."""

    data: Rounds
    iterations: Whole


class Benchmark(Block, frozen=True):
    """One case as pytest-benchmark writes it."""

    extra_info: ExtraInfo
    stats: Stats

    def __post_init__(self) -> None:
        info, rounds = self.extra_info, len(self.stats.data)
        if info.parts_s and (missing := [name for name in PARTS if name not in info.parts_s]):
            raise ValueError(f"extra_info.parts_s: {missing[0]} is missing")
        lists = {f"parts_s.{name}": values for name, values in info.parts_s.items()}
        for name, values in {**lists, "looks_ns": self._looks_ns, "waits_ns": info.waits_ns}.items():
            if len(values) != rounds and (values or name.startswith("parts_s")):
                raise ValueError(f"extra_info.{name}: expected one for each of {rounds} rounds, got {len(values)}")

    @property
    def timing(self) -> Timing:
        """The case, with its rounds."""
        known = {**asdict(self.extra_info), "looks_ns": self._looks_ns}
        return Timing(**known, iterations=self.stats.iterations, rounds_s=self.stats.data)

    @property
    def _looks_ns(self) -> tuple[tuple[int, int], ...]:
        return tuple(pair for block in self.extra_info.looks_ns for pair in pairwise(block))


class Failure(Block, frozen=True):
    """A case, or without one a whole kernel, that has no time, and why.

    ``phase``: gate, threads, construct, measure, record, process or stopped: the last three are of the whole process.
    ``check``: the one that took the time away (`bench.analysis.judge`), which no file holds.
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


class Accuracy(Block, frozen=True):
    """Share of right answers in each mode over ``rows`` rows; None with a reason where there are no labels."""

    per_sample: Share | None = None
    batched: Share | None = None
    rows: Index = 0
    reason: Text | None = None


class KernelInfo(Block, frozen=True, kw_only=True):
    """What a kernel is, and what the gate and its construction showed; None what it did not come to.

    ``describe``: what it says that it uses. ``file``: of a kernel in somebody's file. ``max_error``: the largest
    absolute error against the reference; ``max_error_ratio``: the largest as a share of what is allowed. ``import_s``:
    of probing the kernel, its library's import included; ``construct_s``: of making it.
    """

    backend: Text | None = None
    device: Text | None = None
    version: Text | None = None
    peer: bool | None = None
    describe: dict[Text, Fact] = field(default_factory=dict)
    file: SourceFile | None = None
    max_error: Amount | None = None
    max_error_ratio: Share | None = None
    accuracy: Accuracy = Accuracy()
    import_s: Seconds | None = None
    construct_s: Seconds | None = None

    @property
    def facts(self) -> Facts:
        """What it says that it uses, by names."""
        return Facts.of(**self.describe)


class RecordHead(Head, frozen=True, kw_only=True):
    """The block "mlpbench" of a record: one kernel in one repeat. ``plan`` is None for pytest by hand.

    ``thread_use``: threads of each pool and library, and of the kernel itself; the environment has those given.
    """

    kernel: Name
    repeat: Index
    environment: Environment = Environment()
    network: Network = field(name="spec")
    data: Data
    weights: Weights = Weights()
    kernel_info: KernelInfo = KernelInfo()
    thread_use: tuple[tuple[Text, Index], ...] | None = None
    anatomy: Anatomy | None = None
    device_times: DeviceTimes | None = None
    plan: Plan | None = None
    failures: tuple[Failure, ...] = ()
    trust: Trust = NOTHING
    ran: Ran | None = None


class RecordFile(Block, frozen=True, kw_only=True):
    """The content of a record: of what pytest-benchmark writes, what mlpbench reads."""

    benchmarks: tuple[Benchmark, ...] = ()
    mlpbench: RecordHead

    def __post_init__(self) -> None:
        cases = Counter(f"{case.extra_info.mode} {case.extra_info.batch_size}" for case in self.benchmarks)
        if twice := [case for case, count in cases.items() if count > 1]:
            raise ValueError(f"benchmarks: the case {twice[0]} is there twice")


class Record(RecordHead, frozen=True, kw_only=True):
    """One process as readers see it: the block of its file, with its cases."""

    path: Path
    cases: tuple[Timing, ...]

    @property
    def spec(self) -> ForwardSpec:
        """The network."""
        return self.network.spec

    @property
    def threads(self) -> int | None:
        """How many threads the libraries were given."""
        return self.environment.threads

    @property
    def threads_used(self) -> int | None:
        """How many threads the kernel says that it used; None if it does not."""
        return max(self.facts.threads or 0, 0) or None

    @property
    def machine(self) -> str:
        """The machine's name, from its processor."""
        return self.environment.machine.name or "unknown"

    @property
    def device(self) -> str | None:
        """Where the kernel computes."""
        return self.kernel_info.device

    @property
    def facts(self) -> Facts:
        """What the kernel says that it uses, by names."""
        return self.kernel_info.facts


def read(path: Path) -> Record:
    """Read one record. Raises UserError, one line that begins with the path, where it is not what it should be."""
    file = untrusted.read(path, RecordFile, "a record")
    return Record(**asdict(file.mlpbench), path=path, cases=tuple(benchmark.timing for benchmark in file.benchmarks))


def computed(spec: ForwardSpec, data: tuple[str, int, str, str], weights: tuple[str, str]) -> dict[str, Any]:
    """Return what `RecordHead` says of the facts of a workload (`bench.data.workload`)."""
    return {"network": Network(**spec.as_dict()), "data": Data(*data), "weights": Weights(*weights)}
