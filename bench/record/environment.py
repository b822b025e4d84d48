"""The environment of a process: the machine and the software that move its numbers. Other systems show less of it."""

from msgspec import field

from mlpbench.bench.record.fields import Block, Bytes, Fact, Index, Number, Text, Whole

#: What stays the same on one machine while nobody changes it, by blocks of `Environment`.
_STAYS = {
    "machine": ("name", "cpu_model", "arch", "cores", "logical_cpus", "affinity"),
    "gpu": ("available", "name", "driver", "memory", "uuid"),
    "git": ("commit", "dirty"),
}


class Machine(Block, frozen=True, kw_only=True):
    """The processors and their caches in bytes. ``name``: the folder of its results; ``host``: a digest of its id.

    ``affinity``: the processors that the process may use; ``load``: averages over 1, 5 and 15 minutes.
    """

    name: Text | None = None
    host: Text | None = None
    cpu_model: Text | None = None
    arch: Text | None = None
    cores: Index | None = None
    logical_cpus: Index | None = None
    affinity: tuple[Index, ...] | None = None
    caches: dict[Text, Bytes] = field(default_factory=dict)
    governor: Text | None = None
    load: tuple[Number, ...] | None = None


class Gpu(Block, frozen=True, omit_defaults=True):
    """The GPU that a kernel computes on, or the first of ``cards``, as NVML sees it; ``uuid`` as CUDA does."""

    available: bool
    reason: Text | None = None
    name: Text | None = None
    driver: Text | None = None
    memory: Text | None = None
    uuid: Text | None = None
    power_limit: Text | None = None
    cards: Index | None = None


class Commit(Block, frozen=True):
    """The commit of the checkout, and whether it had changes; None outside a checkout."""

    commit: Text | None = None
    dirty: bool | None = None


class SourceFile(Commit, frozen=True, kw_only=True):
    """The file that a kernel was read from, with its repository's commit; ``dirty``: whether it differs from that."""

    name: Text
    sha256: Text


class Environment(Block, frozen=True, kw_only=True):
    """Everything that is known. ``threads``: those that libraries were given; ``blas``: in threadpoolctl's words."""

    machine: Machine = Machine()
    os: dict[Text, Text] = field(default_factory=dict)
    python: dict[Text, Text] = field(default_factory=dict)
    libraries: dict[Text, Text] = field(default_factory=dict)
    blas: tuple[dict[Text, Fact], ...] = ()
    threads: Whole | None = None
    gpu: Gpu = Gpu(available=False)
    git: Commit = Commit()
    variables: dict[Text, Text] | None = None

    @property
    def facts(self) -> dict[str, object]:
        """What stays the same on one machine: ``machine cores``, and the versions of libraries by their names."""
        blocks = {block: {name: getattr(getattr(self, block), name) for name in _STAYS[block]} for block in _STAYS}
        blocks |= {"os": self.os, "python": self.python}
        facts = {f"{block} {name}": value for block, values in blocks.items() for name, value in values.items()}
        return facts | self.libraries
