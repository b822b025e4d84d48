"""The forward pass of networks that fit the second-level cache: blocks of rows go through the layers."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from mlpbench.kernels.numba_simd.codegen.layers import (
    activate,
    data,
    fetch_first,
    fetch_items,
    moved,
    multiply,
    pointer,
)
from mlpbench.kernels.numba_simd.codegen.turned import finish_turned, multiply_turned, turn
from mlpbench.kernels.numba_simd.passes.nonzero import nonzero_rows
from mlpbench.kernels.numba_simd.passes.packing import (
    ACTIVATION,
    BIAS_AT,
    HEADER,
    INDEX,
    INPUTS,
    LANES,
    LAYER,
    LAYERS,
    OUT,
    OUT_ROWS,
    OUTPUTS,
    PART,
    PARTS,
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
)
from mlpbench.kernels.numba_simd.passes.parts import block_loop, called, compiled_as, jit, layer_loops, require

_, _, layer_rows = layer_loops(multiply)


@jit
def first_layer(
    z: Any, z_step: int, rows: int, plan: Any, at: int, weights: Any, a: Any, a_step: int, cold: bool
) -> None:
    """Compute the sums of the first layer, without the inputs that are zero where they are to be skipped."""
    if plan[INDEX]:
        nonzero_rows(z, z_step, rows, plan, weights, a, a_step)
    else:
        layer_rows(z, z_step, rows, plan, at, weights, a, a_step, cold)


forward_blocks = block_loop(first_layer, layer_rows)


@jit
def forward_turned(x: Any, vectors: int, plan: Any, thread: int, out: Any, cold: bool) -> None:
    """Compute the outputs of ``vectors`` vectors of rows, behind the first layer with rows in the lanes: see `turned`.

    The first layer is multiplied tile by tile, or a few inputs of all tiles at a time, so that the weights of these
    inputs stay in the first-level cache. With two tiles a few inputs at a time cost as much as they gain.
    """
    weights = pointer(plan[WEIGHTS], x)
    half, rows, n_in = plan[SCRATCH_ITEMS] // 2, vectors * plan[LANES], plan[INPUTS]
    a, pitch = moved(pointer(plan[SCRATCH], x), thread * 2 * half), plan[TURNED_PITCH]
    z = moved(a, half)
    block = plan[TILE_ROWS] if vectors == 1 or plan[INDEX] else rows
    for i in range(0, rows, block):
        n_rows, z_i, a_i = min(block, rows - i), moved(x, i * n_in), moved(a, i * pitch)
        first_layer(z_i, n_in, n_rows, plan, HEADER, weights, a_i, pitch, cold and n_rows > plan[TILE_ROWS])
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
def fetch_few(x: Any, rows: int, plan: Any) -> None:
    """Ask for the inputs of fewer rows than a tile has. The tile before a whole tile fetches its inputs."""
    if plan[INDEX]:
        fetch_items(x, rows * plan[INPUTS])
    else:
        for row in range(rows):
            fetch_first(moved(x, row * plan[INPUTS]), plan[INPUTS])


@jit
def forward_rows(x: Any, rows: int, plan: Any, thread: int, out: Any) -> None:
    """Compute the outputs of some rows with the scratch memory of one thread."""
    first = 0
    if rows < plan[TILE_ROWS]:
        fetch_few(x, rows, plan)
    while plan[TURNED_VECTORS] and rows - first >= plan[LANES]:
        most, left = plan[TURNED_VECTORS], (rows - first) // plan[LANES]
        vectors = most if left > most + 1 else (left + 1) // 2 if left == most + 1 else left
        x_rows, out_rows = moved(x, first * plan[INPUTS]), moved(out, first * plan[OUTPUTS])
        forward_turned(x_rows, vectors, plan, thread, out_rows, first == 0)
        first += vectors * plan[LANES]
    forward_blocks(moved(x, first * plan[INPUTS]), rows - first, plan, thread, moved(out, first * plan[OUTPUTS]))


#: `forward_rows` for a parallel loop, whose body Numba goes through several times and compiles twice.
thread_rows = called(forward_rows)


def _serial(x: Any, network: int) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[1] == plan[INPUTS] and x.shape[0] <= plan[OUT_ROWS])
    forward_rows(data(x), x.shape[0], plan, 0, pointer(plan[OUT], data(x)))


def _single(x: Any, network: int) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[0] == plan[INPUTS])
    fetch_few(data(x), 1, plan)
    forward_blocks(data(x), 1, plan, 0, pointer(plan[OUT], data(x)))


def _parallel(x: Any, network: int) -> None:
    plan = pointer(network, np.int64)
    require(x.shape[1] == plan[INPUTS] and x.shape[0] <= plan[OUT_ROWS])
    threads, half = plan[THREADS], plan[TILE_ROWS] // 2
    rows = (x.shape[0] + threads * half - 1) // (threads * half) * half
    for thread in numba.prange(threads):
        first = min(thread * rows, x.shape[0])
        out = pointer(plan[OUT], data(x))
        x_rows, out_rows = moved(data(x), first * plan[INPUTS]), moved(out, first * plan[OUTPUTS])
        # Integers of one type inside the loop and around it, or Numba would compile the function for both.
        n_rows, thread_number = np.int64(min(rows, x.shape[0] - first)), np.int64(thread)
        thread_rows(x_rows, n_rows, plan, thread_number, out_rows)


@cache
def compiled(dtype: str, variant: str) -> Any:
    """Return f(x, network) for "float32" or "float64" and any specification, compiled."""
    return compiled_as({"serial": _serial, "single": _single, "parallel": _parallel}[variant], dtype, variant)
