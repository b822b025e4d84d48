"""The float64 oracle, which is never timed: the book's formulas, and how far a right kernel may be from them.

`seeded` makes parameters on which a wrong kernel differs from the oracle.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpbench.kernels.base import Arithmetic
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import Activation, ForwardSpec

Array: TypeAlias = NDArray[np.float64]


def sigmoid(a: ArrayLike) -> Array:
    """Return 1 / (1 + exp(-a)), element by element (equation 3.6), without overflow at either end."""
    a = np.asarray(a, dtype=np.float64)
    e = np.exp(-np.abs(a))
    z: Array = np.where(a >= 0, 1.0, e) / (1.0 + e)
    return z


def relu(a: ArrayLike) -> Array:
    """Return max(0, a), element by element (equation 3.7)."""
    return np.maximum(np.asarray(a, dtype=np.float64), 0.0)


def step(a: ArrayLike) -> Array:
    """Return 1 where a > 0 and 0 elsewhere, at 0 too (equation 3.3)."""
    return (np.asarray(a, dtype=np.float64) > 0).astype(np.float64)


def identity(a: ArrayLike) -> Array:
    """Return a."""
    return np.asarray(a, dtype=np.float64)


def softmax(a: ArrayLike) -> Array:
    """Return exp(a) / sum(exp(a)) over the last axis (equation 3.10), shifted by the row's maximum (3.11)."""
    a = np.asarray(a, dtype=np.float64)
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


def tanh(a: ArrayLike) -> Array:
    """Return the hyperbolic tangent, element by element."""
    return np.tanh(np.asarray(a, dtype=np.float64))


def gelu(a: ArrayLike) -> Array:
    """Return a * Phi(a), the exact GELU: Phi is the distribution function of the standard normal distribution."""
    from scipy.special import ndtr  # here: few networks need it, and it takes half a second to import

    a = np.asarray(a, dtype=np.float64)
    return np.maximum(a, _LOWEST) * ndtr(a)  # type: ignore[no-any-return]


def silu(a: ArrayLike) -> Array:
    """Return a * sigmoid(a), which is called swish too."""
    return np.maximum(np.asarray(a, dtype=np.float64), _LOWEST) * sigmoid(a)


#: Below it gelu and silu are 0 in float64, and their formulas would multiply minus infinity by 0.
_LOWEST = -1000.0


def leaky_relu(a: ArrayLike, slope: float) -> Array:
    """Return a where a > 0, and slope * a elsewhere."""
    a = np.asarray(a, dtype=np.float64)
    return np.where(a > 0, a, slope * a)


HIDDEN: dict[str, Callable[[Any], Array]] = {
    "sigmoid": sigmoid,
    "relu": relu,
    "step": step,
    "tanh": tanh,
    "gelu": gelu,
    "silu": silu,
    "identity": identity,
}


def hidden(activation: Activation) -> Callable[[Any], Array]:
    """Return the function of a hidden layer."""
    if activation.name == "leaky-relu":
        return partial(leaky_relu, slope=activation.slope)
    return HIDDEN[activation.name]


OUTPUT: dict[str, Callable[[Any], Array]] = {"softmax": softmax, "identity": identity}


def trace(spec: ForwardSpec, params: Params, x: ArrayLike) -> list[tuple[Array, Array]]:
    """Return (A, Z) of each layer: the sums before the activation and the values after it, (batch, n_out) each."""
    z = np.asarray(x, dtype=np.float64)
    steps = []
    functions = [*map(hidden, spec.activations), OUTPUT[spec.output]]
    for W, b, function in zip(params.weights, params.biases, functions, strict=True):
        a = z @ W.astype(np.float64) + b.astype(np.float64)
        z = function(a)
        steps.append((a, z))
    return steps


def forward(spec: ForwardSpec, params: Params, x: ArrayLike) -> Array:
    """Return the network's output in float64: (batch, n_in) to (batch, n_out), or one sample (n_in,) to (n_out,).

    ``params`` and ``x`` are taken as they are: for the truth about a float32 kernel, give the float32 values
    that the kernel gets.
    """
    return trace(spec, params, x)[-1][1]


# How far a kernel may be from the reference: a first-order error analysis, not a magic number.
#
# A fixed tolerance is too tight for a wide network and too loose for a small one. Each output has its own bound,
# which is carried through the layers next to the values:
#
# * A dot product of length K in unit roundoff u errs by about ``u * sqrt(K) * norm(x * w)``, whatever the order of
#   summation: rounding errors are independent and grow with the square root of their number (Higham and Mary, *A New
#   Approach to Probabilistic Rounding Error Analysis*, 2019).
# * The errors of the inputs pass through the weights, and through the slope of the activation.
# * `SAFETY` covers what the analysis leaves out: unlucky signs, and sums of terms with one sign.
#
# Products in TF32 or float16 err by up to 2**-11 for each operand, far outside the bound for rows of up to several
# thousand inputs. The tests hold kernels of that kind against the bound. A kernel that names such an arithmetic has
# its own bound:
#
# * Both operands of a product are rounded to 11 significant bits: by at most v = 2**-11, and over the mantissas from 1
#   to 2 by 0.41 v in the root mean square. A product is off by 0.58 v. The errors of different products are
#   independent: a sum errs by about ``0.6 v * norm(x * w)``. Where all inputs are alike they are not, and the sum is
#   off by as much as one of them: ``0.6 v * |a - b|``, and ``|a| + |b|`` is above that.
# * Numbers below 2**-14 have fewer bits in float16: each operand is off by up to 2**-25 besides.
# * In bfloat16 both have 8 significant bits, and v = 2**-8.
# * Sums are float32, whose errors are added as above. `SAFETY` is the same.
#
# In int8 operands are whole multiples of a step: inputs of a layer of the batch's range with 0 in it / 255, weights of
# the largest of their column / 127. Each is off by at most half a step, in the root mean square by 0.29, and sums are
# exact. Nothing is left out but chance, so half of `SAFETY` is enough: the steps count half.

#: Unit roundoff of operands, and the error of an operand that is nearly zero, where they are not those of the dtype.
_OPERANDS = {"tf32": (2.0**-11, 0.0), "fp16": (2.0**-11, 2.0**-25), "bf16": (2.0**-8, 0.0)}
#: The share of a step that an operand of int8 is off by: half of the root mean square.
_OF_A_STEP = 0.145

#: How many times the first-order error is allowed. NumPy, Numba loops and peers stay below 3 (measured).
SAFETY = 16.0

#: Relative error granted to one exp, division or reciprocal, in unit roundoffs.
_FUNCTION_ULPS = 4.0


def bound(
    spec: ForwardSpec,
    params: Params,
    x: ArrayLike,
    steps: list[tuple[Array, Array]] | None = None,
    arithmetic: Arithmetic = "dtype",
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the allowed absolute error of each output, (batch, n_out), and which rows can be judged, (batch,).

    A row cannot be judged where a ``step`` unit sits so near its threshold that rounding decides: two right kernels
    may differ there by any amount. ``steps`` are what `trace` returns for ``x``, if the caller has them: for a large
    network `trace` takes seconds. ``arithmetic`` is what products are computed in.
    """
    u = float(np.finfo(spec.np_dtype).eps) / 2
    z: Array = np.asarray(x, dtype=np.float64)
    error: Array = z  # of the inputs there is none
    decidable = np.ones(len(z), dtype=bool)
    steps = trace(spec, params, x) if steps is None else steps
    for layer, (W, b, (a, z_next)) in enumerate(zip(params.weights, params.biases, steps, strict=True), start=1):
        W2 = np.square(W, dtype=np.float64)
        rounding = _rounding(z, W2, b, a, u, arithmetic)
        error_a = rounding if layer == 1 else np.sqrt(np.square(error) @ W2 + np.square(rounding))
        if layer == spec.n_layers:
            error = _OUTPUT_ERROR[spec.output](a, z_next, error_a, u)
        elif (activation := spec.activations[layer - 1]).name == "step":
            decidable &= (np.abs(a) > SAFETY * error_a).all(axis=1)
            error = np.zeros_like(a)
        elif activation.name == "leaky-relu":
            error = _relu_error(a, z_next, error_a, u, activation.slope)
        else:
            error = _HIDDEN_ERROR[activation.name](a, z_next, error_a, u)
        z = z_next
    return SAFETY * error + _floor(spec), decidable


def _rounding(z: Array, W2: Array, b: Array, a: Array, u: float, arithmetic: Arithmetic) -> Array:
    """Return the errors of the sums of a layer whose inputs have none; ``W2``: its weights, squared."""
    v, tiny = _OPERANDS.get(arithmetic, (0.0, 0.0))
    of_input: float = tiny
    of_weight: float | Array = tiny
    if arithmetic == "int8":
        of_input = _OF_A_STEP * (z.max(initial=0) - z.min(initial=0)) / 255
        of_weight = _OF_A_STEP * np.sqrt(W2.max(axis=0)) / 127
    z2 = np.square(z)
    norm = np.sqrt(z2 @ W2)
    n_in = W2.shape[0]
    found: Array = u * (np.sqrt(n_in) * norm + np.abs(b) + np.abs(a)) + 0.6 * v * (norm + np.abs(b) + np.abs(a))
    if of_input:
        found += np.sqrt(of_weight**2 * z2.sum(axis=1, keepdims=True) + of_input**2 * W2.sum(axis=0))
    return found


def _floor(spec: ForwardSpec) -> float:
    """Return below what a result may be flushed to zero."""
    return 4 * float(np.finfo(spec.np_dtype).tiny)


def _steepest(a: Array, error_a: Array) -> Array:
    """Return the point within the error of a that is nearest to 0, where sigmoid and tanh are steepest."""
    return np.maximum(np.abs(a) - SAFETY * error_a, 0)


def _sigmoid_error(a: Array, z: Array, error_a: Array, u: float) -> Array:
    s = sigmoid(_steepest(a, error_a))
    return s * (1 - s) * error_a + _FUNCTION_ULPS * u * z


def _relu_error(a: Array, z: Array, error_a: Array, u: float, slope: float = 0.0) -> Array:
    return np.where(a > -SAFETY * error_a, error_a, slope * error_a + u * np.abs(z))


def _tanh_error(a: Array, z: Array, error_a: Array, u: float) -> Array:
    return (1 - np.square(np.tanh(_steepest(a, error_a)))) * error_a + _FUNCTION_ULPS * u * np.abs(z)


def _gelu_error(a: Array, _z: Array, error_a: Array, u: float) -> Array:
    # Most compute a * (1 + erf(a / sqrt(2))) / 2, whose second factor errs by a share of 1 also where it is nearly 0.
    from scipy.special import ndtr

    slope = ndtr(a) + a * np.exp(-a * a / 2) / np.sqrt(2 * np.pi)
    error: Array = np.abs(slope) * error_a + _FUNCTION_ULPS * u * np.abs(a)
    return error


def _silu_error(a: Array, z: Array, error_a: Array, u: float) -> Array:
    s = sigmoid(a)
    return np.abs(s + z * (1 - s)) * error_a + 2 * _FUNCTION_ULPS * u * np.abs(z)


def _softmax_error(a: Array, z: Array, error_a: Array, u: float) -> Array:
    # dz_i = z_i * (da_i - sum_j z_j da_j); the shift by the maximum rounds, and exp turns that into relative error.
    e = np.expm1(np.minimum(SAFETY * (error_a + u * (a.max(axis=1, keepdims=True) - a)), 99)) / SAFETY
    error: Array = z * (e + (z * e).sum(axis=1, keepdims=True) + 2 * _FUNCTION_ULPS * u)
    return error


def _identity_error(_a: Array, _z: Array, error_a: Array, _u: float) -> Array:
    return error_a


_HIDDEN_ERROR: dict[str, Callable[[Array, Array, Array, float], Array]] = {
    "sigmoid": _sigmoid_error,
    "relu": _relu_error,
    "tanh": _tanh_error,
    "gelu": _gelu_error,
    "silu": _silu_error,
    "identity": _identity_error,
}
_OUTPUT_ERROR = {"softmax": _softmax_error, "identity": _identity_error}


#: Rows on which `seeded` balances a network. More rows change the weights in the third digit only.
PROBE_ROWS = 256


def seeded(spec: ForwardSpec, seed: int = 0) -> Params:
    """Return random parameters on which a wrong kernel shows. A seed always gives the same parameters.

    Unscaled random weights saturate every sigmoid and let one class win every row: then a kernel that forgets
    a bias, or normalises the wrong axis, still agrees. So each unit is balanced on random inputs in [0, 1), layer
    by layer (after Mishkin and Matas, *All you need is a good init*, 2015): the sum before its activation gets
    mean 0 and a standard deviation of 1, of 2 before a softmax, so that winning probabilities spread.
    """
    rng = np.random.default_rng(seed)
    z = rng.random((PROBE_ROWS, spec.n_in))
    weights, biases = [], []
    for layer, (n_in, n_out) in enumerate(spec.layers, start=1):
        last = layer == spec.n_layers
        W = rng.standard_normal((n_in, n_out))
        a = z @ W
        spread = np.maximum(a.std(axis=0), 1e-3 * np.sqrt(n_in))  # a unit that hardly varies stays small
        W *= (2.0 if last and spec.output == "softmax" else 1.0) / spread
        # The offset keeps mean 0 from hiding a dropped bias where the inputs are centred too.
        b = -(z @ W).mean(axis=0) + 0.1 * rng.standard_normal(n_out)
        weights.append(W)
        biases.append(b)
        if not last:
            z = hidden(spec.activations[layer - 1])(z @ W + b)
    return Params(tuple(weights), tuple(biases)).astype(spec.dtype)
