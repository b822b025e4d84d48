"""Few rows of a network that exceeds the second-level cache: columns are divided among threads, and not rows.

Fewer rows than a tile for each thread cannot be divided well. In every call all weights come from beyond the cache, and
for one row reading them takes nearly all of the time. So each thread computes all rows for its own run of a layer's
columns, and reads the weights of these columns alone: together threads read faster than one does. A thread has the same
columns in every call, so that its own cache keeps a part of their weights for the next call. From a few tiles of rows
for each thread on, dividing rows is faster: activations then stay where they were computed.

The next layer takes all columns of a layer. So threads are started and joined for every layer that is divided, which
takes microseconds. One thread computes small layers; `shares` says which.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from mlpbench.kernels.numba_simd.codegen.layers import activate, data, fetch_items, finish, moved, pointer
from mlpbench.kernels.numba_simd.passes.far import layer_rows, some_parts
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
    OUT_ROWS,
    OUTPUTS,
    PART,
    PARTS,
    PITCH,
    SCRATCH,
    SHARES,
    THREADS,
    TILE_ROWS,
    WEIGHTS,
)
from mlpbench.kernels.numba_simd.passes.parts import compiled_as, jit, require
from mlpbench.kernels.numba_simd.passes.shares import (
    DIVIDED,
    SHARE,
    SHARE_COLUMN,
    SHARE_COLUMNS,
    SHARE_PART,
    SHARE_PARTS,
    SHARES_AT,
)


@jit
def share_rows(
    z: Any, z_step: int, rows: int, plan: Any, at: int, share: Any, weights: Any, a: Any, a_step: int
) -> None:
    """Compute a thread's columns of a layer for all rows, activated."""
    if rows <= plan[TILE_ROWS]:  # other threads wrote them: all at once, or each cache line would be waited for
        fetch_items(z, rows * z_step)
    bias, column = moved(weights, plan[at + BIAS_AT]), share[SHARE_COLUMN]
    some_parts(z, z_step, rows, plan, share[SHARE_PART], share[SHARE_PARTS], weights, bias, a, a_step, False)
    activate(moved(a, column), a_step, rows, share[SHARE_COLUMNS], plan[at + ACTIVATION])


def _columns(x: Any, network: int) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[1] == plan[INPUTS] and x.shape[0] <= plan[OUT_ROWS])
    weights, scratch = pointer(plan[WEIGHTS], data(x)), pointer(plan[SCRATCH], data(x))
    out = pointer(plan[OUT], data(x))
    n_in, n_out, pitch, block, threads = plan[INPUTS], plan[OUTPUTS], plan[PITCH], plan[BLOCK_ROWS], plan[THREADS]
    for first in range(0, x.shape[0], block):
        rows = min(block, x.shape[0] - first)
        z, z_step = moved(data(x), first * n_in), n_in
        at, shares = HEADER, pointer(plan[SHARES], plan)
        for layer in range(plan[LAYERS]):
            a = moved(scratch, (layer & 1) * block * pitch)
            if shares[DIVIDED]:
                for thread in numba.prange(threads):
                    share = moved(shares, SHARES_AT + thread * SHARE)
                    share_rows(z, z_step, rows, plan, at, share, weights, a, pitch)
            else:
                layer_rows(z, z_step, rows, plan, at, weights, a, pitch, False)
                activate(a, pitch, rows, plan[at + COLUMNS], plan[at + ACTIVATION])
            if layer == plan[LAYERS] - 1:
                finish(a, pitch, rows, n_out, plan[at + ACTIVATION], moved(out, first * n_out))
            z, z_step = a, pitch
            at += LAYER + PART * plan[at + PARTS]
            shares = moved(shares, SHARES_AT + threads * SHARE)


@cache
def compiled(dtype: str) -> Any:
    """Return f(x, network) for "float32" or "float64" and any specification that has `SHARES`, compiled."""
    return compiled_as(_columns, dtype, "parallel")
