"""What Numba compiles: functions that take an array apart, and threads that each call a function of `program`.

All else is in the program. Its functions are found by their addresses in the plan.
"""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from mlpbench.kernels.numba_jit.cache import compile_once
from mlpbench.kernels.numba_simd.codegen.machine import function_type
from mlpbench.kernels.numba_simd.codegen.scalar import I64, Scalar, scalars
from mlpbench.kernels.numba_simd.passes import packing
from mlpbench.kernels.numba_simd.passes.shares import DIVIDED, SHARE, SHARES_AT

_WRONG = "the input does not have the shape that the network takes"


def as_intrinsic(function: Callable[..., Any]) -> Any:
    """Make ``function``, which returns a signature and a generator, one that compiled code can call."""
    return intrinsic(function)


@as_intrinsic
def at(_context: Any, _address: Any, _place: Any) -> Any:
    """Return an item of integers at an address, such as that of the plan."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        integers, place = scalars(builder, values)
        return integers.address_of(I64)[place].value

    return types.int64(types.int64, types.int64), generate


@as_intrinsic
def call(_context: Any, _place: Any, x: Any, _item: Any, _plan: Any, _rows: Any, _layer: Any, _thread: Any) -> Any:
    """Call the function at a place of the plan with ``x`` from an item on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = signature.args[1]
        items = context.make_array(kind)(context, builder, values[1]).data
        place, _, item, plan, *numbers = scalars(builder, values)
        integers = plan.address_of(I64)
        function = integers[place].address_of(function_type(context.get_value_type(kind.dtype)))
        arguments = Scalar(builder, items) + item, integers, *numbers
        builder.call(function.value, [argument.value for argument in arguments])
        return context.get_dummy_value()

    integer = types.int64
    return types.void(integer, x, integer, integer, integer, integer, integer), generate


def _serial(x: Any, plan: int) -> None:
    if x.shape[1] != at(plan, packing.INPUTS) or x.shape[0] > at(plan, packing.OUT_ROWS):
        raise ValueError(_WRONG)
    call(packing.ALL_ROWS, x, 0, plan, x.shape[0], 0, 0)


def _single(x: Any, plan: int) -> None:
    if x.shape[0] != at(plan, packing.INPUTS):
        raise ValueError(_WRONG)
    call(packing.ONE_ROW, x, 0, plan, 1, 0, 0)


def _parallel(x: Any, plan: int) -> None:
    if x.shape[1] != at(plan, packing.INPUTS) or x.shape[0] > at(plan, packing.OUT_ROWS):
        raise ValueError(_WRONG)
    for thread in numba.prange(at(plan, packing.THREADS)):
        call(packing.SOME_ROWS, x, 0, plan, x.shape[0], 0, thread)


def _columns(x: Any, plan: int) -> None:
    if x.shape[1] != at(plan, packing.INPUTS) or x.shape[0] > at(plan, packing.OUT_ROWS):
        raise ValueError(_WRONG)
    block, threads = at(plan, packing.BLOCK_ROWS), at(plan, packing.THREADS)
    for first in range(0, x.shape[0], block):
        item, rows = first * x.shape[1], min(block, x.shape[0] - first)
        for layer in range(at(plan, packing.LAYERS)):
            if at(at(plan, packing.SHARES), layer * (SHARES_AT + threads * SHARE) + DIVIDED):
                for thread in numba.prange(threads):
                    call(packing.SOME_COLUMNS, x, item, plan, rows, layer, thread)
            else:
                call(packing.SOME_COLUMNS, x, item, plan, rows, layer, 0)
        call(packing.OUTPUTS_OF_BLOCK, x, 0, plan, rows, first, 0)


@cache
def compiled(dtype: str, variant: str) -> Any:
    """Return f(x, address of the plan), compiled: "serial", "single" (one row), "parallel" or "columns"."""
    function = {"serial": _serial, "single": _single, "parallel": _parallel, "columns": _columns}[variant]
    x = types.Array(numba.from_dtype(np.dtype(dtype)), 1 if variant == "single" else 2, "C", readonly=True)
    options = {"parallel": True} if variant in ("parallel", "columns") else {}
    return compile_once(function, types.void(x, types.int64), error_model="numpy", boundscheck=False, **options)
