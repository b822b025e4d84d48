"""A CUDA device as CuPy shows it: the facts that move its numbers, and products in the dtype of their operands."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from mlpbench.kernels.cuda import card

#: cuBLAS computes products of float32 in float32. CuPy's default would follow the variable CUPY_TF32, and TF32 keeps
#: 10 bits of the mantissa: another computation, faster and outside of the gate's tolerance.
_COMPUTE_TYPES = {"float32": "COMPUTE_TYPE_FP32", "float64": "COMPUTE_TYPE_FP64"}


def dotted(version: int) -> str:
    """Return a CUDA version as people write it: 12090 is 12.9."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _products() -> Any:
    from cupy._core import _routines_linalg  # where CuPy keeps it; there is no public way

    return _routines_linalg


def multiply_in(dtype: str, *, tf32: bool = False) -> None:
    """Have all products of arrays of ``dtype`` in this process computed in ``dtype``, or those of float32 in TF32."""
    products = _products()
    name = "COMPUTE_TYPE_TF32" if tf32 else _COMPUTE_TYPES[dtype]
    products.set_compute_type(np.dtype(dtype), getattr(products, name))


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
