"""Few rows of a network that exceeds the second-level cache: columns are divided among threads, and not rows.

Fewer rows than a tile for each thread cannot be divided well. In every call all weights come from beyond the cache, and
for one row reading them takes nearly all of the time. So each thread computes all rows for its own run of a layer's
columns, and reads the weights of these columns alone: together threads read faster than one does. A thread has the same
columns in every call, so that its own cache keeps a part of their weights for the next call. From a few tiles of rows
for each thread on, dividing rows is faster: activations then stay where they were computed.

The next layer takes all columns of a layer. So threads are started and joined for every layer that is divided, which
takes microseconds. One thread computes small layers; `shares` says which.
"""

from typing import Any

from mlpbench.kernels.numba_simd.codegen.layers import activate, fetch_items, finish
from mlpbench.kernels.numba_simd.codegen.scalar import I64, Scalar, Variable, each, when, where
from mlpbench.kernels.numba_simd.codegen.vector import Code
from mlpbench.kernels.numba_simd.passes import shares
from mlpbench.kernels.numba_simd.passes.parts import Plan, some_parts


def _layer(code: Code, plan: Plan, number: Scalar) -> Any:
    """Return a layer by its number."""
    layer = Variable(code, plan.first_layer())
    with each(code, 0, number):
        layer.now = layer.now.following()
    return layer.now


def _activations(code: Code, plan: Plan, number: Scalar) -> Scalar:
    """Return where the activations of a layer are."""
    return plan.scratch.address_of(code.real) + (number & 1) * plan.block_rows * plan.pitch


def some_columns(code: Code, x: Scalar, plan: Plan, rows: Scalar, number: Scalar, thread: Scalar) -> None:
    """Compute a thread's columns of a layer for all rows of a block, activated; or all, where it is not divided."""
    layer, begins, pitch = _layer(code, plan, number), number == 0, plan.pitch
    z, z_step = where(begins, x, _activations(code, plan, number - 1)), where(begins, plan.inputs, pitch)
    line = plan.shares.address_of(I64) + number * (plan.threads * shares.SHARE + shares.SHARES_AT)
    share, divided = line + shares.SHARES_AT + thread * shares.SHARE, line[shares.DIVIDED] != 0
    with when(divided & (rows <= plan.tile_rows)):
        fetch_items(code, z, rows * z_step)  # other threads wrote them: each cache line would be waited for
    begin = where(divided, plan + share[shares.SHARE_PART], layer.first_part())
    parts = where(divided, share[shares.SHARE_PARTS], layer.parts)
    column = where(divided, share[shares.SHARE_COLUMN], 0)
    columns = where(divided, share[shares.SHARE_COLUMNS], layer.columns)
    a = _activations(code, plan, number)
    some_parts(code, z, z_step, rows, plan, layer, begin, parts, a, pitch, far=True)
    activate(code, a + column, pitch, rows, columns, layer.activation)


def outputs_of_block(code: Code, _x: Scalar, plan: Plan, rows: Scalar, first: Scalar, _thread: Scalar) -> None:
    """Write the outputs of a block, all layers of which are computed, from a row ``first`` on."""
    last, out = plan.layers - 1, plan.out.address_of(code.real) + first * plan.outputs
    activation = _layer(code, plan, last).activation
    finish(code, _activations(code, plan, last), plan.pitch, rows, plan.outputs, activation, out)
