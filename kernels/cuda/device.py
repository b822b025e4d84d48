"""A CUDA device as CuPy shows it: the facts that move its numbers, and products in the dtype of their operands."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

#: cuBLAS computes products of float32 in float32. CuPy's default would follow the variable CUPY_TF32, and TF32 keeps
#: 10 bits of the mantissa: another computation, faster and outside of the gate's tolerance.
_COMPUTE_TYPES = {"float32": "COMPUTE_TYPE_FP32", "float64": "COMPUTE_TYPE_FP64"}


def dotted(version: int) -> str:
    """Return a CUDA version as people write it: 12090 is 12.9."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _products() -> Any:
    from cupy._core import _routines_linalg  # where CuPy keeps it; there is no public way

    return _routines_linalg


def multiply_in(dtype: str) -> None:
    """Have all products of arrays of ``dtype`` in this process computed in ``dtype``."""
    products = _products()
    products.set_compute_type(np.dtype(dtype), getattr(products, _COMPUTE_TYPES[dtype]))


def compute_type(dtype: str) -> str:
    """Return what products of arrays of ``dtype`` are computed in, as CuPy names it."""
    products = _products()
    named: str = products.compute_type_to_str(products.get_compute_type(np.dtype(dtype)))
    return named


def device_facts(dtype: str) -> dict[str, str | None]:
    """Return the current device, its driver and runtime, and what products of ``dtype`` are computed in."""
    import cupy

    runtime, device = cupy.cuda.runtime, cupy.cuda.Device()
    return {
        "device_name": runtime.getDeviceProperties(device.id)["name"].decode(),
        "compute_capability": device.compute_capability,
        "cuda_driver": dotted(runtime.driverGetVersion()),
        "cuda_runtime": dotted(runtime.runtimeGetVersion()),
        "compute_type": compute_type(dtype),
        "nvidia_tf32_override": os.environ.get("NVIDIA_TF32_OVERRIDE"),
    }
