"""The file that `mlpbench share` writes: what a run found, small, and without a name of a host, a user or a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta
from msgspec.structs import replace

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import CPU
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine.environment import LIBRARIES
from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.device import ARITHMETIC
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.fields import Amount, Block, Duration, Fact, File, Head, Index, Mode, Name, Text, Whole
from mlpbench.bench.record.write import as_bytes
from mlpbench.kernels import registry
from mlpbench.kernels.spec import DType, ForwardSpec

#: Bytes of a file, at most.
MOST = 40_000
#: A time below this share of what arithmetic takes at the machine's measured peak is refused.
LEAST_SHARE = 0.9
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$|^$", description="SHA-256.")]


class SharedCase(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds per sample: median and 95 % interval, None of one repeat. ``unchecked``: no roof tells if it can be."""

    kernel: Name
    mode: Mode
    batch_size: Whole
    sample_s: Duration
    interval_s: tuple[Duration, Duration] | None = None
    repeats: Whole
    disturbed: Index = 0
    unchecked: bool = False

    def __post_init__(self) -> None:
        if self.interval_s and not self.interval_s[0] <= self.sample_s <= self.interval_s[1]:
            raise ValueError(f"interval_s: {self.kernel} {self.mode} {self.batch_size} lies outside of its interval")


class SharedHead(Head, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The block "mlpbench" of a shared file.

    ``roofs``: a name, threads, and the operations or bytes that the CPU was seen to do in a second.
    ``record_sha256``: of all files of the run; ``sha256``: of this one, where it stands empty.
    """

    kind: Literal["shared"] = "shared"
    run: Name
    machine: dict[Text, Fact]
    versions: dict[Text, Text]
    spec: Text
    dtype: DType
    threads: Whole
    profile: Name
    batch_sizes: tuple[Whole, ...]
    cases: tuple[SharedCase, ...]
    refusals: tuple[Text, ...] = ()
    roofs: tuple[tuple[Text, Whole, Amount], ...] = ()
    record_sha256: Sha256
    sha256: Sha256 = ""

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels that have a time."""
        return tuple(dict.fromkeys(case.kernel for case in self.cases))

    def digest(self) -> str:
        """Return the SHA-256 that the file must say of itself."""
        return hashlib.sha256(as_bytes(SharedFile(replace(self, sha256="")))).hexdigest()


#: The content of a shared file.
SharedFile = File[SharedHead]


def facts(environment: Environment) -> tuple[dict[str, Fact], dict[str, str]]:
    """Return what moves times: of the machine, and versions."""
    machine, gpu = environment.machine, environment.gpu
    of_machine: dict[str, Fact] = {name: getattr(machine, name) for name in ("name", "cpu_model", "arch", "cores")}
    of_machine |= {"logical_cpus": machine.logical_cpus, **machine.caches, "gpu": gpu.name}
    versions = {name: found for name, found in environment.libraries.items() if name in LIBRARIES}
    versions |= {"python": environment.python.get("version", ""), "system": environment.os.get("system", "")}
    versions |= {
        str(one.get("internal_api")): f"{one.get('version')} ({one.get('architecture')})" for one in environment.blas
    }
    return of_machine, versions | {"mlpbench": environment.git.commit or ""}


def make(run: Judged) -> SharedHead:
    """Return what is shared of a run. Raises UserError for one that nobody else could make again."""
    cases, plan = summarize([run]), run.plan
    if plan is None or not cases or not run.path.is_dir():
        raise UserError(f"{run.id}: nothing to share: `mlpbench run` makes a run with times")
    if own := sorted(set(run.kernels) - set(registry.names()) | set(run.kernels) & set(registry.third_party())):
        raise UserError(f"{run.id}: {', '.join(own)} is your own, and nobody else has it: share a run without it")
    computed = runs.read_head(run.path / runs.PLAN_FILE).computed
    if computed and (computed.options.get("data") or computed.options.get("model")):
        raise UserError(f"{run.id}: it has data or weights of your own: share a run with those that ship with mlpbench")
    record, (machine, versions) = run.records[0], facts(run.measured_in)
    files = sorted(run.path.glob("*.json"))
    digests = "".join(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in files)
    limits = [
        limit
        for device in (run.roofs.devices if run.roofs else ())
        if device.device == CPU
        for limit in device.measured
    ]
    head = SharedHead(
        run=run.id,
        machine=machine,
        versions=versions,
        spec=record.spec.text,
        dtype=record.spec.dtype,
        threads=record.threads or 1,
        profile=plan.profile or "quick",
        batch_sizes=tuple(dict.fromkeys(case.batch_size for case in plan.cases if case.mode != "per_sample")),
        cases=tuple(
            SharedCase(
                kernel=case.kernel,
                mode=case.mode,
                batch_size=case.batch_size,
                sample_s=case.sample.value,
                interval_s=(case.sample.low, case.sample.high) if case.sample.claims else None,
                repeats=case.sample.n,
                disturbed=case.disturbed,
                unchecked=case.unchecked or not limits,
            )
            for case in cases
        ),
        refusals=tuple(dict.fromkeys(f"{one.kernel}: {one.check or one.phase}" for one in run.failures)),
        roofs=tuple(
            (limit.name, limit.threads, limit.work / min(limit.data)) for limit in limits if limit.refused is None
        ),
        record_sha256=hashlib.sha256(digests.encode()).hexdigest(),
    )
    return replace(head, sha256=head.digest())


def read(path: Path) -> SharedHead:
    """Read a shared file. Raises UserError, one line, for what `share` cannot have written, and what cannot be true."""
    raw = untrusted.read_bytes(path, MOST)
    head = untrusted.decode(raw, path, SharedFile, "a shared file").mlpbench
    if head.sha256 != head.digest() or raw != as_bytes(SharedFile(head)):
        raise UserError(f"{path}: wrong digest: it is not as `mlpbench share` wrote it")
    try:
        least_flop = ForwardSpec.parse(head.spec, dtype=head.dtype).flop(1)
    except ValueError as error:
        raise UserError(f"{path}: spec: {error}") from None
    arithmetic = [per_s / threads for name, threads, per_s in head.roofs if name in ARITHMETIC]
    peak = max(arithmetic, default=0.0) * head.threads
    for case in head.cases:
        if case.unchecked:
            continue
        if not peak:
            raise UserError(f"{path}: {case.kernel} is said to be checked, and there is no roof to check it by")
        if case.sample_s < LEAST_SHARE * least_flop / peak:
            least = words.seconds(least_flop / peak)
            took = f"{case.kernel} {case.mode} {case.batch_size} takes {words.seconds(case.sample_s)} a sample"
            raise UserError(f"{path}: {took}, and arithmetic alone takes {least} at the machine's peak")
    return head
