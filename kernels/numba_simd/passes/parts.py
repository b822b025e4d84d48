"""Loops that all passes share: over the parts of a layer, which the plan lists, and over blocks of rows."""

from __future__ import annotations

from typing import Any

from mlpbench.kernels.numba_simd.codegen.layers import activate, finish, multiply
from mlpbench.kernels.numba_simd.codegen.scalar import Scalar, Variable, each, least, most, where
from mlpbench.kernels.numba_simd.codegen.vector import Code
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


def summed(n: Any, rows: Any, tile: Any) -> Any:
    """Return how many of n inputs to add up at once: parts of nearly one length, in whole cache lines.

    One row has four sums for each result, and two rows have two at least (`tile`). So they may add up more inputs.
    """
    few = where(rows == 1, LONGEST_SUM * 4, where(rows == 2, LONGEST_SUM * 2, LONGEST_SUM))
    longest = where(rows > tile, BLOCK_SUM, few)
    parts = most((n + longest - 1) // longest, 1)
    return ((n + parts - 1) // parts + 15) // 16 * 16


def after(plan: Scalar, at: Any) -> Any:
    """Return where the layer stands in the plan that follows the one at ``at``."""
    return at + LAYER + plan[at + PARTS] * PART


def start_of(first: Scalar, sums: Scalar, a_step: Any, bias: Scalar) -> tuple[Scalar, Scalar]:
    """Return what a part is added to, and its step: the sums over the inputs before ``first``, or the bias."""
    return where(first != 0, sums, bias), where(first != 0, a_step, 0)


def add_part(code: Code, z: Scalar, z_step: Any, rows: Any, n: Any, w: Scalar, start: Scalar, start_step: Any,
             a: Scalar, a_step: Any, width: Scalar, plan: Scalar, cold: Any, *, far: bool = False) -> None:  # fmt: skip
    """Compute a = start + z @ w for a part, over not too many inputs at once.

    ``cold``: no block before this one has asked for its rows.
    """
    step = where(width > 0, summed(n, rows, plan[TILE_ROWS]), n)
    with each(code, 0, n, step) as k:
        begins, w_k, n_k = k == 0, w + k * width * plan[LANES], least(step, n - k)
        before, before_step = where(begins, start, a), where(begins, start_step, a_step)
        multiply(code, z + k, z_step, rows, n_k, w_k, before, before_step, a, a_step, width, cold, far=far)


def some_parts(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Scalar, part: Any, parts: Scalar, bias: Scalar,
               a: Scalar, a_step: Any, cold: Any, *, far: bool = False) -> None:  # fmt: skip
    """Compute the sums of so many parts of a layer, from the one that stands in the plan at ``part``."""
    weights = plan[WEIGHTS].address_of(code.real)
    with each(code, part, part + parts * PART, PART) as at:
        column, first, n, width = plan[at + COLUMN], plan[at + FIRST], plan[at + LENGTH], plan[at + WIDTH]
        sums, w = a + column, weights + plan[at + WEIGHTS_AT]
        start, start_step = start_of(first, sums, a_step, bias + column)
        add_part(code, z + first, z_step, rows, n, w, start, start_step, sums, a_step, width, plan, cold, far=far)


def layer_rows(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Scalar, at: Any, a: Scalar, a_step: Any,
               cold: Any = 0, *, far: bool = False) -> None:  # fmt: skip
    """Compute the sums of a layer, z @ W + b, into ``a``, part by part."""
    bias = plan[WEIGHTS].address_of(code.real) + plan[at + BIAS_AT]
    some_parts(code, z, z_step, rows, plan, at + LAYER, plan[at + PARTS], bias, a, a_step, cold, far=far)


def forward_blocks(code: Code, x: Scalar, rows: Any, plan: Scalar, thread: Any, out: Scalar,
                   first_layer: Any = layer_rows, *, far: bool = False) -> None:  # fmt: skip
    """Compute the outputs of some rows, block by block and layer by layer, with columns in the lanes."""
    n_in, n_out, pitch, block = plan[INPUTS], plan[OUTPUTS], plan[PITCH], plan[BLOCK_ROWS]
    scratch = plan[SCRATCH].address_of(code.real) + thread * plan[SCRATCH_ITEMS]

    def activated(a: Scalar, n_rows: Any, at: Any) -> None:
        activate(code, a, pitch, n_rows, plan[at + COLUMNS], plan[at + ACTIVATION])

    with each(code, 0, rows, block) as first:
        n_rows, at = least(block, rows - first), Variable(code, HEADER)
        cold = (first == 0) & (n_rows > plan[TILE_ROWS])
        first_layer(code, x + first * n_in, n_in, n_rows, plan, HEADER, scratch, pitch, cold, far=far)
        activated(scratch, n_rows, HEADER)
        with each(code, 1, plan[LAYERS]) as layer:
            at.now = after(plan, at.now)
            z, a = (scratch + (number & 1) * block * pitch for number in (layer - 1, layer))
            layer_rows(code, z, pitch, n_rows, plan, at.now, a, pitch, far=far)
            activated(a, n_rows, at.now)
        a = scratch + (plan[LAYERS] - 1 & 1) * block * pitch
        finish(code, a, pitch, n_rows, n_out, plan[at.now + ACTIVATION], out + first * n_out)
