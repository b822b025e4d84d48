"""The forward pass as plain loops, written so that LLVM turns the inner one into vector instructions.

1. **The inner loop runs over the columns of W.** ``W[k, j]`` and ``W[k, j + 1]`` lie side by side, and each column has
   a sum of its own, so a vector of columns takes the additions of one column. A loop over ``k`` is one sum, whose
   additions change order in a vector. Only ``fastmath=True`` permits that, and then LLVM also assumes that there is no
   NaN. In `functions.OPTIONS` `fastmath` is ``contract`` alone: ``a * b + c`` may be one FMA.
2. **Weights are packed in panels** of `PANEL` columns, the bias on top, zeros beyond the last column: no remainder.
3. **The sums stay in registers** over the whole loop over ``k``. LLVM keeps them there only where it knows the length
   of the loop, and that no other array overlaps. So `stack_tile` is a small array on the stack, of constant shape. An
   array from the heap would be loaded and stored for every ``k``, behind a dozen overlap checks.
4. **Four rows at a time**: each weight that is loaded is used four times. One row alone has a loop of its own.
5. **A block of rows goes through a layer together**, panel by panel: the panel and the activations stay in the cache.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from mlpbench.kernels.numba_jit.cache import compile_once
from mlpbench.kernels.numba_jit.functions import OPTIONS, exp, gelu, inlined, jit, sigmoid, silu, tanh
from mlpbench.kernels.numba_jit.target import PANEL, TILE_ROWS, host

#: Activations, as ``layers`` holds them.
IDENTITY, SIGMOID, RELU, STEP, SOFTMAX, TANH, GELU, SILU, LEAKY_RELU = range(9)
CODES = {
    "identity": IDENTITY,
    "sigmoid": SIGMOID,
    "relu": RELU,
    "step": STEP,
    "softmax": SOFTMAX,
    "tanh": TANH,
    "gelu": GELU,
    "silu": SILU,
    "leaky-relu": LEAKY_RELU,
}
#: The slope of leaky-relu stands among integers as a multiple of 2**-SLOPE_BITS.
SLOPE_BITS = 53
#: Rows that go through a layer together.
BLOCK_ROWS = 32


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


@jit
def activate_more(a: Any, columns: int, activation: int, slope: int) -> None:
    """Do what `activate` does for the activations that few networks have: compiled only for those that have them."""
    factor = a.dtype.type(slope) * a.dtype.type(2.0**-SLOPE_BITS)
    for i in range(a.shape[0]):
        row = a[i]
        if activation == TANH:
            for j in range(columns):
                row[j] = tanh(row[j])
        elif activation == GELU:
            for j in range(columns):
                row[j] = gelu(row[j])
        elif activation == SILU:
            for j in range(columns):
                row[j] = silu(row[j])
        elif activation == LEAKY_RELU:
            for j in range(columns):
                row[j] = max(row[j], factor * row[j])


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
            for j in range(n):  # and no slice: Numba would compile the words of an error that it may raise, for 2 s
                y[j] = row[j]
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


@inlined
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


@inlined
def forward_rows(x: Any, weights: Any, layers: Any, buffers: Any, out: Any, more: Any) -> None:
    """Compute the outputs of some rows, as `compiled` says, with the ``buffers`` of one thread.

    Where ``more`` is None, Numba leaves out the activations of `activate_more`.
    """
    for first in range(0, x.shape[0], BLOCK_ROWS):
        z = x[first : first + BLOCK_ROWS]
        row = 0
        for layer in range(layers.shape[0]):
            n_in, n_out, activation, slope = layers[layer]
            a = buffers[layer % 2, : z.shape[0]]
            row += multiply(z, n_in, n_out, weights[row:], a)
            if layer == layers.shape[0] - 1:
                finish(a, activation, out[first : first + BLOCK_ROWS])
            else:
                columns = (n_out + 15) // 16 * 16  # whole vectors; what is beyond is never read
                activate(a, columns, activation)
                if more is not None:
                    activate_more(a, columns, activation, slope)
            z = a


@inlined
def require_shapes(x: Any, layers: Any, out: Any) -> None:
    """Raise ValueError where loops without bounds checks would leave an array."""
    if x.shape[1] != layers[0, 0] or x.shape[0] != out.shape[0]:
        raise ValueError("the input does not have the shape that the network takes")


def _serial(x: Any, weights: Any, layers: Any, buffers: Any, out: Any) -> None:
    require_shapes(x, layers, out)
    forward_rows(x, weights, layers, buffers[0], out, None)


def _serial_more(x: Any, weights: Any, layers: Any, buffers: Any, out: Any) -> None:
    require_shapes(x, layers, out)
    forward_rows(x, weights, layers, buffers[0], out, 1)


@jit
def rows_of_thread(rows: int, threads: int) -> int:
    """Return how many rows each thread computes: whole tiles."""
    return (rows + threads * TILE_ROWS - 1) // (threads * TILE_ROWS) * TILE_ROWS


def _call_serial(_typing: Any, _address: Any, x: Any, weights: Any, layers: Any, buffers: Any, out: Any) -> Any:
    """Call what `_serial` was compiled to, at its address, as compiled code calls another function.

    Its status is not looked at: `_parallel` has checked the shapes.
    """
    given = x, weights, layers, buffers, out

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        kind = context.call_conv.get_function_type(types.none, given)
        function = builder.inttoptr(values[0], kind.as_pointer())
        context.call_conv.call_function(builder, function, types.none, given, values[1:])
        return context.get_dummy_value()

    return types.void(types.intp, *given), generate


call_serial: Any = intrinsic(_call_serial)


def _parallel(x: Any, weights: Any, layers: Any, buffers: Any, out: Any, serial: int) -> None:
    require_shapes(x, layers, out)
    threads = buffers.shape[0]
    rows = (x.shape[0] + threads * TILE_ROWS - 1) // (threads * TILE_ROWS) * TILE_ROWS  # of each thread: whole tiles
    for thread in numba.prange(threads):
        first, end = thread * rows, (thread + 1) * rows
        call_serial(serial, x[first:end], weights, layers, buffers[thread : thread + 1], out[first:end])


def _signature(dtype: str, *more: Any) -> Any:
    """Return the types. ``x`` is read-only: so read-only arrays are taken, and no line here could write to it."""
    item = numba.from_dtype(np.dtype(dtype))
    x = types.Array(item, 2, "C", readonly=True)
    return types.void(x, item[:, ::1], types.int64[:, ::1], item[:, :, :, ::1], item[:, ::1], *more)


@cache
def compiled(dtype: str, *, more: bool = False) -> Any:
    """Return f(x, weights, layers, buffers, out) for "float32" or "float64" and any specification, compiled.

    ``x`` (batch, n_in) and ``out`` (batch, n_out); ``weights`` (rows, `PANEL`); ``layers`` (n_layers, 4): inputs,
    outputs, activation, slope; ``buffers`` (threads, 2, `BLOCK_ROWS`, columns): the activations of a block, of which
    the first thread's are used. With ``more`` the function knows the activations of `activate_more` too, which take
    time to compile.

    The function is compiled here for one signature, or loaded if an earlier process has compiled it: no call compiles.
    """
    return compile_once(_serial_more if more else _serial, _signature(dtype), **OPTIONS)


@cache
def parallel(dtype: str) -> Any:
    """Return f(x, weights, layers, buffers, out, address), compiled as `compiled` says.

    It divides the batch among as many threads as there are buffers. Each calls the function at the `address`: so the
    loops are not compiled again.
    """
    return compile_once(_parallel, _signature(dtype, types.intp), parallel=True, **OPTIONS)


def address(function: Any) -> int:
    """Return where the machine code of a function of `compiled` is, for compiled code to call."""
    (found,) = function.overloads.values()
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))
