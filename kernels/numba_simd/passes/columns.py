"""Few rows of a network that exceeds the second-level cache: columns are divided among threads, and not rows.

Fewer rows than a tile for each thread cannot be divided well. In every call all weights come from beyond the cache, and
for one row reading them takes nearly all of the time. So each thread computes all rows for its own run of a layer's
columns, and reads the weights of these columns alone: together threads read faster than one does. A thread has the same
columns in every call, so that its own cache keeps a part of their weights for the next call. From a few tiles of rows
for each thread on, dividing rows is faster: activations then stay where they were computed.

The next layer takes all columns of a layer. So threads are started and joined for every layer that is divided, which
takes microseconds. One thread computes small layers; `shares` says which.
"""

from __future__ import annotations

from typing import Any

from mlpbench.kernels.numba_simd.codegen.layers import activate, fetch_items, finish
from mlpbench.kernels.numba_simd.codegen.scalar import Scalar, Variable, each, when, where
from mlpbench.kernels.numba_simd.codegen.vector import I64, Code
from mlpbench.kernels.numba_simd.passes.packing import (
    ACTIVATION,
    BIAS_AT,
    BLOCK_ROWS,
    COLUMNS,
    HEADER,
    INPUTS,
    LAYER,
    LAYERS,
    OUT,
    OUTPUTS,
    PARTS,
    PITCH,
    SCRATCH,
    SHARES,
    THREADS,
    TILE_ROWS,
    WEIGHTS,
)
from mlpbench.kernels.numba_simd.passes.parts import after, some_parts
from mlpbench.kernels.numba_simd.passes.shares import (
    DIVIDED,
    SHARE,
    SHARE_COLUMN,
    SHARE_COLUMNS,
    SHARE_PART,
    SHARE_PARTS,
    SHARES_AT,
)


def _layer_at(code: Code, plan: Scalar, number: Scalar) -> Any:
    """Return where a layer stands in the plan."""
    at = Variable(code, HEADER)
    with each(code, 0, number):
        at.now = after(plan, at.now)
    return at.now


def _activations(code: Code, plan: Scalar, layer: Scalar) -> Scalar:
    """Return where the activations of a layer are."""
    return plan[SCRATCH].address_of(code.real) + (layer & 1) * plan[BLOCK_ROWS] * plan[PITCH]


def some_columns(code: Code, x: Scalar, plan: Scalar, rows: Scalar, layer: Scalar, thread: Scalar) -> None:
    """Compute a thread's columns of a layer for all rows of a block, activated; or all, where it is not divided."""
    at, begins, pitch = _layer_at(code, plan, layer), layer == 0, plan[PITCH]
    z, z_step = where(begins, x, _activations(code, plan, layer - 1)), where(begins, plan[INPUTS], pitch)
    shares = plan[SHARES].address_of(I64) + layer * (plan[THREADS] * SHARE + SHARES_AT)
    share, divided = shares + SHARES_AT + thread * SHARE, shares[DIVIDED] != 0
    with when(divided & (rows <= plan[TILE_ROWS])):
        fetch_items(code, z, rows * z_step)  # other threads wrote them: each cache line would be waited for
    part, parts = where(divided, share[SHARE_PART], at + LAYER), where(divided, share[SHARE_PARTS], plan[at + PARTS])
    column, columns = where(divided, share[SHARE_COLUMN], 0), where(divided, share[SHARE_COLUMNS], plan[at + COLUMNS])
    bias, a = plan[WEIGHTS].address_of(code.real) + plan[at + BIAS_AT], _activations(code, plan, layer)
    some_parts(code, z, z_step, rows, plan, part, parts, bias, a, pitch, 0, far=True)
    activate(code, a + column, pitch, rows, columns, plan[at + ACTIVATION])


def outputs_of_block(code: Code, _x: Scalar, plan: Scalar, rows: Scalar, first: Scalar, _thread: Scalar) -> None:
    """Write the outputs of a block, all layers of which are computed, from a row ``first`` on."""
    last, out = plan[LAYERS] - 1, plan[OUT].address_of(code.real) + first * plan[OUTPUTS]
    activation = plan[_layer_at(code, plan, last) + ACTIVATION]
    finish(code, _activations(code, plan, last), plan[PITCH], rows, plan[OUTPUTS], activation, out)
