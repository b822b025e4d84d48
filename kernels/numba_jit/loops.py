"""The forward pass as plain loops, written so that LLVM turns the inner one into vector instructions.

The inner loop of `multiply` runs over the inputs of a neuron. Sixteen sums, of four rows times four neurons, grow at
once: each of the eight numbers that a step loads is used four times, and no sum leaves its register. A vector holds
several terms of one sum, so the order of additions changes: ``reassoc`` permits that, and ``contract`` permits
``a * b + c`` in one instruction. Neither lets LLVM assume that there is no NaN, as ``fastmath=True`` would.

`exp` is written out because the C library's takes one number at a time: with it a batch of 784-50-100-10 takes 1.45
times as long (measured on Zen 5).
"""

# mypy: disable-error-code="no-untyped-call"
import math
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types
from numba.extending import overload

from mlpbench.kernels.numba_jit.cache import compile_once

OPTIONS: Any = {"fastmath": {"contract", "reassoc"}, "error_model": "numpy", "boundscheck": False}

#: Activations, as ``layers`` holds them: by their place.
ACTIVATIONS = ("identity", "sigmoid", "relu", "step", "softmax", "tanh", "gelu", "silu", "leaky-relu")
IDENTITY, SIGMOID, RELU, STEP, SOFTMAX, TANH, GELU, SILU, LEAKY_RELU = range(9)
#: Rows that go through the network together, so that what a layer computes is in the cache for the next one.
BLOCK_ROWS = 64

_Function = TypeVar("_Function", bound=Callable[..., Any])


def jit(function: _Function) -> _Function:
    """Compile, for whatever types the function is called with."""
    jitted: _Function = numba.njit(**OPTIONS)(function)
    return jitted


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

    exactly: Any = numba.njit(**{**OPTIONS, "fastmath": {"contract"}})  # each rounding counts

    @exactly  # type: ignore[untyped-decorator,unused-ignore]
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


@overload(exp, jit_options=OPTIONS)
def _exp_of_type(x: Any) -> Any:
    of_type = _exp_32 if x == types.float32 else _exp_64

    def implementation(x: Any) -> Any:
        return of_type(x)

    return implementation


@jit
def sigmoid(x: Any, one: Any) -> Any:
    """Return 1 / (1 + exp(-x)), within 2.4 units in the last place; ``one`` is 1 in the dtype of x."""
    e = exp(-abs(x))  # cannot overflow
    return (e if x < 0 else one) / (one + e)


@jit
def multiply(z: Any, W: Any, b: Any, a: Any) -> None:
    """Compute z @ W.T + b into ``a``: (rows, n_in) times (n_out, n_in) to (rows, n_out).

    In place of a neuron beyond the last one, the last one is computed again, and written again with the same result.
    """
    n_in, end = W.shape[1], b.size - 1
    tiled = z.shape[0] // 4 * 4
    for i in range(0, tiled, 4):
        for j in range(0, b.size, 4):
            j1, j2, j3 = min(j + 1, end), min(j + 2, end), min(j + 3, end)
            s00 = s10 = s20 = s30 = b[j]
            s01 = s11 = s21 = s31 = b[j1]
            s02 = s12 = s22 = s32 = b[j2]
            s03 = s13 = s23 = s33 = b[j3]
            for k in range(n_in):
                z0, z1, z2, z3 = z[i, k], z[i + 1, k], z[i + 2, k], z[i + 3, k]
                w0, w1, w2, w3 = W[j, k], W[j1, k], W[j2, k], W[j3, k]
                s00, s01, s02, s03 = s00 + z0 * w0, s01 + z0 * w1, s02 + z0 * w2, s03 + z0 * w3
                s10, s11, s12, s13 = s10 + z1 * w0, s11 + z1 * w1, s12 + z1 * w2, s13 + z1 * w3
                s20, s21, s22, s23 = s20 + z2 * w0, s21 + z2 * w1, s22 + z2 * w2, s23 + z2 * w3
                s30, s31, s32, s33 = s30 + z3 * w0, s31 + z3 * w1, s32 + z3 * w2, s33 + z3 * w3
            a[i, j], a[i, j1], a[i, j2], a[i, j3] = s00, s01, s02, s03
            a[i + 1, j], a[i + 1, j1], a[i + 1, j2], a[i + 1, j3] = s10, s11, s12, s13
            a[i + 2, j], a[i + 2, j1], a[i + 2, j2], a[i + 2, j3] = s20, s21, s22, s23
            a[i + 3, j], a[i + 3, j1], a[i + 3, j2], a[i + 3, j3] = s30, s31, s32, s33
    for i in range(tiled, z.shape[0]):
        for j in range(b.size):
            s = b[j]
            for k in range(n_in):
                s += z[i, k] * W[j, k]
            a[i, j] = s


@jit
def activate(a: Any, n: int, activation: int, slope: Any) -> None:  # noqa: C901 - a branch for each activation
    """Replace the first ``n`` of each row by their activation; ``slope``: of leaky-relu, in the dtype of ``a``."""
    zero, one, half, root_half = a.dtype.type(0), a.dtype.type(1), a.dtype.type(0.5), a.dtype.type(math.sqrt(0.5))
    for i in range(a.shape[0]):
        row = a[i]
        if activation == SIGMOID:
            for j in range(n):
                row[j] = sigmoid(row[j], one)
        elif activation == RELU:
            for j in range(n):
                row[j] = max(row[j], zero)  # NaN stays
        elif activation == STEP:
            for j in range(n):
                row[j] = one if row[j] > 0 else zero
        elif activation == TANH:
            for j in range(n):
                row[j] = math.tanh(row[j])
        elif activation == GELU:
            for j in range(n):
                row[j] *= half * math.erfc(-row[j] * root_half)
        elif activation == SILU:
            for j in range(n):
                row[j] *= sigmoid(row[j], one)
        elif activation == LEAKY_RELU:
            for j in range(n):
                row[j] = max(row[j], slope * row[j])


@jit
def softmax(a: Any, n: int) -> None:
    """Replace the first ``n`` of each row by their softmax."""
    for i in range(a.shape[0]):
        row = a[i]
        highest = row[0]
        for j in range(1, n):
            highest = max(highest, row[j])
        for j in range(n):
            row[j] = exp(row[j] - highest)
        total = row[0]
        for j in range(1, n):
            total += row[j]
        for j in range(n):
            row[j] /= total


def forward(x: Any, weights: Any, layers: Any, slopes: Any, buffers: Any, out: Any) -> None:
    """Compute the outputs of a batch, as `compiled` says. Each thread has a share of the rows."""
    if x.shape[1] != layers[0, 0] or x.shape[0] != out.shape[0]:
        raise ValueError("the input does not have the shape that the network takes")
    threads = buffers.shape[0]
    n_weights = (layers[:, 0] * layers[:, 1]).sum()
    share = (x.shape[0] + 4 * threads - 1) // (4 * threads) * 4
    for thread in numba.prange(threads):
        end = min((thread + 1) * share, x.shape[0])
        for first in range(thread * share, end, BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, end)
            z, at, bias_at = x[first:last], 0, n_weights
            for layer in range(layers.shape[0]):
                n_in, n_out, activation = layers[layer]
                W, b = weights[at : at + n_in * n_out].reshape((n_out, n_in)), weights[bias_at : bias_at + n_out]
                at, bias_at = at + n_in * n_out, bias_at + n_out
                a = out[first:last] if layer == layers.shape[0] - 1 else buffers[thread, layer % 2, : last - first]
                multiply(z, W, b, a)
                if activation == SOFTMAX:
                    softmax(a, n_out)
                else:
                    activate(a, n_out, activation, slopes[layer])
                z = a


@cache
def compiled(dtype: str, *, parallel: bool = False) -> Any:
    """Return f(x, weights, layers, slopes, buffers, out) for "float32" or "float64" and any specification, compiled.

    ``x`` (batch, n_in) and ``out`` (batch, n_out); ``weights``: for each layer the bias, then W with the weights of a
    neuron side by side; ``layers`` (n_layers, 3): inputs, outputs, activation; ``slopes`` (n_layers,); ``buffers``
    (threads, 2, `BLOCK_ROWS`, columns): what the layers of a block compute in turn. With ``parallel`` as many threads
    as there are buffers divide the batch.

    The function is compiled here for one signature, or loaded if an earlier process has compiled it: no call compiles.
    ``x`` is read-only: so read-only arrays are taken, and no line here could write to it.
    """
    item = numba.from_dtype(np.dtype(dtype))
    x = types.Array(item, 2, "C", readonly=True)
    signature = types.void(x, item[::1], types.int64[:, ::1], item[::1], item[:, :, :, ::1], item[:, ::1])
    return compile_once(forward, signature, parallel=parallel, **OPTIONS)
