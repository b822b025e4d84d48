"""The forward pass of networks whose weights exceed the second-level cache: weights are asked for before they are used.

A processor fetches ahead by itself, as far as the end of a page (4 KiB), and begins anew on the next page. A tile of
few rows has used a page of weights up before the next page begins to arrive. So tiles ask for what lies a page ahead:
`tile.AHEAD`. Where weights lie in the second-level cache, to ask takes time and gains none, so that small networks go
through `network`. Both give the same results to the bit.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from mlpbench.kernels.numba_simd.codegen.layers import data, fetch_items, moved, multiply_far, pointer
from mlpbench.kernels.numba_simd.passes.packing import INPUTS, OUT, OUT_ROWS, OUTPUTS, THREADS, TILE_ROWS
from mlpbench.kernels.numba_simd.passes.parts import block_loop, compiled_as, jit, layer_loops, require

_, some_parts, layer_rows = layer_loops(multiply_far)
forward_blocks = block_loop(layer_rows, layer_rows)


@jit
def forward_rows(x: Any, rows: int, plan: Any, thread: int, out: Any) -> None:
    """Compute the outputs of some rows with the scratch memory of one thread."""
    if rows < plan[TILE_ROWS]:
        fetch_items(x, rows * plan[INPUTS])
    forward_blocks(x, rows, plan, thread, out)


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
    """Return f(x, network), compiled, for networks without an index of zeros; see `network.compiled`."""
    return compiled_as({"serial": _serial, "single": _single, "parallel": _parallel}[variant], dtype, variant)
