"""What a result file says, with its types: schema 1 of the "mlpbench" block beside pytest-benchmark's rounds.

Times are in seconds, those of a round for one iteration of ``rows_per_call`` samples. All is made from cleaned JSON
(`bench.record.untrusted`), and raises UserError, one line that begins with the file's path, where it is not what it should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpbench.bench.errors import UserError
from mlpbench.bench.machine.threads import ThreadUse, read_thread_use
from mlpbench.bench.record.book_parts import Parts, read_parts
from mlpbench.bench.record.plan import Plan, read_mode, read_plan
from mlpbench.bench.record.trust import Trust, read_trust
from mlpbench.bench.record.untrusted import Block, machine_name
from mlpbench.bench.trust.disturbance import reasons
from mlpbench.kernels.errors import SpecError
from mlpbench.kernels.spec import ForwardSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


#: The version of the block that this tool writes, and the newest that it reads.
SCHEMA = 1
#: What becomes of a result (`kernels.base.Kernel.returns`): an array of its own, or a buffer that the next call uses.
RETURNS = ("new", "kept")


@dataclass(frozen=True)
class Failure:
    """A case without a time, and why. ``mode`` and ``batch_size`` are None where the whole kernel failed.

    ``phase`` is one of gate, threads, construct, measure, process.
    """

    kernel: str
    mode: str | None
    batch_size: int | None
    phase: str
    reason: str


@dataclass(frozen=True)
class Data:
    """The data set: its ``rows`` in all and the hash of its content."""

    name: str
    rows: int
    sha256: str | None
    source: str | None


@dataclass(frozen=True)
class Weights:
    """Where the weights came from and the hash of their content."""

    source: str | None
    sha256: str | None


@dataclass(frozen=True)
class Accuracy:
    """Share of right answers over ``rows`` rows, in [0, 1]; None with a reason where there are no labels."""

    per_sample: float | None
    batched: float | None
    rows: int
    reason: str | None


@dataclass(frozen=True)
class Timing:
    """One case in one process. ``rounds_s``: seconds per iteration, one for each round, in the order measured."""

    kernel: str
    mode: str
    batch_size: int
    rows_per_call: int
    distinct_rows: int | None
    iterations: int
    rounds_s: tuple[float, ...]
    first_call_s: float | None
    from_host_s: float | None
    to_host_s: float | None
    repeated_rows: bool
    includes_loading: bool
    parts: Parts | None = None

    @property
    def call_s(self) -> float:
        """Median over rounds of the seconds per call."""
        return float(np.median(self.rounds_s))

    @property
    def sample_s(self) -> float:
        """Median over rounds of the seconds per sample."""
        return self.call_s / self.rows_per_call


@dataclass(frozen=True)
class Record:
    """One process: one kernel in one repeat. What could not be found out is None; ``plan`` is None for pytest by hand.

    ``describe`` is what the kernel says that it used, ``threads`` what the libraries were given, ``thread_use`` what
    they had; ``environment`` is the JSON of `bench.machine.environment.collect`. ``returns``: one of `RETURNS`; ``peer``:
    whether it is a peer of our kernels. Older files know none of these three.
    """

    path: Path
    schema: int
    kernel: str
    repeat: int
    environment: Mapping[str, Any]
    threads: int | None
    backend: str | None
    device: str | None
    version: str | None
    describe: Mapping[str, Any]
    returns: str | None
    peer: bool | None
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
    trust: Trust

    @property
    def disturbed(self) -> tuple[str, ...]:
        """Why this process was disturbed while it measured, by itself; empty if it was not or does not say."""
        return reasons(self.trust)

    @property
    def machine(self) -> str:
        """The machine's name, from its processor."""
        return machine_name(self.environment)


def block_of(data: Any, path: Path) -> Block:
    """Return the "mlpbench" block of a file. Raises UserError if there is none, or if it is of another schema."""
    content = Block(data, str(path))
    if "mlpbench" not in content:
        pytests = "a plain pytest-benchmark file" if "benchmarks" in content else "JSON, but no record"
        raise UserError(f'{path}: {pytests}: it has no "mlpbench" block; `mlpbench run` writes files with one')
    block = Block(content.data["mlpbench"], f"{path}: mlpbench")
    if (schema := block.integer("schema", 1)) > SCHEMA:
        raise UserError(f"{path}: written in schema {schema}; this version reads up to {SCHEMA}: upgrade mlpbench")
    return block


def read_record(data: Any, path: Path) -> Record:
    """Return the record in the JSON of a file."""
    block = block_of(data, path)
    if block.data.get("kind") in ("plan", "sweep"):
        raise UserError(f"{path}: the plan of a run, not a record; name its folder to read the run")
    kernel = block.name("kernel")
    try:
        spec = ForwardSpec.from_dict(block.block("spec").data)
    except SpecError as error:
        raise UserError(f"{path}: mlpbench: spec: {error}") from None
    info, conformance, timings = (block.block(key) for key in ("kernel_info", "conformance", "timings"))
    environment, accuracy, source, weights = map(block.block, ("environment", "accuracy", "data", "weights"))
    return Record(
        path=path,
        schema=block.integer("schema", 1),
        kernel=kernel,
        repeat=block.integer("repeat", 0),
        environment=environment.data,
        threads=environment.integer("threads", 1, None),
        backend=info.text("backend", None),
        device=info.text("device", None),
        version=info.text("version", None),
        describe=info.block("describe").data,
        returns=_returns(info),
        peer=info.flag("peer", None),
        spec=spec,
        data=Data(
            source.name("name"), source.integer("rows", 0), source.text("sha256", None), source.text("source", None)
        ),
        weights=Weights(weights.text("source", None), weights.text("sha256", None)),
        accuracy=_accuracy(accuracy),
        max_error=conformance.number("max_error", None),
        max_error_ratio=conformance.number("max_error_ratio", None),
        import_s=timings.seconds("import_s", None),
        construct_s=timings.seconds("construct_s", None),
        plan=read_plan(block.block("plan")) if "plan" in block else None,
        failures=tuple(_failure(item) for item in block.blocks("failures")),
        cases=_cases(Block(data, str(path)), kernel),
        thread_use=read_thread_use(block),
        trust=read_trust(block.block("trust")),
    )


def _returns(info: Block) -> str | None:
    said: str | None = info.text("returns", None)
    if said is not None and said not in RETURNS:
        info.refuse("returns", said, f"one of {', '.join(RETURNS)}")
    return said


def _accuracy(block: Block) -> Accuracy:
    shares = {key: block.number(key, None) for key in ("per_sample", "batched")}
    for key, share in shares.items():
        if share is not None and not 0 <= share <= 1:
            block.refuse(key, share, "a share between 0 and 1")
    return Accuracy(**shares, rows=block.integer("rows", 0, 0), reason=block.text("reason", None))


def _failure(block: Block) -> Failure:
    return Failure(
        kernel=block.name("kernel"),
        mode=read_mode(block, None),
        batch_size=block.integer("batch_size", 1, None),
        phase=block.name("phase", "measure"),
        reason=block.text("reason", "no reason given"),
    )


def _cases(content: Block, kernel: str) -> tuple[Timing, ...]:
    cases: dict[tuple[str, int], Timing] = {}
    for benchmark in content.blocks("benchmarks"):
        case = _timing(benchmark, kernel)
        if case.kernel != kernel:
            benchmark.refuse("kernel", case.kernel, f"the kernel of the file, {kernel}")
        if (case.mode, case.batch_size) in cases:
            raise UserError(f"{benchmark.where}: the case {case.mode} {case.batch_size} is there twice")
        cases[case.mode, case.batch_size] = case
    return tuple(cases.values())


def _timing(benchmark: Block, kernel: str) -> Timing:
    info, stats = benchmark.block("extra_info"), benchmark.block("stats")
    return Timing(
        kernel=info.name("kernel", kernel),
        mode=read_mode(info),
        batch_size=info.integer("batch_size", 1),
        rows_per_call=info.integer("rows_per_round_call", 1),
        distinct_rows=info.integer("distinct_rows", 1, None),
        iterations=stats.integer("iterations", 1),
        rounds_s=stats.timings("data"),
        first_call_s=info.seconds("first_call_s", None),
        from_host_s=info.seconds("from_host_s", None),
        to_host_s=info.seconds("to_host_s", None),
        repeated_rows=info.flag("repeated_rows", False),
        includes_loading=info.flag("includes_loading", False),
        parts=read_parts(info, len(stats.timings("data"))),
    )
