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
from kernels.numba_simd.layers import activate, data, fetch_items, finish, moved, multiply, pointer
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
    LANES,
    LAYER,
    LAYERS,
    LENGTH,
    LONGEST_SUM,
    OUT,
    OUT_ROWS,
    OUTPUTS,
    PART,
    PARTS,
    PITCH,
    SCRATCH,
    SCRATCH_ITEMS,
    THREADS,
    TILE_ROWS,
    TURNED_AT,
    TURNED_COLUMNS,
    TURNED_INPUTS,
    TURNED_PITCH,
    TURNED_VECTORS,
    WEIGHTS,
    WEIGHTS_AT,
    WIDTH,
)
from kernels.numba_simd.sparse import MOST_NONZERO, find_nonzero, multiply_nonzero
from kernels.numba_simd.turned import finish_turned, multiply_turned, turn

__all__ = ["compiled"]

OPTIONS: Any = {"fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}

_Function = TypeVar("_Function", bound=Callable[..., Any])


def jit(function: _Function) -> _Function:
    """Compile, for whatever types the function is called with."""
    jitted: _Function = numba.njit(inline="always", **OPTIONS)(function)
    return jitted


@jit
def summed(n: int, rows: int) -> int:
    """Return how many of n inputs to add up at once: parts of nearly one length, in whole cache lines.

    One row has four sums for each result, two rows have two at least (`tile`): they are so much longer in all.
    """
    longest = LONGEST_SUM * 4 if rows == 1 else LONGEST_SUM * 2 if rows == 2 else LONGEST_SUM
    parts = max((n + longest - 1) // longest, 1)
    return ((n + parts - 1) // parts + 15) // 16 * 16


def part_loops(multiply: Any) -> tuple[Any, Any]:
    """Return the functions `add_part` and `some_parts`, which multiply by one of the intrinsics for it."""

    @jit
    def add_part(
        z: Any,
        z_step: int,
        rows: int,
        n: int,
        w: Any,
        start: Any,
        start_step: int,
        a: Any,
        a_step: int,
        width: int,
        plan: Any,
    ) -> None:
        """Compute a = start + z @ w for a part, over not too many inputs at once."""
        step = summed(n, rows) if width > 0 else n
        for k in range(0, n, step):
            w_k = moved(w, k * width * plan[LANES])
            multiply(moved(z, k), z_step, rows, min(step, n - k), w_k, start, start_step, a, a_step, width)
            start, start_step = a, a_step

    @jit
    def some_parts(
        z: Any, z_step: int, rows: int, plan: Any, part: int, parts: int, weights: Any, bias: Any, a: Any, a_step: int
    ) -> None:
        """Compute the sums of so many parts of a layer, from the one that stands in the plan at ``part``."""
        for _ in range(parts):
            column, first, n, width = plan[part + COLUMN], plan[part + FIRST], plan[part + LENGTH], plan[part + WIDTH]
            sums, w = moved(a, column), moved(weights, plan[part + WEIGHTS_AT])
            start, start_step = (sums, a_step) if first else (moved(bias, column), 0)
            add_part(moved(z, first), z_step, rows, n, w, start, start_step, sums, a_step, width, plan)
            part += PART

    return add_part, some_parts


add_part, some_parts = part_loops(multiply)


@jit
def layer_rows(z: Any, z_step: int, rows: int, plan: Any, at: int, weights: Any, a: Any, a_step: int) -> None:
    """Compute the sums of a layer, z @ W + b, into ``a``, part by part."""
    bias = moved(weights, plan[at + BIAS_AT])
    some_parts(z, z_step, rows, plan, at + LAYER, plan[at + PARTS], weights, bias, a, a_step)


@jit
def add_listed(
    z: Any,
    z_step: int,
    rows: int,
    n: int,
    w: Any,
    start: Any,
    start_step: int,
    a: Any,
    a_step: int,
    width: int,
    index: Any,
) -> None:
    """Compute the same over the n inputs that ``index`` lists; of none, a = start."""
    step = max(summed(n, rows), 1)
    for i in range(0, max(n, 1), step):
        multiply_nonzero(z, z_step, rows, min(step, n - i), w, start, start_step, a, a_step, width, moved(index, i))
        start, start_step = a, a_step


@jit
def first_layer_rows(z: Any, z_step: int, rows: int, plan: Any, weights: Any, a: Any, a_step: int) -> None:
    """Compute the sums of the first layer as `layer_rows` does, without the inputs that are zero in a tile of rows."""
    i, tile = 0, plan[TILE_ROWS]
    while i < rows:
        while tile > rows - i:
            tile //= 2
        part, end = HEADER + LAYER, HEADER + LAYER + PART * plan[HEADER + PARTS]
        while part < end:
            part = sparse_parts(
                moved(z, i * z_step), z_step, tile, plan, part, end, weights, moved(a, i * a_step), a_step
            )
        i += tile


@jit
def sparse_parts(
    z: Any, z_step: int, rows: int, plan: Any, part: int, end: int, weights: Any, a: Any, a_step: int
) -> int:
    """Compute, for a tile of rows, the parts for which one index serves. Return the place of the next part."""
    index, bias = pointer(plan[INDEX], np.int32), moved(weights, plan[HEADER + BIAS_AT])
    first, n = plan[part + FIRST], plan[part + LENGTH]
    singles, after = part, part  # the first single columns are computed while zeros are looked for
    while after < end and plan[after + FIRST] == first and plan[after + LENGTH] == n:
        if plan[singles + WIDTH] > 0:
            singles = after
        after += PART
    z_first, columns = moved(z, first), max(-plan[singles + WIDTH], 0)
    sums, w = moved(a, plan[singles + COLUMN]), moved(weights, plan[singles + WEIGHTS_AT])
    start, start_step = (sums, a_step) if first else (moved(bias, plan[singles + COLUMN]), 0)
    count = find_nonzero(z_first, z_step, rows, n, index, w, start, start_step, sums, a_step, columns)
    for at in range(part, after, PART):
        width, column = plan[at + WIDTH], plan[at + COLUMN]
        sums, w = moved(a, column), moved(weights, plan[at + WEIGHTS_AT])
        start, start_step = (sums, a_step) if first else (moved(bias, column), 0)
        if width > 0 and (count < n * MOST_NONZERO or rows == plan[TILE_ROWS]):
            add_listed(z_first, z_step, rows, count, w, start, start_step, sums, a_step, width, index)
        elif width > 0 or at != singles:
            add_part(z_first, z_step, rows, n, w, start, start_step, sums, a_step, width, plan)
    return after


@jit
def forward_turned(x: Any, vectors: int, plan: Any, thread: int, out: Any) -> None:
    """Compute the outputs of so many vectors of rows; from the second layer on with rows in the lanes: see `turned`."""
    weights = pointer(plan[WEIGHTS], x)
    half, rows, n_in = plan[SCRATCH_ITEMS] // 2, vectors * plan[LANES], plan[INPUTS]
    a, pitch = moved(pointer(plan[SCRATCH], x), thread * 2 * half), plan[TURNED_PITCH]
    z = moved(a, half)
    for i in range(0, rows, plan[TILE_ROWS]):
        n_rows, z_i, a_i = min(plan[TILE_ROWS], rows - i), moved(x, i * n_in), moved(a, i * pitch)
        if plan[INDEX]:
            first_layer_rows(z_i, n_in, n_rows, plan, weights, a_i, pitch)
        else:
            layer_rows(z_i, n_in, n_rows, plan, HEADER, weights, a_i, pitch)
    turn(a, pitch, vectors, plan[HEADER + TURNED_COLUMNS], z)
    at = HEADER
    for _ in range(1, plan[LAYERS]):
        activate(z, 0, 1, plan[at + TURNED_COLUMNS] * rows, plan[at + ACTIVATION])
        at += LAYER + PART * plan[at + PARTS]
        w, bias = moved(weights, plan[at + TURNED_AT]), moved(weights, plan[at + BIAS_AT])
        a, z = z, a
        multiply_turned(w, plan[at + TURNED_INPUTS], plan[at + TURNED_COLUMNS], a, bias, z, vectors)
    finish_turned(z, plan[OUTPUTS], vectors, plan[at + ACTIVATION], out)


@jit
def forward_blocks(x: Any, rows: int, plan: Any, thread: int, out: Any) -> None:
    """Compute the outputs of some rows, layer by layer with columns in the lanes."""
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
def forward_rows(x: Any, rows: int, plan: Any, thread: int, out: Any) -> None:
    """Compute the outputs of some rows with the scratch memory of one thread."""
    first = 0
    if rows < plan[TILE_ROWS]:  # a whole tile has its inputs fetched by the one before
        fetch_items(x, rows * plan[INPUTS])
    while plan[TURNED_VECTORS] and rows - first >= plan[LANES]:
        most, left = plan[TURNED_VECTORS], (rows - first) // plan[LANES]
        vectors = most if left > most + 1 else (left + 1) // 2 if left == most + 1 else left
        forward_turned(moved(x, first * plan[INPUTS]), vectors, plan, thread, moved(out, first * plan[OUTPUTS]))
        first += vectors * plan[LANES]
    forward_blocks(moved(x, first * plan[INPUTS]), rows - first, plan, thread, moved(out, first * plan[OUTPUTS]))


@jit
def require(fits: bool) -> None:
    """Raise ValueError where loops without bounds checks would leave an array."""
    if not fits:
        raise ValueError("the input does not have the shape that the network takes")


def _serial(x: Any, network: int) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[1] == plan[INPUTS] and x.shape[0] <= plan[OUT_ROWS])
    forward_rows(data(x), x.shape[0], plan, 0, pointer(plan[OUT], data(x)))


def _single(x: Any, network: int) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[0] == plan[INPUTS])
    forward_rows(data(x), 1, plan, 0, pointer(plan[OUT], data(x)))


def _parallel(x: Any, network: int) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[1] == plan[INPUTS] and x.shape[0] <= plan[OUT_ROWS])
    threads, tile = plan[THREADS], plan[TILE_ROWS]
    rows = (x.shape[0] + threads * tile - 1) // (threads * tile) * tile
    for thread in numba.prange(threads):
        first = min(thread * rows, x.shape[0])
        out = pointer(plan[OUT], data(x))
        x_rows, out_rows = moved(data(x), first * plan[INPUTS]), moved(out, first * plan[OUTPUTS])
        forward_rows(x_rows, min(rows, x.shape[0] - first), plan, thread, out_rows)


def compiled_as(function: Any, dtype: str, variant: str) -> Any:
    """Compile one of the three variants of the pass; "single" takes one row, "parallel" uses Numba's threads."""
    x = types.Array(numba.from_dtype(np.dtype(dtype)), 1 if variant == "single" else 2, "C", readonly=True)
    options = {**OPTIONS, "parallel": True} if variant == "parallel" else OPTIONS
    return compile_once(function, types.void(x, types.int64), **options)


@cache
def compiled(dtype: str, variant: str) -> Any:
    """Return f(x, network) for "float32" or "float64" and any specification, compiled."""
    return compiled_as({"serial": _serial, "single": _single, "parallel": _parallel}[variant], dtype, variant)
