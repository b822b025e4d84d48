"""The rate at which this processor can multiply and add: the roof of every dense forward pass."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
from numba import types

from mlpbench.kernels.numba_jit.cache import compile_once
from mlpbench.kernels.numba_simd.codegen.numba_calls import as_intrinsic, data, generated
from mlpbench.kernels.numba_simd.codegen.shape import host_shape
from mlpbench.kernels.numba_simd.codegen.vector import I64, Code

#: Sums that are under way at once: more than a multiply-add takes cycles times how many start in each.
_SUMS = 12


def _multiply_adds(code: Code, arguments: Any) -> None:
    memory, turns = arguments
    factor = code.load(memory)

    def turn(_k: Any, values: list[Any]) -> list[Any]:
        return [code.vector(value).times_plus(factor, factor).value for value in values]

    starts = [code.load(code.address(memory, i)).value for i in range(_SUMS)]
    for value in code.loop(I64(0), turns, 1, starts, turn):
        code.store(memory, code.load(memory) + code.vector(value))


@as_intrinsic
def multiply_adds(_context: Any, memory: Any, turns: Any) -> Any:
    """Do nothing but multiply and add in registers, `_SUMS` vectors in every turn."""
    return generated("multiply_adds", _multiply_adds, memory, turns)


def _run(memory: Any, turns: int) -> None:
    multiply_adds(data(memory), turns)


@cache
def compiled_peak(dtype: str) -> Any:
    """Return f(memory, turns), compiled: nothing but multiply-adds; ``memory`` holds 64 zeros."""
    item = numba.from_dtype(np.dtype(dtype))
    return compile_once(_run, types.void(item[::1], types.int64), error_model="numpy", nogil=True)


def flop_per_turn(dtype: str) -> int:
    """Return how many floating-point operations a turn of `compiled_peak` does."""
    return _SUMS * host_shape(np.dtype(dtype).itemsize).lanes * 2
