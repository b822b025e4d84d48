"""The forward pass: blocks of rows go through the layers, each in parts that the plan lists."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types

from kernels.numba_cache import compile_once
from kernels.numba_simd.layers import activate, data, finish, moved, multiply, pointer
from kernels.numba_simd.packing import (  # fmt: skip
    ACTIVATION,
    BIAS_AT,
    BLOCK_ROWS,
    COLUMN,
    COLUMNS,
    FIRST,
    HEADER,
    INDEX,
    INPUTS,
    LAYER,
    LAYERS,
    LENGTH,
    OUTPUTS,
    PART,
    PARTS,
    PITCH,
    SCRATCH,
    SCRATCH_ITEMS,
    THREADS,
    TILE_ROWS,
    WEIGHTS,
    WEIGHTS_AT,
    WIDTH,
)
from kernels.numba_simd.sparse import GROUP_ROWS, find_nonzero, multiply_nonzero

__all__ = ["compiled"]

_OPTIONS: Any = {"fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}

_Function = TypeVar("_Function", bound=Callable[..., Any])


def jit(function: _Function) -> _Function:
    """Compile, for whatever types the function is called with."""
    jitted: _Function = numba.njit(inline="always", **_OPTIONS)(function)
    return jitted


@jit
def layer_rows(z: Any, z_step: int, rows: int, plan: Any, at: int, weights: Any, a: Any, a_step: int) -> None:
    """Compute the sums of a layer, z @ W + b, into ``a``, part by part."""
    bias = moved(weights, plan[at + BIAS_AT])
    part = at + LAYER
    for _ in range(plan[at + PARTS]):
        column, first = plan[part + COLUMN], plan[part + FIRST]
        sums = moved(a, column)
        start, start_step = (sums, a_step) if first else (moved(bias, column), 0)
        w = moved(weights, plan[part + WEIGHTS_AT])
        multiply(
            moved(z, first), z_step, rows, plan[part + LENGTH], w, start, start_step, sums, a_step, plan[part + WIDTH]
        )
        part += PART


@jit
def first_layer_rows(z: Any, z_step: int, rows: int, plan: Any, weights: Any, a: Any, a_step: int) -> None:
    """Compute the sums of the first layer as `layer_rows` does, without the inputs that are zero in a group of rows."""
    index = pointer(plan[INDEX], np.int32)
    bias = moved(weights, plan[HEADER + BIAS_AT])
    part, end = HEADER + LAYER, HEADER + LAYER + PART * plan[HEADER + PARTS]
    while part < end:
        first, n, after = plan[part + FIRST], plan[part + LENGTH], part + PART
        while after < end and plan[after + FIRST] == first and plan[after + LENGTH] == n:
            after += PART  # parts for which one index serves
        for i in range(0, rows, GROUP_ROWS):
            z_i, a_i, n_rows = moved(z, i * z_step + first), moved(a, i * a_step), min(GROUP_ROWS, rows - i)
            count = find_nonzero(z_i, z_step, n_rows, n, index) if plan[part + WIDTH] > 0 else 0
            for at in range(part, after, PART):
                width, column = plan[at + WIDTH], plan[at + COLUMN]
                sums, w = moved(a_i, column), moved(weights, plan[at + WEIGHTS_AT])
                start, start_step = (sums, a_step) if first else (moved(bias, column), 0)
                if width > 0:
                    multiply_nonzero(z_i, z_step, n_rows, count, w, start, start_step, sums, a_step, width, index)
                else:
                    multiply(z_i, z_step, n_rows, n, w, start, start_step, sums, a_step, width)
        part = after


@jit
def forward_rows(x: Any, rows: int, plan: Any, thread: int, out: Any) -> None:
    """Compute the outputs of some rows with the scratch memory of one thread."""
    weights = pointer(plan[WEIGHTS], x)
    scratch = moved(pointer(plan[SCRATCH], x), thread * plan[SCRATCH_ITEMS])
    n_in, n_out, pitch, block = plan[INPUTS], plan[OUTPUTS], plan[PITCH], plan[BLOCK_ROWS]
    for first in range(0, rows, block):
        n_rows = min(block, rows - first)
        z, z_step = moved(x, first * n_in), n_in
        at = HEADER
        for layer in range(plan[LAYERS]):
            a = moved(scratch, (layer & 1) * block * pitch)
            if layer == 0 and plan[INDEX]:
                first_layer_rows(z, z_step, n_rows, plan, weights, a, pitch)
            else:
                layer_rows(z, z_step, n_rows, plan, at, weights, a, pitch)
            activate(a, pitch, n_rows, plan[at + COLUMNS], plan[at + ACTIVATION])
            if layer == plan[LAYERS] - 1:
                finish(a, pitch, n_rows, n_out, plan[at + ACTIVATION], moved(out, first * n_out))
            z, z_step = a, pitch
            at += LAYER + PART * plan[at + PARTS]


@jit
def require(fits: bool) -> None:
    """Raise ValueError where loops without bounds checks would leave an array."""
    if not fits:
        raise ValueError("the input does not have the shape that the network takes")


def _serial(x: Any, network: int, out: Any) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[1] == plan[INPUTS] and x.shape[0] == out.shape[0] and out.shape[1] == plan[OUTPUTS])
    forward_rows(data(x), x.shape[0], plan, 0, data(out))


def _single(x: Any, network: int, out: Any) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[0] == plan[INPUTS] and out.shape[0] == plan[OUTPUTS])
    forward_rows(data(x), 1, plan, 0, data(out))


def _parallel(x: Any, network: int, out: Any) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[1] == plan[INPUTS] and x.shape[0] == out.shape[0] and out.shape[1] == plan[OUTPUTS])
    threads, tile = plan[THREADS], plan[TILE_ROWS]
    rows = (x.shape[0] + threads * tile - 1) // (threads * tile) * tile
    for thread in numba.prange(threads):
        first = min(thread * rows, x.shape[0])
        x_rows, out_rows = moved(data(x), first * plan[INPUTS]), moved(data(out), first * plan[OUTPUTS])
        forward_rows(x_rows, min(rows, x.shape[0] - first), plan, thread, out_rows)


@cache
def compiled(dtype: str, variant: str) -> Any:
    """Return f(x, network, out) for "float32" or "float64" and any specification, compiled."""
    item = numba.from_dtype(np.dtype(dtype))
    dimensions = 1 if variant == "single" else 2
    x = types.Array(item, dimensions, "C", readonly=True)
    out = types.Array(item, dimensions, "C")
    signature = types.void(x, types.int64, out)
    function = {"serial": _serial, "single": _single, "parallel": _parallel}[variant]
    options = {**_OPTIONS, "parallel": True} if variant == "parallel" else _OPTIONS
    return compile_once(function, signature, **options)
