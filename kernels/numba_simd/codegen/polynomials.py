"""Polynomials that activations of compiled code are made of, for float32 (32) and float64 (64), highest power first.

They are minimax polynomials for the relative error, found by Remez's algorithm with 50 digits.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tanh:
    """For abs(x) < ``edge``, tanh(x) = x + x**3 * P(x * x); P adds at most 0.3 units in the last place.

    Farther out tanh(x) = 1 - 2 e / (1 + e) with e = exp(-2 x), for x > 0.
    """

    edge: float
    p: tuple[float, ...]


TANH = {
    32: Tanh(0.625, (-6.09694156e-3, 2.09973575e-2, -5.38509535e-2, 1.33327701e-1, -3.33333289e-1)),
    64: Tanh(0.625, (
        -1.72455218416070877e-5, 7.96008264163463029e-5, -2.30777220452657324e-4, 5.87437774332899556e-4,
        -1.4553094338407031e-3, 3.59205900103618011e-3, -8.86322983340710037e-3, 2.18694882607092965e-2,
        -5.39682539614001927e-2, 1.33333333333266634e-1, -3.33333333333333226e-1)),
}  # fmt: skip


@dataclass(frozen=True)
class Normal:
    """The normal distribution function below 0: Phi(-y) = exp(-y * y / 2) * P(q) / (y + center).

    There q = (y - center) / (y + center), and y is from 0 to ``highest``, beyond which y * Phi(-y) is 0 in this type.
    P errs by at most 1.5e-8 of itself in float32, 1.4e-17 in float64. The form is that of N. Juffa's erfcx.
    """

    center: float
    highest: float
    p: tuple[float, ...]


NORMAL = {
    32: Normal(3.75, 14.5, (
        4.43449306e-4, 5.09628026e-4, -4.16901778e-3, 1.20007406e-3, 3.74925065e-2, -1.51520835e-1, 3.52939604e-1,
        -5.88188278e-1, 7.50294074e-1)),
    64: Normal(5.0, 39.0, (
        2.01396642450579278e-9, 7.18204558669215767e-9, -1.02110563783966878e-8, -6.53200955807262105e-8,
        4.36125644325961159e-8, 4.32686830489472526e-7, -3.37743308928492471e-7, -2.76905554489305746e-6,
        3.98149133474540191e-6, 1.6681145010814806e-5, -4.97630102756319513e-5, -5.93757113389469053e-5,
        5.44899105878873557e-4, -7.97869401468491891e-4, -2.99337677569788293e-3, 2.0795066800241018e-2,
        -6.9118638705951764e-2, 1.65020366170361631e-1, -3.13533156671315744e-1, 4.95305615969976997e-1,
        -6.653825028900566e-1, 7.69193049750062956e-1)),
}  # fmt: skip

#: Below it silu(x) = x / (1 + exp(-x)) is 0 in this type: minus infinity would be divided by infinity.
SILU_LOWEST = {32: -105.0, 64: -750.0}
