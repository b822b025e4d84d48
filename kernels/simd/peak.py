"""The rate at which this processor can multiply and add: the roof of every dense forward pass."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import time
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from kernels.simd.cache import compile_once
from kernels.simd.layers import data, generated
from kernels.simd.vector import I64, Code

__all__ = ["peak"]

#: Sums that are under way at once: more than a multiply-add takes cycles times how many start in each.
_SUMS = 12


def _multiply_adds(code: Code, arguments: Any) -> None:
    memory, turns = arguments
    factor = code.load(memory)
    sums = [code.load(code.address(memory, i)) for i in range(_SUMS)]

    def turn(_k: Any, values: list[Any]) -> list[Any]:
        return [code.vector(value).times_plus(factor, factor).value for value in values]

    for total in code.loop(I64(0), turns, 1, [x.value for x in sums], turn):
        memory_sum = code.load(memory) + code.vector(total)
        code.store(memory, memory_sum)


@intrinsic
def multiply_adds(_context: Any, memory: Any, turns: Any) -> Any:
    """Do nothing but multiply and add in registers, `_SUMS` vectors in every turn."""
    return generated("multiply_adds", _multiply_adds, memory, turns)


def _run(memory: Any, turns: int) -> None:
    multiply_adds(data(memory), turns)


def peak(dtype: str = "float32", turns: int = 200_000) -> float:
    """Return floating-point operations per second of multiply-adds in registers alone, one thread, one timing."""
    from kernels.simd.shape import host_shape

    item = np.dtype(dtype)
    run = _compiled(dtype)
    memory = np.zeros(64, item)
    start = time.perf_counter()
    run(memory, turns)
    elapsed = time.perf_counter() - start
    return turns * _SUMS * host_shape(item.itemsize).lanes * 2 / elapsed


from functools import cache
import numba
@cache
def _compiled(dtype: str) -> Any:
    item = numba.from_dtype(np.dtype(dtype))
    return compile_once(_run, types.void(item[::1], types.int64), error_model="numpy")
