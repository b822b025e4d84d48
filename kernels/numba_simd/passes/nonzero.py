"""The first layer without the inputs that are zero in all rows of a group: see `sparse`."""

from typing import Any

from mlpbench.kernels.numba_simd.codegen.scalar import (
    I32,
    Scalar,
    Variable,
    each,
    either,
    least,
    most,
    turns,
    when,
    where,
)
from mlpbench.kernels.numba_simd.codegen.sparse import MOST_NONZERO, find_nonzero, multiply_nonzero
from mlpbench.kernels.numba_simd.codegen.vector import Code
from mlpbench.kernels.numba_simd.passes.packing import PART
from mlpbench.kernels.numba_simd.passes.parts import Plan, add_part, places, summed


def add_listed(code: Code, z: Scalar, z_step: Any, rows: Any, n: Any, part: Plan, at: Any, index: Scalar) -> None:
    """Compute a = start + z @ w for a part, over the n inputs that ``index`` lists; where n is 0, a = start."""
    w, start, start_step, a, a_step = at
    step = most(summed(n, rows, rows), 1)
    with each(code, 0, most(n, 1), step) as i:
        before, before_step = where(i == 0, start, a), where(i == 0, start_step, a_step)
        n_i = least(step, n - i)
        multiply_nonzero(code, z, z_step, rows, n_i, w, before, before_step, a, a_step, part.width, index + i)


def some_parts(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Plan, done: Variable, a: Scalar,
               a_step: Any) -> None:  # fmt: skip
    """Compute, for a group of rows, the parts that have the inputs of the first part not ``done`` and its index."""
    layer, weights, begin = plan.first_layer(), plan.weights.address_of(code.real), done.now

    def part(number: Any) -> Any:
        return layer.first_part() + number * PART

    def at(number: Any) -> Any:
        return places(part(number), weights, weights + layer.bias_at, a, a_step)

    first, n, singles = part(begin).first, part(begin).length, Variable(code, begin)
    # The first single columns are computed while zeros are looked for.
    with turns(code, lambda: (done.now < layer.parts) & (part(least(done.now, layer.parts - 1)).first == first)):
        singles.now = where(part(singles.now).width > 0, done.now, singles.now)
        done.now = done.now + 1
    index, columns = plan.index.address_of(I32), most(-part(singles.now).width, 0)
    count = find_nonzero(code, z + first, z_step, rows, n, index, *at(singles.now), columns)
    listed = (rows == plan.group_rows) | (count * 100 < n * MOST_NONZERO)
    with each(code, begin, done.now) as number:
        vectors = part(number).width > 0
        with either(vectors & listed) as (yes, no):
            with yes:
                add_listed(code, z + first, z_step, rows, count, part(number), at(number), index)
            with no, when(vectors | (number != singles.now)):
                add_part(code, z, z_step, rows, plan, part(number), at(number))


def nonzero_rows(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Plan, a: Scalar, a_step: Any) -> None:
    """Compute the sums of the first layer as `layer_rows` does, without the inputs that are zero in a group of rows."""
    # A number of Python, one row, is known when this is written: LLVM then sees what does not depend on anything else.
    i, group = Variable(code, 0), Variable(code, rows if isinstance(rows, int) else plan.group_rows)
    with turns(code, lambda: i.now < rows):
        with turns(code, lambda: group.now > rows - i.now):
            group.now = group.now // 2
        z_i, a_i, done = z + i.now * z_step, a + i.now * a_step, Variable(code, 0)
        with turns(code, lambda: done.now < plan.first_layer().parts):
            some_parts(code, z_i, z_step, group.now, plan, done, a_i, a_step)
        i.now = i.now + group.now
