"""Functions on a block of rows, which the loops of `passes` call: multiply, activate, finish."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir

from mlpbench.kernels.numba_simd.codegen import functions
from mlpbench.kernels.numba_simd.codegen.scalar import least, routine
from mlpbench.kernels.numba_simd.codegen.shape import DOT_COLUMNS
from mlpbench.kernels.numba_simd.codegen.tile import EARLY, dots, ladder, product
from mlpbench.kernels.numba_simd.codegen.vector import I64, Code

#: Activations, as the plan holds them.
IDENTITY, SIGMOID, RELU, STEP, SOFTMAX = range(5)

_HIDDEN = {SIGMOID: functions.sigmoid, RELU: functions.relu, STEP: functions.step}


@routine
def fetch_items(code: Code, z: Any, n: Any) -> None:
    """Ask for n items to be brought to the cache, all at once. Read one after the other, each would be waited for."""

    def line(i: Any, _carried: list[Any]) -> list[Any]:
        code.fetch(code.address(z, i))
        return []

    code.loop(I64(0), n, 64 * 8 // code.bits, [], line)


def fetch_first(code: Code, z: Any, n: Any) -> None:
    """Ask for the first of n items of a row of a tile of few rows. The tile asks for the others (`tile.EARLY`)."""
    fetch_items(code, z, least(n, EARLY * 8 // code.bits))


@routine
def multiply(code: Code, z: Any, z_step: Any, n_rows: Any, n: Any, w: Any, start: Any, start_step: Any, a: Any,
             a_step: Any, width: Any, cold: Any, *, far: bool = False) -> None:  # fmt: skip
    """Compute a = start + z @ w for one part: ``width`` vectors of columns or, negative, so many single columns.

    With ``far`` weights come from beyond the second-level cache.
    """
    builder = code.builder
    ahead = builder.mul(n_rows, z_step)  # the block of rows after this one

    def case(tile: Any, size: int) -> None:
        def write(rows: int, i: Any) -> None:
            steps = ((z, z_step), (start, start_step), (a, a_step))
            z_i, start_i, a_i = (code.address(base, builder.mul(i, step)) for base, step in steps)
            builder.call(tile(code, rows, size), [z_i, z_step, n, w, start_i, start_step, a_i, a_step, ahead, cold])

        ladder(code, n_rows, write)

    shapes: dict[int, tuple[Any, int]] = {c: (partial(product, far=far), c) for c in range(1, code.shape.vectors + 1)}
    shapes |= {-c: (dots, c) for c in range(1, DOT_COLUMNS + 1)}
    code.switch(width, {value: partial(case, *shape) for value, shape in shapes.items()})


@routine
def activate(code: Code, a: Any, a_step: Any, n_rows: Any, n_columns: Any, activation: Any) -> None:
    """Replace ``n_columns``, whole vectors, of each row by their hidden activation, if it is one."""
    builder, lanes = code.builder, code.shape.lanes

    def case(function: Any) -> None:
        def row(i: Any, _carried: list[Any]) -> list[Any]:
            first = code.address(a, builder.mul(i, a_step))

            def column(j: Any, _carried: list[Any]) -> list[Any]:
                place = code.address(first, j)
                code.store(place, function(code.load(place, aligned=True)), aligned=True)
                return []

            code.loop(I64(0), n_columns, lanes, [], column)
            return []

        code.loop(I64(0), n_rows, 1, [], row)

    code.switch(activation, {value: partial(case, function) for value, function in _HIDDEN.items()})


@routine
def finish(code: Code, a: Any, a_step: Any, n_rows: Any, n_columns: Any, activation: Any, out: Any) -> None:
    """Write the outputs of the network, row by row: the softmax of the sums of its last layer, or the sums."""
    builder = code.builder

    def case(write: Any) -> None:
        def row(i: Any, _carried: list[Any]) -> list[Any]:
            place = code.address(a, builder.mul(i, a_step))
            write(code, place, n_columns, code.address(out, builder.mul(i, n_columns)))
            return []

        code.loop(I64(0), n_rows, 1, [], row)

    code.switch(activation, {SOFTMAX: partial(case, _softmax), IDENTITY: partial(case, _copy)})


def _copy(code: Code, a: Any, n: Any, out: Any) -> None:
    """Write n items of ``a`` to ``out``."""
    _each(code, n, [], lambda j, mask, _: code.store_part(code.address(out, j), code.load(code.address(a, j)), mask))


def _each(code: Code, n: Any, carried: list[Any], body: Any) -> list[Any]:
    """Write ``carried = body(j, mask, carried)`` for the vectors at 0, lanes, ... of n items; the last is masked."""
    builder, lanes = code.builder, code.shape.lanes
    whole = builder.and_(builder.sub(n, I64(1)), I64(-lanes))
    carried = code.loop(I64(0), whole, lanes, carried, lambda j, x: body(j, None, x) or [])
    return body(whole, code.first_lanes(builder.sub(n, whole)), carried) or []


def _softmax(code: Code, a: Any, n: Any, out: Any) -> None:
    """Write the softmax of n items of ``a`` to ``out``. ``a`` is overwritten. Items beyond n are read and not used.

    A NaN among the items makes their sum NaN, and so all results, whatever the largest item is then.
    """
    lowest = code.constant(float("-inf"))

    def highest(j: Any, mask: Any, carried: list[Any]) -> list[Any]:
        x = code.load(code.address(a, j), aligned=True)
        x = x if mask is None else x.where(mask, lowest)
        return [x.at_least(code.vector(carried[0])).value]

    def exponentials(j: Any, mask: Any, carried: list[Any]) -> list[Any]:
        place = code.address(a, j)
        y = functions.exp(code.load(place, aligned=True) - top)
        y = y if mask is None else y.where(mask, 0.0)
        code.store(place, y, aligned=True)
        return [(code.vector(carried[0]) + y).value]

    def normalised(j: Any, mask: Any, _carried: list[Any]) -> None:
        code.store_part(code.address(out, j), code.load(code.address(a, j), aligned=True) * share, mask)

    (x,) = _each(code, n, [lowest.value], highest)
    top = code.splat(code.vector(x).largest())
    (x,) = _each(code, n, [code.constant(0.0).value], exponentials)
    share = code.splat(code.builder.fdiv(ir.Constant(code.real, 1.0), code.vector(x).sum()))
    _each(code, n, [], normalised)
