"""The forward pass as plain loops, written so that LLVM turns the inner one into vector instructions.

1. **The inner loop runs over the columns of W.** ``W[k, j]`` and ``W[k, j + 1]`` lie side by side, and each column has
   a sum of its own, so a vector of columns takes the additions of one column. A loop over ``k`` is one sum, whose
   additions change order in a vector. Only ``fastmath=True`` permits that, and then LLVM also assumes that there is no
   NaN. Here `fastmath` is ``contract`` alone: ``a * b + c`` may be one FMA.
2. **Weights are packed in panels** of `PANEL` columns, the bias on top, zeros beyond the last column: no remainder.
3. **The sums stay in registers** over the whole loop over ``k``. LLVM keeps them there only where it knows the length
   of the loop, and that no other array overlaps. So `stack_tile` is a small array on the stack, of constant shape. An
   array from the heap would be loaded and stored for every ``k``, behind a dozen overlap checks.
4. **Four rows at a time**: each weight that is loaded is used four times. One row alone has a loop of its own.
5. **A block of rows goes through a layer together**, panel by panel: the panel and the activations stay in the cache.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array, populate_array

from mlpbench.kernels.numba_jit.cache import compile_once
from mlpbench.kernels.numba_jit.target import PANEL, TILE_ROWS, host

#: Activations, as ``layers`` holds them.
IDENTITY, SIGMOID, RELU, STEP, SOFTMAX = range(5)
#: Rows that go through a layer together.
BLOCK_ROWS = 32

_OPTIONS: Any = {"fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}

_Function = TypeVar("_Function", bound=Callable[..., Any])


def jit(function: _Function) -> _Function:
    """Compile, for whatever types the function is called with."""
    jitted: _Function = numba.njit(**_OPTIONS)(function)
    return jitted


def _stack_tile(_typing: Any, like: Any, rows: Any) -> Any:
    """Return an uninitialised array on the stack, of the dtype of ``like``: one row a panel wide, or rows of a tile."""
    dtype, n_rows, array_type = like.dtype, rows.literal_value, types.Array(like.dtype, 2, "C")

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        item = context.get_data_type(dtype)
        size = context.get_abi_sizeof(item)
        columns = PANEL if n_rows == 1 else host().tile_columns(size)
        memory = cgutils.alloca_once(builder, ir.ArrayType(item, n_rows * columns))
        memory.align = 64
        sizes = (n_rows, columns, columns * size, size)
        height, width, stride, itemsize = (context.get_constant(types.intp, n) for n in sizes)
        array = make_array(array_type)(context, builder)
        data, shape, strides = builder.bitcast(memory, item.as_pointer()), [height, width], [stride, itemsize]
        populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
        return array._getvalue()  # noqa: SLF001 - what all of Numba's own code generators do

    return array_type(like, rows), generate


stack_tile: Any = intrinsic(prefer_literal=True)(_stack_tile)


def _make_exp(real: Any, integer: Any, limits: Any, ln2: Any, q: tuple[float, ...]) -> Any:
    """Return exp for one dtype, without a branch or a call, so that a loop around it becomes vector code.

    With n the integer nearest to x / ln 2 and r = x - n ln 2, exp(x) = 2**n * exp(r). Adding and subtracting
    ``shift`` = 1.5 * 2**mantissa rounds to an integer, which then stands in the low bits of the sum; ln 2 is subtracted
    in two parts, of which n times the first is exact (Cephes); exp(r) = 1 + r + r * r * Q(r), with a minimax polynomial
    Q of coefficients ``q``. 2**n is multiplied in two halves: so the result overflows to infinity, and underflows
    through the denormals to 0, as it does beyond the ``limits``.
    """
    lowest, highest, ln2_high, ln2_low, log2_e = (real(value) for value in (*limits, *ln2, 1 / np.log(2)))
    q_highest, q_others = real(q[0]), tuple(real(c) for c in q[1:])
    one, mantissa, bias = real(1), np.finfo(real).nmant, integer(np.finfo(real).maxexp - 1)
    shift = real(1.5 * 2**mantissa)
    shift_bits = shift.view(integer)

    @jit
    def exp_of(x: Any) -> Any:
        x = max(min(x, highest), lowest)  # NaN stays: each is x unless the comparison with x is true
        shifted = x * log2_e + shift
        n = shifted - shift
        r = (x - n * ln2_high) - n * ln2_low
        y = q_highest
        for c in q_others:
            y = y * r + c
        y = y * (r * r) + r + one
        exponent = real(shifted).view(integer) - shift_bits
        half = exponent >> 1
        y *= integer((half + bias) << mantissa).view(real)
        return y * integer((exponent - half + bias) << mantissa).view(real)

    return exp_of


# Polynomials that make exp(r) err by at most 3.1e-9 and 3.7e-18 for abs(r) <= ln(2) / 2, highest power first.
_Q_32 = (1.38144647e-3, 8.36878062e-3, 4.16683943e-2, 1.66665201e-1, 4.99999934e-1)
_Q_64 = (
    2.49999672959094891e-8, 2.76303791727413596e-7, 2.75575873387044312e-6, 2.48014927611495289e-5,
    1.98412695047650467e-4, 1.38888889439243333e-3, 8.33333333349562686e-3, 4.16666666665291817e-2,
    1.66666666666664102e-1, 5.00000000000001072e-1,
)  # fmt: skip
_exp_32 = _make_exp(np.float32, np.int32, (-104, 89), (0.693359375, -2.12194440e-4), _Q_32)
_exp_64 = _make_exp(np.float64, np.int64, (-746, 710), (6.93145751953125e-1, 1.42860682030941723212e-6), _Q_64)


def exp(x: Any) -> Any:
    """Return e**x of a float32 (within 1.02 units in the last place, all tried) or float64 (1.03), compiled only."""
    raise NotImplementedError("call it from compiled code")


def _exp(x: Any) -> Any:
    exp_of = _exp_32 if x == types.float32 else _exp_64

    def implementation(x: Any) -> Any:
        return exp_of(x)

    return implementation


overload(exp, jit_options=_OPTIONS)(_exp)


@jit
def sigmoid(x: Any, one: Any) -> Any:
    """Return 1 / (1 + exp(-x)), within 2.4 units in the last place; ``one`` is 1 in the dtype of x."""
    e = exp(-abs(x))  # cannot overflow
    return (e if x < 0 else one) / (one + e)


@jit
def activate(a: Any, columns: int, activation: int) -> None:
    """Replace the first ``columns`` of each row by their hidden activation."""
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for i in range(a.shape[0]):
        row = a[i]
        if activation == SIGMOID:
            for j in range(columns):
                row[j] = sigmoid(row[j], one)
        elif activation == RELU:
            for j in range(columns):
                row[j] = max(row[j], zero)  # NaN stays
        elif activation == STEP:
            for j in range(columns):
                row[j] = one if row[j] > 0 else zero


@jit
def finish(a: Any, activation: int, out: Any) -> None:
    """Write the outputs of the network, row by row: the softmax of the sums of its last layer, or the sums."""
    n = out.shape[1]
    for i in range(out.shape[0]):
        row, y = a[i], out[i]
        if activation == IDENTITY:
            y[:] = row[:n]
            continue
        highest = row[0]
        for j in range(1, n):
            highest = max(highest, row[j])
        for j in range(n):
            y[j] = exp(row[j] - highest)
        total = y[0]
        for j in range(1, n):
            total += y[j]
        for j in range(n):
            y[j] /= total


@jit
def multiply_four(z: Any, i: int, n_in: int, panel: Any, a: Any, column: int) -> None:
    """Compute `PANEL` columns of z @ W + b for the rows i to i + 3, into ``a`` from ``column``.

    In place of a row beyond the end of ``z`` the last row is computed again, and written again with the same result.
    """
    last = z.shape[0] - 1
    i1, i2, i3 = min(i + 1, last), min(i + 2, last), min(i + 3, last)
    sums = stack_tile(a, TILE_ROWS)
    width = sums.shape[1]
    for left in range(0, PANEL, width):
        for r in range(TILE_ROWS):
            for j in range(width):
                sums[r, j] = panel[0, left + j]
        for k in range(n_in):
            z0, z1, z2, z3 = z[i, k], z[i1, k], z[i2, k], z[i3, k]
            for j in range(width):
                w = panel[1 + k, left + j]
                sums[0, j] += z0 * w
                sums[1, j] += z1 * w
                sums[2, j] += z2 * w
                sums[3, j] += z3 * w
        for j in range(width):
            a[i, column + left + j] = sums[0, j]
            a[i1, column + left + j] = sums[1, j]
            a[i2, column + left + j] = sums[2, j]
            a[i3, column + left + j] = sums[3, j]


@jit
def multiply_one(z: Any, i: int, n_in: int, panel: Any, a: Any, column: int) -> None:
    """Compute `PANEL` columns of z @ W + b for row i, into ``a`` from ``column``."""
    sums = stack_tile(a, 1)
    for j in range(PANEL):
        sums[0, j] = panel[0, j]
    for k in range(n_in):
        z0 = z[i, k]
        for j in range(PANEL):
            sums[0, j] += z0 * panel[1 + k, j]
    for j in range(PANEL):
        a[i, column + j] = sums[0, j]


@jit
def multiply(z: Any, n_in: int, n_out: int, weights: Any, a: Any) -> int:
    """Compute z @ W + b into ``a``, panel by panel. Return how many rows of ``weights`` the layer has."""
    row = 0
    for column in range(0, n_out, PANEL):
        panel = weights[row : row + 1 + n_in]
        row += 1 + n_in
        for i in range(0, z.shape[0] - 1, TILE_ROWS):
            multiply_four(z, i, n_in, panel, a, column)
        if z.shape[0] % TILE_ROWS == 1:
            multiply_one(z, z.shape[0] - 1, n_in, panel, a, column)
    return row


@jit
def forward_rows(x: Any, weights: Any, layers: Any, buffers: Any, out: Any) -> None:
    """Compute the outputs of some rows, as `compiled` says, with the ``buffers`` of one thread."""
    for first in range(0, x.shape[0], BLOCK_ROWS):
        z = x[first : first + BLOCK_ROWS]
        row = 0
        for layer in range(layers.shape[0]):
            n_in, n_out, activation = layers[layer]
            a = buffers[layer % 2, : z.shape[0]]
            row += multiply(z, n_in, n_out, weights[row:], a)
            if layer == layers.shape[0] - 1:
                finish(a, activation, out[first : first + BLOCK_ROWS])
            else:
                activate(a, (n_out + 15) // 16 * 16, activation)  # whole vectors; what is beyond is never read
            z = a


@jit
def require_shapes(x: Any, layers: Any, out: Any) -> None:
    """Raise ValueError where loops without bounds checks would leave an array."""
    if x.shape[1] != layers[0, 0] or x.shape[0] != out.shape[0]:
        raise ValueError("the input does not have the shape that the network takes")


def _serial(x: Any, weights: Any, layers: Any, buffers: Any, out: Any) -> None:
    require_shapes(x, layers, out)
    forward_rows(x, weights, layers, buffers[0], out)


def _parallel(x: Any, weights: Any, layers: Any, buffers: Any, out: Any) -> None:
    require_shapes(x, layers, out)
    threads = buffers.shape[0]
    rows = (x.shape[0] + threads * TILE_ROWS - 1) // (threads * TILE_ROWS) * TILE_ROWS
    for thread in numba.prange(threads):
        first, end = thread * rows, (thread + 1) * rows
        forward_rows(x[first:end], weights, layers, buffers[thread], out[first:end])


@cache
def compiled(dtype: str, *, parallel: bool) -> Any:
    """Return f(x, weights, layers, buffers, out) for "float32" or "float64" and any specification, compiled.

    ``x`` (batch, n_in) and ``out`` (batch, n_out); ``weights`` (rows, `PANEL`); ``layers`` (n_layers, 3): inputs,
    outputs, activation; ``buffers`` (threads, 2, `BLOCK_ROWS`, columns): the activations of a block. ``parallel``
    divides the batch among as many threads as there are buffers.

    The function is compiled here for one signature, or loaded if an earlier process has compiled it: no call compiles.
    ``x`` is declared read-only. So read-only arrays are taken too, and no line here could write to ``x``.
    """
    item = numba.from_dtype(np.dtype(dtype))
    x = types.Array(item, 2, "C", readonly=True)
    signature = types.void(x, item[:, ::1], types.int64[:, ::1], item[:, :, :, ::1], item[:, ::1])
    function, options = (_parallel, {**_OPTIONS, "parallel": True}) if parallel else (_serial, _OPTIONS)
    return compile_once(function, signature, **options)
