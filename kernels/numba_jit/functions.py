"""exp and what activations make of it, for compiled loops: no branch and no call, so that loops become vector code."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types
from numba.extending import overload

from mlpbench.kernels.numba_jit import polynomials

OPTIONS: Any = {"fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}

_Function = TypeVar("_Function", bound=Callable[..., Any])


def jit(function: _Function) -> _Function:
    """Compile, for whatever types the function is called with."""
    jitted: _Function = numba.njit(**OPTIONS)(function)
    return jitted


def inlined(function: _Function) -> _Function:
    """Copy a function into what calls it, before types are found out.

    A function of `jit` is optimised and made machine code for itself, and again in whatever calls it, level by level.
    """
    copied: _Function = numba.njit(inline="always", **OPTIONS)(function)
    return copied


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


def by_type(declared: Any, of_32: Any, of_64: Any) -> None:
    """Let compiled code call ``declared``, and with it the one of both functions that is for the type of x."""

    def chosen(x: Any) -> Any:
        function = of_32 if x == types.float32 else of_64

        def implementation(x: Any) -> Any:
            return function(x)

        return implementation

    overload(declared, jit_options=OPTIONS)(chosen)


by_type(exp, _exp_32, _exp_64)


@jit
def sigmoid(x: Any, one: Any) -> Any:
    """Return 1 / (1 + exp(-x)), within 2.4 units in the last place; ``one`` is 1 in the dtype of x."""
    e = exp(-abs(x))  # cannot overflow
    return (e if x < 0 else one) / (one + e)


def _make_tanh(real: Any, coefficients: polynomials.Tanh) -> Any:
    one, edge = real(1), real(coefficients.edge)
    p_highest, p_others = real(coefficients.p[0]), tuple(map(real, coefficients.p[1:]))

    @jit
    def tanh_of(x: Any) -> Any:
        y, z = abs(x), x * x
        e = exp(-(y + y))
        far = one - (e + e) / (one + e)
        p = p_highest
        for c in p_others:
            p = p * z + c
        near = x * z * p + x
        return near if y < edge else (-far if x < 0 else far)

    return tanh_of


def _make_gelu(real: Any, coefficients: polynomials.Normal) -> Any:
    zero, one, half, center, highest = map(real, (0, 1, 0.5, coefficients.center, coefficients.highest))
    p_highest, p_others = real(coefficients.p[0]), tuple(map(real, coefficients.p[1:]))

    @jit
    def gelu_of(x: Any) -> Any:
        y = min(abs(x), highest)
        share = one / (y + center)
        q = (y - center) * share
        p = p_highest
        for c in p_others:
            p = p * q + c
        return max(x, zero) - y * (exp(-half * y * y) * (p * share))  # NaN stays

    return gelu_of


def _make_silu(real: Any, lowest: float) -> Any:
    one, lowest = real(1), real(lowest)

    @jit
    def silu_of(x: Any) -> Any:
        x = max(x, lowest)  # NaN stays
        return x / (one + exp(-x))

    return silu_of


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent, within 1.9 units in the last place, compiled only."""
    raise NotImplementedError("call it from compiled code")


def gelu(x: Any) -> Any:
    """Return x * Phi(x), compiled only: within 6 units in the last place, and for x < 0 within x * x / 2 more.

    The second part is less than what rounding x itself does to the result.
    """
    raise NotImplementedError("call it from compiled code")


def silu(x: Any) -> Any:
    """Return x / (1 + exp(-x)), within 3 units in the last place, compiled only.

    Where exp(-x) is infinite the result is 0: below -88.7 in float32, below -709.8 in float64.
    """
    raise NotImplementedError("call it from compiled code")


by_type(tanh, _make_tanh(np.float32, polynomials.TANH[32]), _make_tanh(np.float64, polynomials.TANH[64]))
by_type(gelu, _make_gelu(np.float32, polynomials.NORMAL[32]), _make_gelu(np.float64, polynomials.NORMAL[64]))
by_type(silu, _make_silu(np.float32, polynomials.SILU_LOWEST[32]), _make_silu(np.float64, polynomials.SILU_LOWEST[64]))
