"""What is timed: cases, and the named grids of cases."""

from dataclasses import dataclass

from mlpbench.bench.cases import ALL_ROWS, CUDA
from mlpbench.kernels import registry

#: What a run measures that names no kernels, where it can run.
USUAL = ("numpy", "numba", "numba-parallel", "numba-simd", "cupy")


@dataclass(frozen=True)
class Profile:
    """A named sweep with its budget. Times in seconds; ``min_rounds`` and ``max_time_s`` are pytest-benchmark's."""

    name: str
    modes: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    repeats: int
    max_time_s: float
    min_rounds: int
    #: The kernels it is about; None for the usual ones.
    kernels: tuple[str, ...] | None = None
    #: Seconds in which repeats go on after the first ``repeats``; None for exactly so many.
    budget_s: float | None = None
    #: Where its kernels compute: of those that are usual, with NumPy beside them. None for anywhere.
    device: str | None = None
    #: Whether each kernel is also started without compiled code.
    cold: bool = False


_BOTH = ("per_sample", "batched")
_FINE = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, ALL_ROWS)
_WIDE = (1, 10, 100, 1000, ALL_ROWS, 100_000, 1_000_000)

PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", _BOTH, (1, 100), 1, 0.05, 3),
        # What the run does besides (starting, its reports) takes about 8 s more on two processors.
        Profile("quick", _BOTH, (1, 10, 100, 1000, ALL_ROWS), 5, 0.25, 10, budget_s=65),
        Profile("full", _BOTH, _FINE, 7, 0.5, 15, budget_s=1200, cold=True),
        # The book's own experiment, with and without loading.
        Profile("book", (*_BOTH, "book"), (1, 100), 5, 0.5, 3, kernels=("numpy",), budget_s=300),
        # Half an hour or more.
        Profile("gpu", _BOTH, _WIDE, 3, 0.3, 5, budget_s=1800, device=CUDA),
    )
}


def profile(name: str) -> Profile:
    """Return the profile of that name. Raises UserError that names the nearest."""
    return PROFILES[registry.one_of("profile", name, sorted(PROFILES))]
