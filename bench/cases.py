"""What is timed: cases (a mode and a batch size), and the settings in which they are timed."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Annotated, Any, get_args

from msgspec import Meta

from mlpbench.kernels.registry import one_of
from mlpbench.kernels.spec import DType

#: Kernels, modes, runs, profiles, settings: they end up in file names and tables.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
Name = Annotated[str, Meta(pattern=NAME_PATTERN, description="Letters, digits, '.', '_' and '-'.")]

#: The devices that mlpbench measures the roofs of, as kernels call them.
CPU, CUDA = "cpu", "cuda"
#: In the order in which names of settings say them.
AXES = ("spec", "threads", "dtype", "env")
#: Network, threads, dtype and name of the environment.
Point = tuple[str, int, str, str | None]


@dataclass(frozen=True)
class Setting:
    """Sizes of the network as ``784-50-100-10``, threads of every library, dtype; ``varies`` are the axes that vary.

    ``env``: the name of the Python environment that is measured, None for the one of mlpbench itself.
    """

    spec: Name
    threads: Annotated[int, Meta(ge=1, le=2**53)]
    dtype: Annotated[str, Meta(pattern=f"^(?:{'|'.join(get_args(DType))})$")]
    varies: tuple[Annotated[str, Meta(pattern=f"^(?:{'|'.join(AXES)})$")], ...] = ()
    env: Name | None = None

    @property
    def point(self) -> Point:
        """What makes two settings alike, whatever else was swept beside them."""
        return self.spec, self.threads, self.dtype, self.env

    @property
    def label(self) -> str:
        """The name of its folder: ``threads-2_float64``. Made of the axes that vary; empty if none does."""
        spec = self.spec
        if (
            len(spec) > 45
        ):  # a very deep network: its ends, and a hash of all its sizes; a run's name has 100 characters
            first, *_, last = spec.split("-")
            spec = f"{first}-to-{last}-{hashlib.sha256(spec.encode()).hexdigest()[:8]}"
        parts = {"spec": spec, "threads": f"threads-{self.threads}", "dtype": self.dtype, "env": f"env-{self.env}"}
        return "_".join(parts[axis] for axis in AXES if axis in self.varies)

    @property
    def words(self) -> str:
        """The same for people, ``2 threads, float64``; of a setting that stands alone, all there is to say."""
        count = f"{self.threads:,} thread{'' if self.threads == 1 else 's'}"
        parts = {"spec": self.spec, "threads": count, "dtype": self.dtype, "env": self.env and f"env {self.env}"}
        return ", ".join(part for axis, part in parts.items() if part and axis in (self.varies or AXES))

    def name(self, kernel: str) -> str:
        """Return what the plan of the whole calls a kernel of this setting."""
        return f"{self.label}/{kernel}" if self.varies else kernel

    def as_dict(self) -> dict[str, Any]:
        """Return the setting as JSON can hold it."""
        return {**asdict(self), "varies": list(self.varies), "label": self.label}


def make_settings(
    specs: Iterable[str], threads: Iterable[int], dtypes: Iterable[str], envs: Iterable[str | None] = (None,)
) -> list[Setting]:
    """Return every combination, each once, networks outermost; each knows which axes have several values."""
    values: list[list[Any]] = [list(dict.fromkeys(axis)) for axis in (specs, threads, dtypes, envs)]
    varies = tuple(axis for axis, several in zip(AXES, values, strict=True) if len(several) > 1)
    return [Setting(spec, count, dtype, varies, env) for spec, count, dtype, env in product(*values)]


#: One row at a time from Python; one call for a batch; the book's whole cell, with loading and counting.
MODES = ("per_sample", "batched", "book")
#: What a benchmark of somebody else repeats: it has no rows.
ITERATION = "iteration"
#: Rows of a full sweep, as many as MNIST's test set has, and of a round of ``per_sample``, one call each.
ALL_ROWS, PER_SAMPLE_ROWS = 10_000, 100


@dataclass(frozen=True, order=True)
class Case:
    """A mode, and the rows of one call; of ``per_sample``, those of a round."""

    mode: str
    batch_size: int


def grid(modes: tuple[str, ...], batch_sizes: tuple[int, ...], per_sample_rows: int = PER_SAMPLE_ROWS) -> list[Case]:
    """Return the cases of a sweep, each once, in the order given; ``per_sample`` is one, whatever the batch sizes."""
    sizes = {mode: (per_sample_rows,) if mode == "per_sample" else batch_sizes for mode in modes}
    for mode in modes:
        one_of("mode", mode, MODES)
    return list(dict.fromkeys(Case(mode, size) for mode in modes for size in sizes[mode]))
