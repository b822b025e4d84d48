"""The contract of a kernel, and what kernels ask of the process: a library, processors, threads.

A kernel is one class with one method to write: `Kernel.forward`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mlpbench.kernels.errors import KernelUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import ForwardSpec


#: What a result is: a new array, or a buffer that is kept and that the next call uses again.
Returns = Literal["new", "kept"]

#: What products are computed in: the specification's dtype, or as it is named. Sums are float32, those of "int8" whole
#: numbers. "3xtf32" makes a product of float32 from three of TF32, and is held to the bound of float32.
Arithmetic = Literal["dtype", "fp32", "3xtf32", "tf32", "fp16", "bf16", "int8"]


#: What a kernel may say of itself.
Fact = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a kernel uses. By the named facts results are judged and compared; ``others`` are recorded and shown.

    None stands for what is not known. ``arithmetic``, one of `Arithmetic` or fp64, names the peak to compare with;
    ``overrides`` are variables that change the arithmetic of libraries, "" where none is set; ``input_dtype`` is
    told where inputs are not of the specification's dtype; ``pool_bytes`` is the most memory that the kernel's pool
    took on its device; ``skips_work`` says that fewer operations are done than the formula has.
    """

    threads: int | None = None
    skips_work: bool | None = None
    arithmetic: str | None = None
    compute_type: str | None = None
    overrides: str | None = None
    input_dtype: str | None = None
    device_name: str | None = None
    device_uuid: str | None = None
    compute_mode: str | None = None
    pool_bytes: int | None = None
    others: Mapping[str, Fact] = field(default_factory=dict)

    @classmethod
    def of(cls, /, **told: Fact) -> Facts:
        """Return facts by their names. A value of another type than its name has is one of the others."""
        kinds = {"threads": int, "pool_bytes": int, "skips_work": bool}
        names = {one.name for one in fields(cls)} - {"others"}
        if told.get("overrides", "") is None:
            told = {**told, "overrides": ""}
        known = {name: value for name, value in told.items() if name in names and type(value) is kinds.get(name, str)}
        return cls(**known, others={name: value for name, value in told.items() if name not in known})  # type: ignore[arg-type]

    def also(self, /, **told: Fact) -> Facts:
        """Return these facts and others, which take the place of those of the same name."""
        return Facts.of(**{**self.as_dict(), **told})

    def as_dict(self) -> dict[str, Fact]:
        """Return what is known, as a record has it."""
        named = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "others"}
        known = {name: value for name, value in named.items() if value is not None}
        if self.overrides == "":
            known["overrides"] = None
        return {**known, **self.others}


class Kernel(ABC):
    """One implementation of a specification.

    What every kernel promises, and `kernels.conformance` checks:

    * ``x`` is C-contiguous, of the specification's dtype, on the kernel's device, of at least one row, and is never
      written to;
    * the result has the specification's dtype, softmax normalises each row, and agrees with the float64 reference;
    * the result is valid until the next call on the same instance: buffers may be used again, and `returns` says so;
    * an instance belongs to one thread.

    A kernel never times itself. Its module imports without its library, which `probe` and the constructor import.
    """

    #: The library that the kernel is written with: "numpy", "numba", "cupy".
    backend: ClassVar[str]
    #: Where it computes: "cpu" or "cuda".
    device: ClassVar[str] = "cpu"
    #: Names, on the package index, of the library; the first one installed tells the version.
    distributions: ClassVar[tuple[str, ...]] = ()
    #: What each call returns. A new array costs time, so kernels are compared like for like where they return alike.
    returns: ClassVar[Returns] = "new"
    #: What products are computed in. All that is coarser than the dtype has a bound of its own in `kernels.reference`.
    arithmetic: ClassVar[Arithmetic] = "dtype"
    #: Whether `forward` on a CUDA device can be captured as a graph: it only gives its own kernels to `stream`, and
    #: neither waits nor allocates.
    capturable: ClassVar[bool] = False

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        """Keep ``params`` in the specification's dtype; subclasses move, pack and allocate here.

        Raises ParamsError where ``params`` are not those of ``spec``, KernelUnavailable as `supports` does.
        """
        self.supports(spec)
        params.require(spec)
        self.spec = spec
        self.params = params.astype(spec.dtype)

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable, with the library's or driver's own words, where the kernel cannot run."""

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable, with the reason, for a specification that the library cannot express.

        Asked before anything runs, and without the library. Most kernels compute any specification.
        """

    @classmethod
    def version(cls) -> str | None:
        """Return the version of the library, without importing it; None where it is not installed."""
        for name in cls.distributions:
            try:
                return metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return None

    @abstractmethod
    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample: (n_in,) to (n_out,)."""
        return self.forward(x[None])[0]

    def from_host(self, x: NDArray[Any]) -> Any:
        """Return a NumPy array as the kernel's own kind of array, on its device."""
        return x

    def overwrite(self, there: Any, x: NDArray[Any]) -> None:
        """Write a NumPy array over one that `from_host` gave, of the same shape. It is there after `synchronize`.

        Raises TypeError, ValueError or RuntimeError where that cannot be written to.
        """
        there[...] = self.from_host(x)

    def nearest(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the nearest inputs that `from_host` takes, as an array of the same shape and dtype.

        Most kernels take any. The gate computes made-up inputs so; data that a run was asked to time are never changed.
        """
        return x

    def to_host(self, y: Any) -> NDArray[Any]:
        """Return one of the kernel's arrays as a NumPy array."""
        array: NDArray[Any] = y
        return array

    def synchronize(self, y: Any) -> None:
        """Return once ``y`` has been computed. A kernel that overrides this method is asynchronous, and waited for."""

    def stream(self) -> int | None:
        """Return the CUDA stream, as the number of its ``cudaStream_t``, that all calls of this instance run on.

        Device times are taken by events on it (`bench.wings.gpu.measurement`). None: the kernel has no device times.
        """
        return None

    def l2_bytes(self) -> int | None:
        """Return the bytes of the cache that all of its device shares; None of the CPU, or where it is not known."""
        return None

    def compiled_s(self) -> float | None:
        """Return the seconds that the library has compiled in this process; None where it does not compile or tell."""
        return None

    @classmethod
    def compiles(cls) -> bool:
        """Return whether the library compiles, which may take long the first time: a kernel that says how long does."""
        return cls.compiled_s is not Kernel.compiled_s

    def describe(self) -> Facts:
        """Return what the kernel uses: threads, device, compute type. It is recorded, and asked outside the clock."""
        return Facts()


def require(module: str, extra: str) -> Any:
    """Import a library and return it. ``extra`` is the extra of mlpbench that installs the library.

    Raises KernelUnavailable, with the words of the import that failed, where the library is missing or does not fit.
    """
    try:
        return import_module(module)
    except ImportError as error:
        how = f"pip install -e '.[{extra}]' brings it"
        raise KernelUnavailable(f"{module} cannot be imported: {error}; {how}") from error


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_given() -> int:
    """Return the threads that this process was given: ``OMP_NUM_THREADS``, or all `processors` where it is not set.

    `mlpbench run` sets ``OMP_NUM_THREADS`` for every process that it starts.
    """
    # OpenMP takes a list, one number for each level of nesting. The first number is that of the outermost level.
    outermost = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(outermost) if outermost.isdecimal() and int(outermost) > 0 else processors()
