"""Loops that do one thing as fast as this processor can, multiply and add or read: the roofs of every forward pass.

They use the widest vectors that the processor has, also where LLVM by itself prefers narrower ones: others do not.
Python calls them without the GIL.
"""

# mypy: disable-error-code="no-untyped-call"
import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir

from mlpbench.kernels.numba_simd.codegen.machine import Program
from mlpbench.kernels.numba_simd.codegen.scalar import I64, Scalar, each
from mlpbench.kernels.numba_simd.codegen.shape import host_shape
from mlpbench.kernels.numba_simd.codegen.vector import Code, routine

#: Sums that are under way at once: more than a multiply-add takes cycles times how many start in each.
_SUMS = 12
#: Vectors that are read in one turn of the loop, into sums that do not wait for each other.
_READS = 8
#: Arrays are read in blocks of this many bytes, whatever the width of a vector (64 bytes at most).
READ_BYTES = 64 * _READS


def multiply_adds(code: Code, memory: Scalar, _integers: Scalar, turns: Scalar, _times: Scalar, _none: Scalar) -> None:
    """Do nothing but multiply and add in registers, `_SUMS` vectors in every turn."""
    factor = code.load(memory)

    def turn(_k: Any, values: list[Any]) -> list[Any]:
        return [code.vector(value).times_plus(factor, factor).value for value in values]

    starts = [code.load(memory + i).value for i in range(_SUMS)]
    for value in code.loop(I64(0), turns, 1, starts, turn):
        code.store(memory, code.load(memory) + code.vector(value))


@routine
def _read_once(code: Code, memory: Any, sums: Any, items: Any) -> None:
    lanes, builder = code.shape.lanes, code.builder

    def bits(place: Any) -> Any:
        return builder.bitcast(code.load(place).value, code.integers)

    def turn(first: Any, totals: list[Any]) -> list[Any]:
        loaded = [bits(code.address(memory, first, i * lanes)) for i in range(_READS)]
        return [builder.xor(total, x) for total, x in zip(totals, loaded, strict=True)]

    starts = [ir.Constant(code.integers, [0] * lanes)] * _READS
    for i, total in enumerate(code.loop(I64(0), items, _READS * lanes, starts, turn)):
        place = code.address(sums, i * lanes)
        code.store(place, code.vector(builder.bitcast(builder.xor(bits(place), total), code.vector_type)))


def read_all(code: Code, memory: Scalar, sums: Scalar, items: Scalar, times: Scalar, _none: Scalar) -> None:
    """Change ``sums`` by the exclusive or of ``items`` reals, so many times: no read can be left out."""
    with each(code, 0, times):
        _read_once(code, memory, sums, items)


@cache
def _compiled(dtype: str, write: Any) -> Callable[..., None]:
    itemsize = np.dtype(dtype).itemsize
    program = Program({write.__name__: write}, host_shape(itemsize), itemsize * 8, kept_as=write)
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    called = ctypes.CFUNCTYPE(None, pointer, pointer, integer, integer, integer)(program.addresses[0])
    called.program = program  # type: ignore[attr-defined] # which holds the code
    return called


def compiled_peak(dtype: str) -> Callable[[Any, int], None]:
    """Return f(memory, turns), compiled: nothing but multiply-adds; ``memory`` holds 64 zeros."""
    add = _compiled(dtype, multiply_adds)
    return lambda memory, turns: add(memory.ctypes.data, None, turns, 0, 0)


def flop_per_turn(dtype: str) -> int:
    """Return how many floating-point operations a turn of `compiled_peak` does."""
    return _SUMS * host_shape(np.dtype(dtype).itemsize).lanes * 2


def read(array: Any, sums: Any, times: int) -> None:
    """Read an array of float64 ``times`` times into ``sums``, which depend on each item: none can be left out.

    The array is C-contiguous and of whole `READ_BYTES`, as large as ``sums``.
    """
    _compiled("float64", read_all)(array.ctypes.data, sums.ctypes.data, array.size, times, 0)
