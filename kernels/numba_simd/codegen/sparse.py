"""The list of the inputs that are not zero in all rows of a group, and the tile that multiplies the listed inputs.

A group is the rows of a tile, or half of them: `Shape.group`. A smaller group would skip more inputs, but use each
weight that is loaded less often: weights then come from the second-level cache more slowly than they are multiplied. A
whole group takes no longer over a list than over a range, so that inputs of which few are zero lose little.
"""

# mypy: disable-error-code="no-untyped-call"
from functools import partial
from typing import Any

from llvmlite import ir

from mlpbench.kernels.numba_simd.codegen.scalar import I1, I32, I64, Variable
from mlpbench.kernels.numba_simd.codegen.shape import DOT_COLUMNS
from mlpbench.kernels.numba_simd.codegen.tile import ladder, product, store_sums
from mlpbench.kernels.numba_simd.codegen.vector import Code, Vector, new_function, routine

#: The percentage of inputs from which on a tile of fewer rows than a group multiplies all inputs. There weights set the
#: pace, and weights in a row are read faster than listed weights.
MOST_NONZERO = 80


@routine
def multiply_nonzero(code: Code, z: Any, z_step: Any, n_rows: Any, n: Any, w: Any, start: Any, start_step: Any, a: Any,
                     a_step: Any, width: Any, index: Any) -> None:  # fmt: skip
    """Compute a = start + z @ w for one part of ``width`` vectors, over the n inputs that ``index`` lists."""

    def case(vectors: int) -> None:
        for rows, i in ladder(code, n_rows):
            places = z + i * z_step, z_step, n, w, start + i * start_step, start_step, a + i * a_step, a_step
            code.call_function(product(code, rows, vectors, indexed=True), *places, index)

    code.switch(width, {vectors: partial(case, vectors) for vectors in range(1, code.shape.vectors + 1)})


@routine
def find_nonzero(code: Code, *arguments: Any) -> Any:
    """Write to ``index`` which of n inputs are not zero in one of ``n_rows`` rows; return how many they are.

    The arguments are z, z_step, n_rows, n, index, w, start, start_step, a, a_step, columns. NaN is not zero. ``n_rows``
    is one of the heights of tiles. ``index`` has room for one vector more. While z is in registers, it is multiplied by
    ``columns`` single columns: see `tile.dots`.
    """
    *passed, columns = arguments
    count, kinds = Variable(code, 0), [value.value.type for value in passed]

    def case(rows: int, singles: int) -> None:
        count.now = code.call_function(_finder(code, rows, singles, kinds), *passed)

    def height(rows: int) -> None:
        code.switch(columns, {singles: partial(case, rows, singles) for singles in range(DOT_COLUMNS + 1)})

    code.switch(passed[2], {rows: partial(height, rows) for rows in code.shape.ladder})
    return count.now


def _finder(code: Code, rows: int, columns: int, kinds: list[Any]) -> ir.Function:
    """Return the function that looks through ``rows`` rows and multiplies them by ``columns`` single columns."""
    function, builder = new_function(code.builder, f"find_{rows}x{columns}_f{code.bits}", kinds, I64)
    if builder is None:
        return function
    z, z_step, _n_rows, n, index, w, start, start_step, a, a_step = function.args
    code = code.at(builder)
    lanes = code.shape.lanes
    z_rows = [code.address(z, builder.mul(z_step, I64(r))) for r in range(rows)]
    w_columns = [code.address(w, builder.mul(n, I64(c))) for c in range(columns)]
    whole, near = builder.and_(n, I64(-lanes)), builder.mul(z_step, I64(rows))

    def turn(load: Any, k: Any, carried: list[Any]) -> list[Any]:
        count, *values = carried
        inputs, weights = [load(code.address(row, k)) for row in z_rows], [load(code.address(w, k)) for w in w_columns]
        for row in z_rows[: rows // 2]:
            code.fetch(code.address(row, builder.add(k, near)))  # the other half: see `tile`
        sums = [code.vector(value) for value in values]
        sums = [inputs[i // columns].times_plus(weights[i % columns], x) for i, x in enumerate(sums)]
        bits = inputs[0]
        for x in inputs[1:]:
            bits = bits.bits_or(x)
        return [_append(code, index, count, k, bits), *(x.value for x in sums)]

    carried = [I64(0)] + [code.constant(0.0).value] * (rows * columns)
    carried = code.loop(I64(0), whole, lanes, carried, partial(turn, code.load))
    mask = code.first_lanes(builder.sub(n, whole))
    carried = code.loop(whole, n, lanes, carried, partial(turn, lambda place: code.load_masked(place, mask)))
    count, *values = carried
    if columns:
        store_sums(code, [code.vector(value) for value in values], columns, start, start_step, a, a_step)
    builder.ret(count)
    return function


def _append(code: Code, index: Any, count: Any, k: Any, found: Vector) -> Any:
    """Write k + i for the lanes i in which ``found`` has a bit to ``index`` from ``count`` on; return the new count."""
    builder, lanes = code.builder, code.shape.lanes
    if not code.shape.avx512:
        return _append_one_by_one(code, index, count, k, found)
    mask = found.any_bit()
    indices = ir.VectorType(I32, lanes)
    first = builder.insert_element(ir.Constant(indices, ir.Undefined), builder.trunc(k, I32), I32(0))
    first = builder.shuffle_vector(first, first, ir.Constant(indices, [0] * lanes))
    all_k = builder.add(first, ir.Constant(indices, list(range(lanes))))
    name = f"llvm.x86.avx512.mask.compress.v{lanes}i32"
    compress = code.declare(name, indices, [indices, indices, ir.VectorType(I1, lanes)])
    packed = builder.call(compress, [all_k, ir.Constant(indices, [0] * lanes), mask])
    place = builder.bitcast(builder.gep(index, [count]), indices.as_pointer())
    builder.store(packed, place, align=4)
    bits = builder.bitcast(mask, ir.IntType(lanes))
    return builder.add(count, builder.zext(builder.ctpop(bits), I64))


def _append_one_by_one(code: Code, index: Any, count: Any, k: Any, found: Vector) -> Any:
    """Do what `_append` does, without AVX-512: every k is written, and the place moves on behind those that stay."""
    builder, mask = code.builder, found.any_bit()
    for lane in range(code.shape.lanes):
        builder.store(builder.trunc(builder.add(k, I64(lane)), I32), builder.gep(index, [count]))
        count = builder.add(count, builder.zext(builder.extract_element(mask, I32(lane)), I64))
    return count
