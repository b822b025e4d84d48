"""Loops that all passes share: over the parts of a layer, which the plan lists, and over blocks of rows."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types

from mlpbench.kernels.numba_jit.cache import compile_once
from mlpbench.kernels.numba_simd.codegen.layers import activate, finish, moved, pointer
from mlpbench.kernels.numba_simd.passes.packing import (
    ACTIVATION,
    BIAS_AT,
    BLOCK_ROWS,
    BLOCK_SUM,
    COLUMN,
    COLUMNS,
    FIRST,
    HEADER,
    INPUTS,
    LANES,
    LAYER,
    LAYERS,
    LENGTH,
    LONGEST_SUM,
    OUTPUTS,
    PART,
    PARTS,
    PITCH,
    SCRATCH,
    SCRATCH_ITEMS,
    TILE_ROWS,
    WEIGHTS,
    WEIGHTS_AT,
    WIDTH,
)

OPTIONS: Any = {"fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}

_Function = TypeVar("_Function", bound=Callable[..., Any])


def jit(function: _Function) -> _Function:
    """Compile, for whatever types the function is called with."""
    jitted: _Function = numba.njit(inline="always", **OPTIONS)(function)
    return jitted


def called(function: Any) -> Any:
    """Return a function of `jit` as a function that is called. `jit` alone writes it into each of its callers."""
    return numba.njit(**OPTIONS)(function.py_func)


@jit
def require(fits: bool) -> None:
    """Raise ValueError where loops without bounds checks would leave an array."""
    if not fits:
        raise ValueError("the input does not have the shape that the network takes")


@jit
def summed(n: int, rows: int, tile: int) -> int:
    """Return how many of n inputs to add up at once: parts of nearly one length, in whole cache lines.

    One row has four sums for each result, and two rows have two at least (`tile`). So they may add up more inputs.
    """
    if rows > tile:
        longest = BLOCK_SUM
    else:
        longest = LONGEST_SUM * 4 if rows == 1 else LONGEST_SUM * 2 if rows == 2 else LONGEST_SUM
    parts = max((n + longest - 1) // longest, 1)
    return ((n + parts - 1) // parts + 15) // 16 * 16


def layer_loops(multiply: Any) -> tuple[Any, Any, Any]:
    """Return the functions `add_part`, `some_parts` and `layer_rows`, which multiply by an intrinsic for it."""

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
        cold: bool,
    ) -> None:
        """Compute a = start + z @ w for a part, over not too many inputs at once.

        ``cold``: no block before this one has asked for its rows.
        """
        step = summed(n, rows, plan[TILE_ROWS]) if width > 0 else n
        for k in range(0, n, step):
            w_k = moved(w, k * width * plan[LANES])
            multiply(moved(z, k), z_step, rows, min(step, n - k), w_k, start, start_step, a, a_step, width, cold)
            start, start_step = a, a_step

    @jit
    def some_parts(
        z: Any,
        z_step: int,
        rows: int,
        plan: Any,
        part: int,
        parts: int,
        weights: Any,
        bias: Any,
        a: Any,
        a_step: int,
        cold: bool,
    ) -> None:
        """Compute the sums of so many parts of a layer, from the one that stands in the plan at ``part``."""
        for _ in range(parts):
            column, first, n, width = plan[part + COLUMN], plan[part + FIRST], plan[part + LENGTH], plan[part + WIDTH]
            sums, w = moved(a, column), moved(weights, plan[part + WEIGHTS_AT])
            start, start_step = (sums, a_step) if first else (moved(bias, column), 0)
            add_part(moved(z, first), z_step, rows, n, w, start, start_step, sums, a_step, width, plan, cold)
            part += PART

    @jit
    def layer_rows(
        z: Any, z_step: int, rows: int, plan: Any, at: int, weights: Any, a: Any, a_step: int, cold: bool
    ) -> None:
        """Compute the sums of a layer, z @ W + b, into ``a``, part by part."""
        bias = moved(weights, plan[at + BIAS_AT])
        some_parts(z, z_step, rows, plan, at + LAYER, plan[at + PARTS], weights, bias, a, a_step, cold)

    return add_part, some_parts, layer_rows


def block_loop(first_layer: Any, layer_rows: Any) -> Any:
    """Return `forward_blocks`, which computes the first layer with ``first_layer``, the others with ``layer_rows``."""

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
                if layer == 0:
                    first_layer(z, z_step, n_rows, plan, at, weights, a, pitch, first == 0 and n_rows > plan[TILE_ROWS])
                else:
                    layer_rows(z, z_step, n_rows, plan, at, weights, a, pitch, False)
                activate(a, pitch, n_rows, plan[at + COLUMNS], plan[at + ACTIVATION])
                if layer == plan[LAYERS] - 1:
                    finish(a, pitch, n_rows, n_out, plan[at + ACTIVATION], moved(out, first * n_out))
                z, z_step = a, pitch
                at += LAYER + PART * plan[at + PARTS]

    return forward_blocks


def compiled_as(function: Any, dtype: str, variant: str) -> Any:
    """Compile one of the three variants of the pass; "single" takes one row, "parallel" uses Numba's threads."""
    x = types.Array(numba.from_dtype(np.dtype(dtype)), 1 if variant == "single" else 2, "C", readonly=True)
    options = {**OPTIONS, "parallel": True} if variant == "parallel" else OPTIONS
    return compile_once(function, types.void(x, types.int64), **options)
