"""The forward pass of networks that fit the second-level cache: blocks of rows go through the layers."""

from __future__ import annotations

from typing import Any

from mlpbench.kernels.numba_simd.codegen.layers import activate, fetch_first, fetch_items
from mlpbench.kernels.numba_simd.codegen.scalar import (
    Scalar,
    Variable,
    each,
    either,
    least,
    routine,
    scalars,
    turns,
    when,
    where,
)
from mlpbench.kernels.numba_simd.codegen.turned import finish_turned, multiply_turned, turn
from mlpbench.kernels.numba_simd.codegen.vector import Code
from mlpbench.kernels.numba_simd.passes.nonzero import nonzero_rows
from mlpbench.kernels.numba_simd.passes.packing import (
    ACTIVATION,
    BIAS_AT,
    HEADER,
    INDEX,
    INPUTS,
    LANES,
    LAYERS,
    OUTPUTS,
    SCRATCH,
    SCRATCH_ITEMS,
    TILE_ROWS,
    TURNED_AT,
    TURNED_COLUMNS,
    TURNED_INPUTS,
    TURNED_PITCH,
    TURNED_VECTORS,
    WEIGHTS,
)
from mlpbench.kernels.numba_simd.passes.parts import after, forward_blocks, layer_rows


def first_layer(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Scalar, at: Any, a: Scalar, a_step: Any,
                cold: Any, *, far: bool = False) -> None:  # fmt: skip
    """Compute the sums of the first layer, without the inputs that are zero where they are to be skipped."""
    with either(plan[INDEX] != 0) as (yes, no):
        with yes:
            nonzero_rows(code, z, z_step, rows, plan, a, a_step)
        with no:
            layer_rows(code, z, z_step, rows, plan, at, a, a_step, cold, far=far)


def forward_turned(code: Code, x: Scalar, vectors: Any, plan: Scalar, thread: Any, out: Scalar, cold: Any) -> None:
    """Compute the outputs of ``vectors`` vectors of rows, behind the first layer with rows in the lanes: see `turned`.

    The first layer is multiplied tile by tile, or a few inputs of all tiles at a time, so that the weights of these
    inputs stay in the first-level cache. With two tiles a few inputs at a time cost as much as they gain.
    """
    weights = plan[WEIGHTS].address_of(code.real)
    half, rows, n_in, pitch = plan[SCRATCH_ITEMS] // 2, vectors * plan[LANES], plan[INPUTS], plan[TURNED_PITCH]
    sums = plan[SCRATCH].address_of(code.real) + thread * 2 * half
    block = where((plan[INDEX] != 0) | (vectors == 1), plan[TILE_ROWS], rows)
    with each(code, 0, rows, block) as i:
        n_rows = least(block, rows - i)
        cold_i, z_i, a_i = cold & (n_rows > plan[TILE_ROWS]), x + i * n_in, sums + i * pitch
        first_layer(code, z_i, n_in, n_rows, plan, HEADER, a_i, pitch, cold_i)
    turn(code, sums, pitch, vectors, plan[HEADER + TURNED_COLUMNS], sums + half)
    at = Variable(code, HEADER)
    with each(code, 1, plan[LAYERS]) as layer:
        z, a = sums + (layer & 1) * half, sums + (layer - 1 & 1) * half
        activate(code, z, 0, 1, plan[at.now + TURNED_COLUMNS] * rows, plan[at.now + ACTIVATION])
        at.now = after(plan, at.now)
        w, bias = weights + plan[at.now + TURNED_AT], weights + plan[at.now + BIAS_AT]
        multiply_turned(code, w, plan[at.now + TURNED_INPUTS], plan[at.now + TURNED_COLUMNS], z, bias, a, vectors)
    a = sums + (plan[LAYERS] & 1) * half
    finish_turned(code, a, plan[OUTPUTS], vectors, plan[at.now + ACTIVATION], out)


def fetch_few(code: Code, x: Scalar, rows: Any, plan: Scalar) -> None:
    """Ask for the inputs of fewer rows than a tile has. The tile before a whole tile fetches its inputs."""
    with either(plan[INDEX] != 0) as (yes, no):
        with yes:
            fetch_items(code, x, rows * plan[INPUTS])
        with no, each(code, 0, rows) as row:
            fetch_first(code, x + row * plan[INPUTS], plan[INPUTS])


@routine
def forward_rows(code: Code, *arguments: Any) -> None:
    """Compute the outputs of some rows with the scratch memory of one thread."""
    x, rows, plan, thread, out = scalars(code.builder, arguments)
    with when(rows < plan[TILE_ROWS]):
        fetch_few(code, x, rows, plan)
    first = Variable(code, 0)
    turned = where(plan[TURNED_VECTORS] != 0, plan[LANES], rows + 1)  # so many rows are worth to be turned
    with turns(code, lambda: rows - first.now >= turned):
        begin, longest = first.now, plan[TURNED_VECTORS]
        left = (rows - begin) // plan[LANES]
        vectors = where(left > longest + 1, longest, where(left == longest + 1, (left + 1) // 2, left))
        x_rows, out_rows = x + begin * plan[INPUTS], out + begin * plan[OUTPUTS]
        forward_turned(code, x_rows, vectors, plan, thread, out_rows, begin == 0)
        first.now = begin + vectors * plan[LANES]
    x_rows, out_rows = x + first.now * plan[INPUTS], out + first.now * plan[OUTPUTS]
    forward_blocks(code, x_rows, rows - first.now, plan, thread, out_rows, first_layer)


def forward_row(code: Code, x: Scalar, plan: Scalar, out: Scalar) -> None:
    """Compute the outputs of one row."""
    fetch_few(code, x, 1, plan)
    forward_blocks(code, x, 1, plan, 0, out, first_layer)
