"""The first layer without the inputs that are zero in all rows of a group: see `sparse`."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np

from mlpbench.kernels.numba_simd.codegen.layers import moved, multiply, pointer
from mlpbench.kernels.numba_simd.codegen.sparse import MOST_NONZERO, find_nonzero, multiply_nonzero
from mlpbench.kernels.numba_simd.passes.packing import (
    BIAS_AT,
    COLUMN,
    FIRST,
    GROUP_ROWS,
    HEADER,
    INDEX,
    LAYER,
    LENGTH,
    PART,
    PARTS,
    WEIGHTS_AT,
    WIDTH,
)
from mlpbench.kernels.numba_simd.passes.parts import jit, layer_loops, summed

add_part, _, _ = layer_loops(multiply)


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
    """Compute a = start + z @ w for a part, over the n inputs that ``index`` lists; where n is 0, a = start."""
    step = max(summed(n, rows, rows), 1)
    for i in range(0, max(n, 1), step):
        multiply_nonzero(z, z_step, rows, min(step, n - i), w, start, start_step, a, a_step, width, moved(index, i))
        start, start_step = a, a_step


@jit
def sparse_parts(
    z: Any, z_step: int, rows: int, plan: Any, part: int, end: int, weights: Any, a: Any, a_step: int
) -> int:
    """Compute, for a group of rows, the parts for which one index serves. Return the place of the next part."""
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
        if width > 0 and (count < n * MOST_NONZERO or rows == plan[GROUP_ROWS]):
            add_listed(z_first, z_step, rows, count, w, start, start_step, sums, a_step, width, index)
        elif width > 0 or at != singles:
            add_part(z_first, z_step, rows, n, w, start, start_step, sums, a_step, width, plan, False)
    return after


@jit
def nonzero_rows(z: Any, z_step: int, rows: int, plan: Any, weights: Any, a: Any, a_step: int) -> None:
    """Compute the sums of the first layer as `layer_rows` does, without the inputs that are zero in a group of rows."""
    i, tile = 0, plan[GROUP_ROWS]
    while i < rows:
        while tile > rows - i:
            tile //= 2
        part, end = HEADER + LAYER, HEADER + LAYER + PART * plan[HEADER + PARTS]
        while part < end:
            part = sparse_parts(
                moved(z, i * z_step), z_step, tile, plan, part, end, weights, moved(a, i * a_step), a_step
            )
        i += tile
