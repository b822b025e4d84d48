"""Functions that compiled Python can call on a block of rows: multiply, activate, finish."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba import types

from mlpbench.kernels.numba_simd.codegen import functions
from mlpbench.kernels.numba_simd.codegen.shape import DOT_COLUMNS, host_shape
from mlpbench.kernels.numba_simd.codegen.tile import EARLY, dots, ladder, product
from mlpbench.kernels.numba_simd.codegen.vector import I64, Code, as_intrinsic, new_function

#: Activations, as the plan holds them.
IDENTITY, SIGMOID, RELU, STEP, SOFTMAX = range(5)

_HIDDEN = {SIGMOID: functions.sigmoid, RELU: functions.relu, STEP: functions.step}


def code_for(builder: Any, item: Any) -> Code:
    """Return a `Code` at the builder's place, for Numba's float32 or float64."""
    real = ir.FloatType() if item == types.float32 else ir.DoubleType()
    return Code(builder, host_shape(item.bitwidth // 8), real)


def generated(name: str, write: Any, *arguments: Any) -> Any:
    """Return what an intrinsic returns: its signature, and a generator of a call of the function ``name``.

    ``write(code, arguments)`` writes the function. The first argument is a pointer to reals. An argument that is no
    pointer is an integer.
    """
    kinds = [argument if isinstance(argument, types.CPointer) else types.int64 for argument in arguments]

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        code = code_for(builder, arguments[0].dtype)
        function, body = new_function(builder, f"{name}_f{code.bits}", [value.type for value in values])
        if body is not None:
            inside = Code(body, code.shape, code.real)
            write(inside, function.args)
            body.ret_void()
        builder.call(function, values)
        return context.get_dummy_value()

    return types.void(*kinds), generate


@as_intrinsic
def data(_context: Any, array: Any) -> Any:
    """Return the address of an array's first item, as a pointer."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, values[0]).data

    return types.CPointer(array.dtype)(array), generate


@as_intrinsic
def pointer(_context: Any, _address: Any, like: Any) -> Any:
    """Return an address, an integer, as a pointer: to the dtype ``like``, or to what the pointer ``like`` points to."""
    result = types.CPointer(like.dtype)

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(result))

    return result(types.int64, like), generate


@as_intrinsic
def moved(_context: Any, base: Any, _items: Any) -> Any:
    """Return the pointer ``base`` moved on by so many items."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.gep(values[0], [values[1]])

    return base(base, types.int64), generate


def _fetch_items(code: Code, arguments: Any, most: int | None = None) -> None:
    z, n = arguments
    if most is not None:
        n = code.builder.select(code.builder.icmp_signed("<", n, I64(most)), n, I64(most))

    def line(i: Any, _carried: list[Any]) -> list[Any]:
        code.fetch(code.address(z, i))
        return []

    code.loop(I64(0), n, 64 * 8 // code.bits, [], line)


@as_intrinsic
def fetch_items(_context: Any, z: Any, n: Any) -> Any:
    """Ask for n items to be brought to the cache, all at once. Read one after the other, each would be waited for."""
    return generated("fetch_items", _fetch_items, z, n)


def _fetch_first(code: Code, arguments: Any) -> None:
    _fetch_items(code, arguments, EARLY * 8 // code.bits)


@as_intrinsic
def fetch_first(_context: Any, z: Any, n: Any) -> Any:
    """Ask for the first of n items of a row of a tile of few rows. The tile asks for the others (`tile.EARLY`)."""
    return generated("fetch_first", _fetch_first, z, n)


def _multiply(code: Code, arguments: Any, *, far: bool = False) -> None:
    z, z_step, n_rows, n, w, start, start_step, a, a_step, width, cold = arguments
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


def _activate(code: Code, arguments: Any) -> None:
    a, a_step, n_rows, n_columns, activation = arguments
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


def _finish(code: Code, arguments: Any) -> None:
    a, a_step, n_rows, n_columns, activation, out = arguments
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


@as_intrinsic
def multiply(_context: Any, z: Any, z_step: Any, n_rows: Any, n: Any, w: Any, start: Any, start_step: Any, a: Any,
             a_step: Any, width: Any, cold: Any) -> Any:  # fmt: skip
    """Compute a = start + z @ w for one part: ``width`` vectors of columns or, negative, so many single columns."""
    return generated("multiply", _multiply, z, z_step, n_rows, n, w, start, start_step, a, a_step, width, cold)


@as_intrinsic
def multiply_far(_context: Any, z: Any, z_step: Any, n_rows: Any, n: Any, w: Any, start: Any, start_step: Any, a: Any,
                 a_step: Any, width: Any, cold: Any) -> Any:  # fmt: skip
    """Compute what `multiply` computes, with weights that come from beyond the second-level cache."""
    far = partial(_multiply, far=True)
    return generated("multiply_far", far, z, z_step, n_rows, n, w, start, start_step, a, a_step, width, cold)


@as_intrinsic
def activate(_context: Any, a: Any, a_step: Any, n_rows: Any, n_columns: Any, activation: Any) -> Any:
    """Replace ``n_columns``, whole vectors, of each row by their hidden activation, if it is one."""
    return generated("activate", _activate, a, a_step, n_rows, n_columns, activation)


@as_intrinsic
def finish(_context: Any, a: Any, a_step: Any, n_rows: Any, n_columns: Any, activation: Any, out: Any) -> Any:
    """Write the outputs of the network, row by row: the softmax of the sums of its last layer, or the sums."""
    return generated("finish", _finish, a, a_step, n_rows, n_columns, activation, out)
