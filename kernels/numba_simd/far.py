"""Networks whose weights exceed the second-level cache: the same pass, with weights asked for before they are used.

A processor fetches ahead by itself, as far as the end of a page (4 KiB), and begins anew on the next one. A tile of few
rows has used a page of weights up before the next one begins to arrive. So tiles ask for what lies a page ahead: see
`tile.AHEAD`. Where weights lie in the second-level cache that costs time and gains none, so that small networks go
through `network`. The results are the same to the bit.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from kernels.numba_simd.layers import activate, data, fetch_items, finish, moved, multiply_far, pointer
from kernels.numba_simd.network import compiled_as, jit, part_loops, require
from kernels.numba_simd.packing import (  # fmt: skip
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
    SCRATCH_ITEMS,
    THREADS,
    TILE_ROWS,
    WEIGHTS,
)

__all__ = ["compiled"]

_, some_parts = part_loops(multiply_far)


@jit
def whole_layer(z: Any, z_step: int, rows: int, plan: Any, at: int, weights: Any, a: Any, a_step: int) -> None:
    """Compute a layer for some rows, activated."""
    bias = moved(weights, plan[at + BIAS_AT])
    some_parts(z, z_step, rows, plan, at + LAYER, plan[at + PARTS], weights, bias, a, a_step)
    activate(a, a_step, rows, plan[at + COLUMNS], plan[at + ACTIVATION])


@jit
def forward_rows(x: Any, rows: int, plan: Any, thread: int, out: Any) -> None:
    """Compute the outputs of some rows with the scratch memory of one thread."""
    weights, n_in, n_out = pointer(plan[WEIGHTS], x), plan[INPUTS], plan[OUTPUTS]
    scratch = moved(pointer(plan[SCRATCH], x), thread * plan[SCRATCH_ITEMS])
    if rows < plan[TILE_ROWS]:
        fetch_items(x, rows * n_in)
    for first in range(0, rows, plan[BLOCK_ROWS]):
        n_rows, at = min(plan[BLOCK_ROWS], rows - first), HEADER
        z, z_step, a = moved(x, first * n_in), n_in, scratch
        for layer in range(plan[LAYERS]):
            a = moved(scratch, (layer & 1) * plan[BLOCK_ROWS] * plan[PITCH])
            whole_layer(z, z_step, n_rows, plan, at, weights, a, plan[PITCH])
            if layer == plan[LAYERS] - 1:
                finish(a, plan[PITCH], n_rows, n_out, plan[at + ACTIVATION], moved(out, first * n_out))
            z, z_step = a, plan[PITCH]
            at += LAYER + PART * plan[at + PARTS]


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
    threads, half = plan[THREADS], plan[TILE_ROWS] // 2
    rows = (x.shape[0] + threads * half - 1) // (threads * half) * half
    for thread in numba.prange(threads):
        first = min(thread * rows, x.shape[0])
        out = pointer(plan[OUT], data(x))
        x_rows, out_rows = moved(data(x), first * plan[INPUTS]), moved(out, first * plan[OUTPUTS])
        forward_rows(x_rows, min(rows, x.shape[0] - first), plan, thread, out_rows)


@cache
def compiled(dtype: str, variant: str) -> Any:
    """Return f(x, network), compiled: what `network.compiled` returns, for networks without an index of zeros."""
    return compiled_as({"serial": _serial, "single": _single, "parallel": _parallel}[variant], dtype, variant)
