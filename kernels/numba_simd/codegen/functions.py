"""exp and its relatives on vectors: formulas without a branch or a call, written lane by lane at once."""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from mlpbench.kernels.numba_simd.codegen.polynomials import NORMAL, SILU_LOWEST, TANH
from mlpbench.kernels.numba_simd.codegen.scalar import I8, I16, I32
from mlpbench.kernels.numba_simd.codegen.vector import Vector


@dataclass(frozen=True)
class _Exp:
    """Constants of exp for one type: see `exp`."""

    mantissa: int
    bias: int
    #: Beyond these the result is 0 or infinity.
    lowest: float
    highest: float
    #: ln 2 in two parts, of which n times the first is exact (Cephes).
    ln2_high: float
    ln2_low: float
    #: Minimax polynomial Q with exp(r) = 1 + r + r * r * Q(r) for abs(r) <= ln(2) / 2, highest power first.
    q: tuple[float, ...]

    @property
    def shift(self) -> float:
        """1.5 * 2**mantissa: adding it rounds to an integer, which then stands in the low bits of the sum."""
        return 1.5 * 2.0**self.mantissa


#: Q errs by at most 3.1e-9 of exp(r) in the first, 3.7e-18 in the second.
_EXP = {
    32: _Exp(23, 127, -104, 89, 0.693359375, -2.12194440e-4,
             (1.38144647e-3, 8.36878062e-3, 4.16683943e-2, 1.66665201e-1, 4.99999934e-1)),
    64: _Exp(52, 1023, -746, 710, 6.93145751953125e-1, 1.42860682030941723212e-6,
             (2.49999672959094891e-8, 2.76303791727413596e-7, 2.75575873387044312e-6, 2.48014927611495289e-5,
              1.98412695047650467e-4, 1.38888889439243333e-3, 8.33333333349562686e-3, 4.16666666665291817e-2,
              1.66666666666664102e-1, 5.00000000000001072e-1)),
}  # fmt: skip


def polynomial(coefficients: Sequence[float], x: Vector) -> Vector:
    """Return the polynomial of x with these coefficients, highest power first."""
    y = x.code.constant(coefficients[0])
    for coefficient in coefficients[1:]:
        y = y.times_plus(x, coefficient)
    return y


def exp(x: Vector) -> Vector:
    """Return e**x, within 1.1 units in the last place (float32; float64 1.1), without FMA 1.6; NaN stays NaN.

    With n the integer nearest to x / ln 2 and r = x - n ln 2, exp(x) = 2**n * exp(r), exp(r) a polynomial. It
    underflows through the denormals to 0, and overflows to infinity.
    """
    constants = _EXP[x.code.bits]
    x = x.at_least(constants.lowest).at_most(constants.highest)
    shifted = x.times_plus(1 / np.log(2), constants.shift)
    n = shifted - constants.shift
    r = n.times_plus(-constants.ln2_low, n.times_plus(-constants.ln2_high, x))
    y = polynomial(constants.q, r).times_plus(r * r, r) + 1.0
    return _scaled(y, n, shifted)


def _scaled(y: Vector, n: Vector, shifted: Vector) -> Vector:
    """Return y * 2**n, rounded once; ``shifted`` holds n in its low bits."""
    code = y.code
    if code.shape.avx512:
        mask = I8 if code.shape.lanes == 8 else I16
        name = f"llvm.x86.avx512.mask.scalef.p{'s' if code.bits == 32 else 'd'}.512"
        function = code.declare(name, code.vector_type, [code.vector_type] * 3 + [mask, I32])
        rounding = I32(4)  # as the processor is set
        return code.vector(code.builder.call(function, [y.value, n.value, y.value, mask(-1), rounding]))
    constants, builder = _EXP[code.bits], code.builder

    def integers(value: int) -> ir.Constant:
        return ir.Constant(code.integers, [value] * code.shape.lanes)

    def power(exponent: object) -> Vector:
        bits = builder.shl(builder.add(exponent, integers(constants.bias)), integers(constants.mantissa))
        return code.vector(builder.bitcast(bits, code.vector_type))

    shift_bits = int(np.array(constants.shift, f"f{code.bits // 8}").view(f"i{code.bits // 8}"))
    exponent = builder.sub(builder.bitcast(shifted.value, code.integers), integers(shift_bits))
    half = builder.ashr(exponent, integers(1))  # two factors: one alone has no 2**-149 and no 2**128
    return y * power(half) * power(builder.sub(exponent, half))


#: Minimax polynomial P with 2**-t = 1 + t * P(t) for abs(t) <= 1 / 2 in float32, highest power first; it errs by at
#: most 1.1e-7 of the result, 0.9 units in the last place.
_P_32 = (-1.326472731307149e-3, 9.671512991189957e-3, -5.550733581185341e-2, 2.4022242426872253e-1,
         -6.931470036506653e-1)  # fmt: skip


def sigmoid(x: Vector) -> Vector:
    """Return 1 / (1 + exp(-x)): within 3 units in the last place, and for x < 0 within abs(x) / 4 more.

    The second part is less than what rounding x itself does to the result. A division takes as much time as two
    multiplications, which the processor's estimate of a reciprocal with a step of Newton would need too.
    """
    e = _exp_of_negative(x) if x.code.bits == 32 else exp(-x)
    return x.code.constant(1.0) / (e + 1.0)


def _exp_of_negative(x: Vector) -> Vector:
    """Return exp(-x) in float32, with one multiplication for the argument where `exp` has three."""
    log2_e, shift = 1 / np.log(2), _EXP[32].shift
    x = x.at_least(-105.0).at_most(105.0)
    shifted = x.times_plus(-log2_e, shift)
    n = shifted - shift
    t = x.times_plus(log2_e, n)  # -x / ln 2 = n - t
    return _scaled(polynomial((*_P_32, 1.0), t), n, shifted)


def relu(x: Vector) -> Vector:
    """Return max(x, 0); NaN stays NaN."""
    return x.at_least(0.0)


def step(x: Vector) -> Vector:
    """Return 1 where x > 0, else 0; NaN gives 0."""
    return x.code.constant(1.0).where(x.compare(">", 0.0), 0.0)


def tanh(x: Vector) -> Vector:
    """Return the hyperbolic tangent, within 1.9 units in the last place; NaN stays NaN."""
    constants = TANH[x.code.bits]
    y, square = x.at_least(-x), x * x
    e = exp(y * -2.0)
    far = x.code.constant(1.0) - (e + e) / (e + 1.0)
    near = polynomial(constants.p, square).times_plus(x * square, x)
    signed = (-far).where(x.compare("<", 0.0), far)
    return near.where(y.compare("<", constants.edge), signed)


def gelu(x: Vector) -> Vector:
    """Return x * Phi(x): within 6 units in the last place, and for x < 0 within x * x / 2 more; NaN stays NaN.

    The second part is less than what rounding x itself does to the result. With y = abs(x) the result is
    max(x, 0) - y * Phi(-y), whatever the sign of x: nothing cancels.
    """
    constants = NORMAL[x.code.bits]
    y = x.at_least(-x).at_most(constants.highest)
    share = x.code.constant(1.0) / (y + constants.center)
    q = (y - constants.center) * share
    below = exp(y * y * -0.5) * (polynomial(constants.p, q) * share)
    return x.at_least(0.0) - y * below


def silu(x: Vector) -> Vector:
    """Return x / (1 + exp(-x)): within 3 units in the last place, and for x < 0 within abs(x) / 4 more.

    Where exp(-x) is infinite the result is 0: below -88.7 in float32, below -709.8 in float64.
    """
    x = x.at_least(SILU_LOWEST[x.code.bits])
    e = _exp_of_negative(x) if x.code.bits == 32 else exp(-x)
    return x / (e + 1.0)


def leaky_relu(x: Vector, slope: float) -> Vector:
    """Return x where it is positive, else slope * x, for a slope from 0 to 1; NaN stays NaN."""
    return (x * slope).at_least(x)
