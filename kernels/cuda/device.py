"""A CUDA device as CuPy shows it: the facts that move its numbers, and what products are computed in."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mlpbench.kernels.cuda import card
from mlpbench.kernels.errors import KernelUnavailable

#: cuBLAS computes products of float32 in float32. CuPy's default would follow the variable CUPY_TF32, and TF32 keeps
#: 10 bits of the mantissa: another computation, faster and outside of the gate's tolerance.
_COMPUTE_TYPES = {"float32": "COMPUTE_TYPE_FP32", "float64": "COMPUTE_TYPE_FP64", "tf32": "COMPUTE_TYPE_TF32"}

#: Variables that make cuBLAS compute something else, the value that does, and which products it changes.
_OVERRIDES = (
    ("NVIDIA_TF32_OVERRIDE", "1", "float32", "in TF32"),
    ("NVIDIA_TF32_OVERRIDE", "0", "tf32", "in float32"),
    ("CUBLAS_EMULATE_SINGLE_PRECISION", "1", "float32", "from parts in bfloat16"),
    ("CUBLAS_EMULATE_DOUBLE_PRECISION", "1", "float64", "from parts in integers"),
)

#: Of an error, which may be a compiler's whole log, a reason has so many characters.
_MOST_WORDS = 400


def words(error: BaseException) -> str:
    """Return the message of an error on one line, cut where it is long, without the rulers that CuPy draws."""
    lines = (line.strip() for line in str(error).splitlines())
    text = " ".join(line for line in lines if line.strip("=-")) or type(error).__name__
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS].rstrip()} ..."


def dotted(version: int) -> str:
    """Return a CUDA version as people write it: 12090 is 12.9."""
    return f"{version // 1000}.{version % 1000 // 10}"


def require_own_products(computed_in: str) -> None:
    """Raise KernelUnavailable where a variable has cuBLAS compute products of ``computed_in`` in something else.

    ``computed_in`` is "float32", "float64" or "tf32".
    """
    for name, value, changed, how in _OVERRIDES:
        if changed == computed_in and os.environ.get(name) == value:
            raise KernelUnavailable(f"{name}={value} has cuBLAS compute products of {changed} {how}: unset it")


def _products() -> Any:
    import cupy

    try:
        from cupy._core import _routines_linalg as products  # where CuPy keeps it; there is no public way

        products.set_compute_type, products.get_compute_type, products.compute_type_to_str  # noqa: B018 - all there?
    except (ImportError, AttributeError) as error:
        how = "cannot be told what to compute products in, as CuPy 14 can"
        raise KernelUnavailable(f"CuPy {cupy.__version__} {how}: {words(error)}") from error
    return products


def multiply_in(computed_in: str) -> Callable[[], None]:
    """Return what has all products in this process computed in "float32", "float64" or "tf32", once it is called.

    It is a setting of the process for each dtype, and takes a tenth of a microsecond. Raises KernelUnavailable where
    CuPy has no such setting, or a variable overrides it.
    """
    require_own_products(computed_in)
    products = _products()
    dtype = np.dtype("float32" if computed_in == "tf32" else computed_in)
    return partial(products.set_compute_type, dtype, getattr(products, _COMPUTE_TYPES[computed_in]))


def compute_type(dtype: str) -> str:
    """Return what products of arrays of ``dtype`` are computed in, as CuPy names it."""
    products = _products()
    named: str = products.compute_type_to_str(products.get_compute_type(np.dtype(dtype)))
    return named


def arithmetic(dtype: str) -> str:
    """Return what products of arrays of ``dtype`` are computed in, as reports name it: fp32, tf32 or fp64."""
    return compute_type(dtype).removeprefix("COMPUTE_TYPE_").lower()


def device_facts(dtype: str) -> dict[str, str | int | bool | None]:
    """Return the current card, its driver and libraries, and what products of ``dtype`` are computed in.

    ``overrides``: variables that are set and make NVIDIA's libraries compute products otherwise than they were told.
    """
    import cupy

    runtime = cupy.cuda.runtime
    return {
        **card.identity(),
        "cuda_driver": dotted(runtime.driverGetVersion()),
        "cuda_runtime": dotted(runtime.runtimeGetVersion()),
        "cublas": card.cublas(),
        "nvrtc": card.nvrtc(),
        "compute_type": compute_type(dtype),
        "arithmetic": arithmetic(dtype),
        "overrides": card.overrides(),
        "nvidia_tf32_override": os.environ.get("NVIDIA_TF32_OVERRIDE"),
    }


def require_capability(least: int, what: str) -> None:
    """Raise KernelUnavailable where the current device is older than compute capability ``least``: 80 is 8.0."""
    import cupy

    has = int(cupy.cuda.Device().compute_capability)
    if has < least:
        raise KernelUnavailable(f"{what} need compute capability {least / 10}, this device has {has / 10}")


def properties() -> dict[str, Any]:
    """Return what CUDA says of the current device: ``multiProcessorCount``, ``sharedMemPerBlockOptin`` and others."""
    import cupy

    found: dict[str, Any] = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return found
