"""What is timed: cases, and the named grids of cases."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlpbench.bench.cases import ALL_ROWS, CUDA, PER_SAMPLE_ROWS
from mlpbench.bench.errors import UserError
from mlpbench.kernels import registry
from mlpbench.kernels.registry import nearest

#: What a run measures that names no kernels, where it can run: what most readers know.
USUAL = ("numpy", "numba", "numba-parallel", "numba-simd", "cupy")
#: The networks of the profile `limits`: the book's, and one whose weights fill a cache.
BOOK, WIDE = "784-50-100-10", "784-1024-1024-10"


@dataclass(frozen=True)
class Profile:
    """A named sweep with its budget. Times in seconds; ``min_rounds`` and ``max_time_s`` are pytest-benchmark's."""

    name: str
    purpose: str
    modes: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    repeats: int
    max_time_s: float
    min_rounds: int
    #: The kernels it is about; None for those that are `usual`.
    kernels: tuple[str, ...] | None = None
    #: Seconds in which repeats go on after the first ``repeats``; None for exactly so many.
    budget_s: float | None = None
    #: Axes of the sweep (`bench.cases`) and the data set, where the command line says nothing; None for the usual.
    #: Of threads, ``all`` is as many as there are processors.
    threads: tuple[int | str, ...] | None = None
    dtypes: tuple[str, ...] | None = None
    specs: tuple[str, ...] | None = None
    #: Where it is found; else the usual.
    data: str | None = None
    #: Whether networks that the command line does not name are chosen from the caches (`bench.plan.networks`).
    specs_by_cache: bool = False
    per_sample_rows: int = PER_SAMPLE_ROWS
    #: Where its kernels compute: of those that are usual, with NumPy beside them. None for anywhere.
    device: str | None = None
    #: Whether it is also about the peers that are available.
    peers: bool = False
    #: Kernels that use one thread, whatever they are given: of several settings, those of one thread have them.
    one_thread: tuple[str, ...] = ()
    #: Networks that take so long that they have fewer repeats, and how many.
    fewer_repeats: Mapping[str, int] = field(default_factory=dict)
    #: Whether processes are bound to processors, as many as they have threads, however many settings there are.
    binds: bool = False
    #: Whether the machine's limits are measured in every repeat too, for shares of them (`bench.analysis.evidence`).
    limits_in_repeats: bool = False

    @property
    def usual(self) -> list[str]:
        """The kernels of a run that names none: those that most readers know, or of a device every one."""
        return list(USUAL) if self.device is None else registry.usual()


_BOTH = ("per_sample", "batched")

PROFILES = {
    p.name: p
    for p in (
        Profile("smoke", "does everything work? seconds", _BOTH, (1, 100), 1, 0.05, 3),
        # What the run does besides (starting, its reports) takes about 8 s more on two processors.
        Profile("quick", "the default: about a minute", _BOTH, (1, 10, 100, 1000, ALL_ROWS), 5, 0.25, 10, budget_s=65),
        Profile(
            "full",
            "a fine grid and more repeats",
            _BOTH,
            (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, ALL_ROWS),
            *(7, 0.5, 15),
            budget_s=1200,
        ),
        Profile(
            "book",
            "the book's own experiment, with and without loading",
            (*_BOTH, "book"),
            (1, 100),
            *(5, 0.5, 3),
            kernels=("numpy",),
            budget_s=300,
        ),
        Profile(
            "memory",
            "is it the bandwidth? networks with weights in L2, in L3 and beyond",
            _BOTH,
            # A thousand rows of the largest network take a second, and a case makes a dozen calls.
            (1, 10, 100),
            *(3, 0.15, 5),
            kernels=("numpy", "numpy-out", "numba", "numba-simd"),
            budget_s=300,
            # One core's bandwidth, and nobody to divide a row's product with.
            threads=(1,),
            specs_by_cache=True,
            per_sample_rows=10,
        ),
        Profile(
            "gpu",
            "kernels on a GPU beside NumPy, 1 to 1,000,000 rows; half an hour or more",
            _BOTH,
            (1, 10, 100, 1000, ALL_ROWS, 100_000, 1_000_000),
            *(3, 0.3, 5),
            budget_s=1800,
            device=CUDA,
        ),
        Profile(
            "limits",
            "beside peers and the machine's limits; 25 minutes",
            _BOTH,
            (1, 2, 8, 32, 100, 1000, ALL_ROWS),
            *(5, 0.1, 5),
            kernels=("numba-simd", "numba-simd-new", "numba-simd-parallel", "numba-simd-sparse"),
            budget_s=1400,
            threads=(1, "all"),
            specs=(BOOK, WIDE),
            data="mnist",
            peers=True,
            one_thread=("numba-simd", "numba-simd-new", "numba-simd-sparse"),
            fewer_repeats={WIDE: 3},
            binds=True,
            limits_in_repeats=True,
        ),
    )
}


def profile(name: str) -> Profile:
    """Return the profile of that name. Raises UserError that names the nearest."""
    if name not in PROFILES:
        there = sorted(PROFILES)
        raise UserError(f"unknown profile {name!r}{nearest(name, there)}; there are {', '.join(there)}")
    return PROFILES[name]
