"""How far a kernel may be from the float64 reference: a first-order error analysis, not a magic number.

A fixed tolerance is too tight for a wide network and too loose for a small one. Here each output gets its own bound,
carried through the layers next to the values:

* a dot product of length K in unit roundoff u errs by about ``u * sqrt(K) * norm(x * w)``: rounding errors are
  independent and grow with the square root of their number (Higham and Mary, *A New Approach to Probabilistic
  Rounding Error Analysis*, 2019), whatever the order of summation;
* the inputs' own errors pass through the weights, and through the slope of the activation;
* `SAFETY` covers what the analysis leaves out: unlucky signs, and sums of terms with one sign.

Products in TF32 or float16 err by at least 2**-11 for each term, far outside the bound for rows of up to several
thousand inputs; the tests hold kernels of that kind against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels import reference

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import ForwardSpec

__all__ = ["SAFETY", "bound"]

#: Multiple of the first-order error that is allowed. Measured: NumPy, Numba loops and peers stay below 3.
SAFETY = 16.0

#: Relative error granted to one exp, division or reciprocal, in unit roundoffs.
_FUNCTION_ULPS = 4.0

_Array = NDArray[np.float64]


def bound(
    spec: ForwardSpec, params: Params, x: ArrayLike, steps: list[tuple[_Array, _Array]] | None = None
) -> tuple[_Array, NDArray[np.bool_]]:
    """Return the allowed absolute error of each output and which rows can be judged.

    The first is (batch, n_out). The second, (batch,), is False for rows in which a ``step`` unit sits so near its
    threshold that rounding decides it: there two right kernels may differ by any amount. ``steps`` are what
    `reference.trace` returns for ``x``, where they are known: of a large network they take seconds.
    """
    u = float(np.finfo(spec.np_dtype).eps) / 2
    z: _Array = np.asarray(x, dtype=np.float64)
    error = np.zeros_like(z)
    decidable = np.ones(len(z), dtype=bool)
    steps = reference.trace(spec, params, x) if steps is None else steps
    for layer, (W, b, (a, z_next)) in enumerate(zip(params.weights, params.biases, steps, strict=True), start=1):
        W2 = np.square(W, dtype=np.float64)
        rounding = u * (np.sqrt(W.shape[0] * (np.square(z) @ W2)) + np.abs(b) + np.abs(a))
        error_a = np.sqrt(np.square(error) @ W2 + np.square(rounding))
        if layer == spec.n_layers:
            error = _OUTPUT_ERROR[spec.output](a, z_next, error_a, u)
        elif spec.hidden == "step":
            decidable &= (np.abs(a) > SAFETY * error_a).all(axis=1)
            error = np.zeros_like(a)
        else:
            error = _HIDDEN_ERROR[spec.hidden](a, z_next, error_a, u)
        z = z_next
    floor = 4 * float(np.finfo(spec.np_dtype).tiny)  # below it a result may be flushed to zero
    return SAFETY * error + floor, decidable


def _sigmoid_error(_a: _Array, z: _Array, error_a: _Array, u: float) -> _Array:
    return z * (1 - z) * error_a + _FUNCTION_ULPS * u * z


def _relu_error(a: _Array, _z: _Array, error_a: _Array, _u: float) -> _Array:
    return np.where(a > -SAFETY * error_a, error_a, 0.0)


def _softmax_error(a: _Array, z: _Array, error_a: _Array, u: float) -> _Array:
    # dz_i = z_i * (da_i - sum_j z_j da_j); the shift by the maximum rounds, and exp turns that into relative error.
    e = error_a + u * (a.max(axis=1, keepdims=True) - a)
    error: _Array = z * (e + (z * e).sum(axis=1, keepdims=True) + 2 * _FUNCTION_ULPS * u)
    return error


def _identity_error(_a: _Array, _z: _Array, error_a: _Array, _u: float) -> _Array:
    return error_a


_HIDDEN_ERROR = {"sigmoid": _sigmoid_error, "relu": _relu_error}
_OUTPUT_ERROR = {"softmax": _softmax_error, "identity": _identity_error}
