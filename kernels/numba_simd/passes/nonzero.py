"""The first layer without the inputs that are zero in all rows of a group: see `sparse`."""

from __future__ import annotations

from typing import Any

from mlpbench.kernels.numba_simd.codegen.scalar import Scalar, Variable, each, either, least, most, turns, when, where
from mlpbench.kernels.numba_simd.codegen.sparse import MOST_NONZERO, find_nonzero, multiply_nonzero
from mlpbench.kernels.numba_simd.codegen.vector import I32, Code
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
    WEIGHTS,
    WEIGHTS_AT,
    WIDTH,
)
from mlpbench.kernels.numba_simd.passes.parts import add_part, after, start_of, summed


def add_listed(code: Code, z: Scalar, z_step: Any, rows: Any, n: Any, w: Scalar, start: Scalar, start_step: Any,
               a: Scalar, a_step: Any, width: Scalar, index: Scalar) -> None:  # fmt: skip
    """Compute a = start + z @ w for a part, over the n inputs that ``index`` lists; where n is 0, a = start."""
    step = most(summed(n, rows, rows), 1)
    with each(code, 0, most(n, 1), step) as i:
        before, before_step = where(i == 0, start, a), where(i == 0, start_step, a_step)
        n_i = least(step, n - i)
        multiply_nonzero(code, z, z_step, rows, n_i, w, before, before_step, a, a_step, width, index + i)


def parts_of_one_index(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Scalar, part: Variable, end: Scalar,
                       a: Scalar, a_step: Any) -> None:  # fmt: skip
    """Compute, for a group of rows, the parts from ``part`` on that have the same inputs; move ``part`` behind them."""
    begin, index, weights = part.now, plan[INDEX].address_of(I32), plan[WEIGHTS].address_of(code.real)
    bias, first, n = weights + plan[HEADER + BIAS_AT], plan[begin + FIRST], plan[begin + LENGTH]

    def places(at: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar, Any]:
        sums = a + plan[at + COLUMN]
        return weights + plan[at + WEIGHTS_AT], *start_of(first, sums, a_step, bias + plan[at + COLUMN]), sums, a_step

    singles = Variable(code, begin)  # the first single columns are computed while zeros are looked for
    with turns(code, lambda: (part.now < end) & (plan[least(part.now, end - PART) + FIRST] == first)):
        singles.now = where(plan[singles.now + WIDTH] > 0, part.now, singles.now)
        part.now = part.now + PART
    columns = most(-plan[singles.now + WIDTH], 0)
    count = find_nonzero(code, z + first, z_step, rows, n, index, *places(singles.now), columns)
    listed = (rows == plan[GROUP_ROWS]) | (count * 100 < n * MOST_NONZERO)
    with each(code, begin, part.now, PART) as at:
        width = plan[at + WIDTH]
        with either((width > 0) & listed) as (yes, no):
            with yes:
                add_listed(code, z + first, z_step, rows, count, *places(at), width, index)
            with no, when((width > 0) | (at != singles.now)):
                add_part(code, z + first, z_step, rows, n, *places(at), width, plan, 0)


def nonzero_rows(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Scalar, a: Scalar, a_step: Any) -> None:
    """Compute the sums of the first layer as `layer_rows` does, without the inputs that are zero in a group of rows."""
    i, group = Variable(code, 0), Variable(code, plan[GROUP_ROWS])
    with turns(code, lambda: i.now < rows):
        with turns(code, lambda: group.now > rows - i.now):
            group.now = group.now // 2
        z_i, a_i = z + i.now * z_step, a + i.now * a_step
        part, end = Variable(code, HEADER + LAYER), after(plan, HEADER)
        with turns(code, lambda: part.now < end):
            parts_of_one_index(code, z_i, z_step, group.now, plan, part, end, a_i, a_step)
        i.now = i.now + group.now
