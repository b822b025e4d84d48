"""Inputs that are zero in all rows of a group are not multiplied: which ones are not, and the tile over those.

Larger groups use each weight that is loaded more often, and skip less.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba import types

from kernels.numba_simd.layers import code_for, generated
from kernels.numba_simd.tile import ladder, product
from kernels.numba_simd.vector import I1, I32, I64, Code, as_intrinsic, new_function

__all__ = ["GROUP_ROWS", "find_nonzero", "multiply_nonzero"]

#: Rows that skip together.
GROUP_ROWS = 4
#: Heights of the tiles for a group and for what is left.
_HEIGHTS = tuple(2**i for i in reversed(range(GROUP_ROWS.bit_length())))


def _multiply_nonzero(code: Code, arguments: Any) -> None:
    z, z_step, n_rows, n, w, start, start_step, a, a_step, width, index = arguments
    builder = code.builder

    def case(vectors: int) -> None:
        def tile(rows: int, i: Any) -> None:
            steps = ((z, z_step), (start, start_step), (a, a_step))
            z_i, start_i, a_i = (code.address(base, builder.mul(i, step)) for base, step in steps)
            function = product(code, rows, vectors, indexed=True)
            builder.call(function, [z_i, z_step, n, w, start_i, start_step, a_i, a_step, index])

        ladder(code, n_rows, tile, _HEIGHTS)

    code.switch(width, {vectors: partial(case, vectors) for vectors in range(1, code.shape.vectors + 1)})


@as_intrinsic
def multiply_nonzero(_context: Any, z: Any, z_step: Any, n_rows: Any, n: Any, w: Any, start: Any, start_step: Any,
                     a: Any, a_step: Any, width: Any, index: Any) -> Any:  # fmt: skip
    """Compute a = start + z @ w for one part of ``width`` vectors, over the n inputs that ``index`` lists."""
    places = (z, z_step, n_rows, n, w, start, start_step, a, a_step)
    return generated("multiply_nonzero", _multiply_nonzero, *places, width, index)


@as_intrinsic
def find_nonzero(_context: Any, z: Any, _z_step: Any, _n_rows: Any, _n: Any, index: Any) -> Any:
    """Write to ``index`` which of n inputs are not zero in one of ``n_rows`` rows; return how many.

    NaN is not zero. ``index`` has room for a vector more.
    """
    kinds = (z, types.int64, types.int64, types.int64, index)

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        code = code_for(builder, z.dtype)
        name = f"find_nonzero_f{code.bits}"
        function, body = new_function(builder, name, [value.type for value in values], I64)
        if body is not None:
            body.ret(_found(Code(body, code.shape, code.real), function.args))
        return builder.call(function, values)

    return types.int64(*kinds), generate


def _found(code: Code, arguments: Any) -> Any:
    """Write the loop of `find_nonzero`; return the count. At most `GROUP_ROWS` rows."""
    z, z_step, n_rows, n, index = arguments
    builder = code.builder
    # A group of fewer rows looks at its last row again.
    last = builder.sub(n_rows, I64(1))
    rows = [builder.select(builder.icmp_signed("<", I64(r), n_rows), I64(r), last) for r in range(GROUP_ROWS)]
    z_rows = [code.address(z, builder.mul(z_step, r)) for r in rows]
    if not code.shape.avx512:
        return _found_one_by_one(code, z_rows, n, index)
    lanes = code.shape.lanes
    whole = builder.and_(n, I64(-lanes))
    ahead = builder.mul(z_step, I64(2 * GROUP_ROWS))  # the group after the next: see tile._fetching

    def vector(k: Any, count: Any, mask: Any = None) -> Any:
        found = None
        for z_row in z_rows:
            place = code.address(z_row, k)
            code.fetch(code.address(place, ahead))
            x = code.load(place) if mask is None else code.load_masked(place, mask)
            nonzero = builder.fcmp_unordered("!=", x.value, code.constant(0.0).value)
            found = nonzero if found is None else builder.or_(found, nonzero)
        return _append(code, index, count, k, found)

    (count,) = code.loop(I64(0), whole, lanes, [I64(0)], lambda k, carried: [vector(k, carried[0])])
    mask = code.first_lanes(builder.sub(n, whole))
    (count,) = code.loop(whole, n, lanes, [count], lambda k, carried: [vector(k, carried[0], mask)])
    return count


def _append(code: Code, index: Any, count: Any, k: Any, found: Any) -> Any:
    """Write k + i for the lanes i of the mask ``found`` to ``index`` from ``count`` on; return the new count."""
    builder, lanes = code.builder, code.shape.lanes
    indices = ir.VectorType(I32, lanes)
    first = builder.insert_element(ir.Constant(indices, ir.Undefined), builder.trunc(k, I32), I32(0))
    first = builder.shuffle_vector(first, first, ir.Constant(indices, [0] * lanes))
    all_k = builder.add(first, ir.Constant(indices, list(range(lanes))))
    name = f"llvm.x86.avx512.mask.compress.v{lanes}i32"
    compress = code.declare(name, indices, [indices, indices, ir.VectorType(I1, lanes)])
    packed = builder.call(compress, [all_k, ir.Constant(indices, [0] * lanes), found])
    place = builder.bitcast(builder.gep(index, [count]), indices.as_pointer())
    builder.store(packed, place, align=4)
    bits = builder.bitcast(found, ir.IntType(lanes))
    return builder.add(count, builder.zext(builder.ctpop(bits), I64))


def _found_one_by_one(code: Code, z_rows: list[Any], n: Any, index: Any) -> Any:
    """Write the same without AVX-512: every k is written, and the place moves on where it is to stay."""
    builder = code.builder

    def one(k: Any, carried: list[Any]) -> list[Any]:
        found = I1(0)
        for z_row in z_rows:
            x = code.load_scalar(code.address(z_row, k))
            found = builder.or_(found, builder.fcmp_unordered("!=", x, ir.Constant(code.real, 0.0)))
        builder.store(builder.trunc(k, I32), builder.gep(index, carried))
        return [builder.add(carried[0], builder.zext(found, I64))]

    (count,) = code.loop(I64(0), n, 1, [I64(0)], one)
    return count
