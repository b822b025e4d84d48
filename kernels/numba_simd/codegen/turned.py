"""Layers behind the first, with rows in the lanes of a vector: activations are turned by a quarter.

In the first layer lanes are columns: an input goes into all lanes, and a vector of weights is 16 columns. The layers
behind it have few columns, and seldom a multiple of 16: 100 are 7 vectors, of which the last is a quarter full. In
these layers lanes are rows, of which there are enough: a *weight* goes into all lanes, and a vector of activations is
16 rows of one column. The tile is that of the first layer, with the weights in place of z, and z in place of w:

    a = z @ W,  turned:  a.T = W.T @ z.T

No column is padding, 10 outputs of 16 rows are 10 multiply-adds for each input instead of 16, and softmax looks for the
largest and adds up between registers instead of between lanes.
"""

# mypy: disable-error-code="no-untyped-call"
from functools import partial
from typing import Any

from mlpbench.kernels.numba_simd.codegen import functions
from mlpbench.kernels.numba_simd.codegen.layers import IDENTITY, SOFTMAX
from mlpbench.kernels.numba_simd.codegen.scalar import I64, Scalar, each
from mlpbench.kernels.numba_simd.codegen.tile import ladder, product
from mlpbench.kernels.numba_simd.codegen.vector import Code, Vector, routine


def transposed(code: Code, vectors: list[Vector]) -> list[Vector]:
    """Return the columns of a square of as many vectors as each has lanes.

    Shuffling the first half of all items into the second half, like cards, moves each item's place by one binary digit.
    As many times as the lanes have digits, and rows and columns have changed places.
    """
    lanes = code.shape.lanes
    half = lanes // 2
    orders = [[x for i in range(start, start + half) for x in (i, lanes + i)] for start in (0, half)]
    for _ in range(lanes.bit_length() - 1):
        pairs = zip(vectors[:half], vectors[half:], strict=True)
        vectors = [x.shuffled(order, y) for x, y in pairs for order in orders]
    return vectors


@routine
def turn(code: Code, a: Scalar, a_step: Scalar, n_vectors: Scalar, n_columns: Scalar, z: Scalar) -> None:
    """Write the columns of ``a``, whole vectors of rows by ``n_columns``, to ``z``: column after column."""
    lanes = code.shape.lanes
    z_step = n_vectors * lanes
    with each(code, 0, z_step, lanes) as v:
        rows = [a + (v + r) * a_step for r in range(lanes)]
        with each(code, 0, n_columns, lanes) as j:
            square = transposed(code, [code.load(row + j, aligned=True) for row in rows])
            for c, x in enumerate(square):
                code.store(z + (j + c) * z_step + v, x, aligned=True)


@routine
def multiply_turned(code: Code, w: Scalar, n: Scalar, n_columns: Scalar, z: Scalar, bias: Scalar, a: Scalar,
                    n_vectors: Scalar) -> None:  # fmt: skip
    """Compute a = bias + W.T @ z for turned z (n) and a (n_columns), each of so many vectors of rows; w holds W.T."""

    def case(vectors: int) -> None:
        step = vectors * code.shape.lanes
        for columns, j in ladder(code, n_columns):
            function = product(code, columns, vectors, turned=True)
            code.call_function(function, w + j * n, n, n, z, bias + j, 1, a + j * step, step, 0, 0)

    code.switch(n_vectors, {vectors: partial(case, vectors) for vectors in range(1, code.shape.vectors + 1)})


@routine
def finish_turned(code: Code, a: Scalar, n: Scalar, n_vectors: Scalar, activation: Scalar, out: Scalar) -> None:
    """Write the outputs of the network, row after row, from the turned sums of its last layer."""
    lanes = code.shape.lanes
    step = n_vectors * lanes

    def case(factor: Any) -> None:
        with each(code, 0, step, lanes) as v:
            _write_rows(code, a + v, step, n, out + v * n, factor)

    code.switch(activation, {SOFTMAX: partial(case, _softmax), IDENTITY: partial(case, lambda *_: None)})


def _write_rows(code: Code, a: Scalar, step: Scalar, n: Scalar, out: Scalar, factor: Any) -> None:
    """Write n columns of a vector of rows to ``out``, times what ``factor`` returns."""
    share, lanes = factor(code, a, step, n), code.shape.lanes
    with each(code, 0, n, lanes) as j:
        # Beyond the last column there is memory, and what is read there is not written.
        square = [code.load(a + (j + c) * step, aligned=True) for c in range(lanes)]
        square = transposed(code, [x if share is None else x * share for x in square])
        mask = code.first_lanes(n - j)
        for r, x in enumerate(square):
            code.store_part(out + n * r + j, x, mask)


def _softmax(code: Code, a: Scalar, step: Scalar, n: Scalar) -> Vector:
    """Replace n columns by their exponentials; return the reciprocal of their sums. See `layers` about NaN."""

    def place(j: Any) -> Any:
        return a + step * j

    def highest(j: Any, carried: list[Any]) -> list[Any]:
        return [code.load(place(j), aligned=True).at_least(code.vector(carried[0])).value]

    def exponentials(j: Any, carried: list[Any]) -> list[Any]:
        y = functions.exp(code.load(place(j), aligned=True) - code.vector(top))
        code.store(place(j), y, aligned=True)
        return [(code.vector(carried[0]) + y).value]

    (top,) = code.loop(I64(0), n, 1, [code.constant(float("-inf")).value], highest)
    (total,) = code.loop(I64(0), n, 1, [code.constant(0.0).value], exponentials)
    return code.constant(1.0) / code.vector(total)
