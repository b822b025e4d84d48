"""Functions on a block of rows, which the loops of `passes` call: multiply, activate, finish."""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from llvmlite import ir

from mlpbench.kernels.numba_simd.codegen import functions
from mlpbench.kernels.numba_simd.codegen.scalar import I64, Scalar, each, least, plain
from mlpbench.kernels.numba_simd.codegen.shape import DOT_COLUMNS
from mlpbench.kernels.numba_simd.codegen.tile import EARLY, dots, ladder, product
from mlpbench.kernels.numba_simd.codegen.vector import Code, Vector, routine
from mlpbench.kernels.spec import Activation, ForwardSpec

#: Activations, as the plan holds them.
IDENTITY, SIGMOID, RELU, STEP, SOFTMAX = range(5)

_HIDDEN = {SIGMOID: functions.sigmoid, RELU: functions.relu, STEP: functions.step}

#: The code of each activation that every program knows.
KNOWN = {"identity": IDENTITY, "sigmoid": SIGMOID, "relu": RELU, "step": STEP}
#: Other activations are in the programs of the networks that have them. Their codes count from here.
FIRST_OTHER = 5


def others(activations: Iterable[Activation]) -> tuple[Activation, ...]:
    """Return those of the activations that not every program knows, each once, in an order of their own."""
    return tuple(sorted({activation for activation in activations if activation.name not in KNOWN}))


def codes(spec: ForwardSpec) -> list[int]:
    """Return the code of each layer's activation, in a program with `others` of the activations of ``spec``."""
    more = {other: code for code, other in enumerate(others(spec.activations), start=FIRST_OTHER)}
    hidden = [more[one] if one in more else KNOWN[one.name] for one in spec.activations]
    return [*hidden, SOFTMAX if spec.output == "softmax" else IDENTITY]


def _function(activation: Activation) -> Callable[[Vector], Vector]:
    if activation.name == "leaky-relu":
        return partial(functions.leaky_relu, slope=activation.slope)
    return {"tanh": functions.tanh, "gelu": functions.gelu, "silu": functions.silu}[activation.name]


@routine
def fetch_items(code: Code, z: Scalar, n: Scalar) -> None:
    """Ask for n items to be brought to the cache, all at once. Read one after the other, each would be waited for."""
    with each(code, 0, n, 64 * 8 // code.bits) as i:
        code.fetch(z + i)


def fetch_first(code: Code, z: Scalar, n: Scalar) -> None:
    """Ask for the first of n items of a row of a tile of few rows. The tile asks for the others (`tile.EARLY`)."""
    fetch_items(code, z, least(n, EARLY * 8 // code.bits))


@routine
def multiply(code: Code, z: Scalar, z_step: Scalar, n_rows: Scalar, n: Scalar, w: Scalar, start: Scalar,
             start_step: Scalar, a: Scalar, a_step: Scalar, width: Scalar, cold: Scalar, *,
             far: bool = False) -> None:  # fmt: skip
    """Compute a = start + z @ w for one part: ``width`` vectors of columns or, negative, so many single columns.

    With ``far`` weights come from beyond the second-level cache.
    """
    ahead = n_rows * z_step  # the block of rows after this one

    def case(tile: Any, size: int) -> None:
        for rows, i in ladder(code, n_rows):
            places = z + i * z_step, z_step, n, w, start + i * start_step, start_step, a + i * a_step, a_step
            code.call_function(tile(code, rows, size), *places, ahead, cold)

    shapes: dict[int, tuple[Any, int]] = {c: (partial(product, far=far), c) for c in range(1, code.shape.vectors + 1)}
    shapes |= {-c: (dots, c) for c in range(1, DOT_COLUMNS + 1)}
    code.switch(width, {value: partial(case, *shape) for value, shape in shapes.items()})


@routine
def activate(code: Code, a: Scalar, a_step: Scalar, n_rows: Scalar, n_columns: Scalar, activation: Scalar) -> None:
    """Replace ``n_columns``, whole vectors, of each row by their hidden activation, if it is one."""

    def case(function: Any) -> None:
        with each(code, 0, n_rows) as i, each(code, 0, n_columns, code.shape.lanes) as j:
            place = a + i * a_step + j
            code.store(place, function(code.load(place, aligned=True)), aligned=True)

    more = {value: _function(other) for value, other in enumerate(code.others, start=FIRST_OTHER)}
    code.switch(activation, {value: partial(case, function) for value, function in (_HIDDEN | more).items()})


@routine
def finish(code: Code, a: Scalar, a_step: Scalar, n_rows: Scalar, n_columns: Scalar, activation: Scalar,
           out: Scalar) -> None:  # fmt: skip
    """Write the outputs of the network, row by row: the softmax of the sums of its last layer, or the sums."""

    def case(write: Any) -> None:
        with each(code, 0, n_rows) as i:
            write(code, plain(a + i * a_step), plain(n_columns), plain(out + i * n_columns))

    code.switch(activation, {SOFTMAX: partial(case, _softmax), IDENTITY: partial(case, _copy)})


def _copy(code: Code, a: Any, n: Any, out: Any) -> None:
    """Write n items of ``a`` to ``out``."""
    each_vector(
        code, n, [], lambda j, mask, _: code.store_part(code.address(out, j), code.load(code.address(a, j)), mask)
    )


def each_vector(code: Code, n: Any, carried: list[Any], body: Any) -> list[Any]:
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

    (x,) = each_vector(code, n, [lowest.value], highest)
    top = code.splat(code.vector(x).largest())
    (x,) = each_vector(code, n, [code.constant(0.0).value], exponentials)
    share = code.splat(code.builder.fdiv(ir.Constant(code.real, 1.0), code.vector(x).sum()))
    each_vector(code, n, [], normalised)
