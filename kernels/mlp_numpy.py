"""NumPy kernels: the book's formulas as they are printed, and these formulas without temporary arrays.

As in the book, ``exp(-a)`` of a sum below -88 (float32) overflows to infinity, NumPy says so with a RuntimeWarning,
and the sigmoid is the right 0. To silence the warning in the kernel would cost 5 % of a call on one sample.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.base import Kernel
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import Activation, ForwardSpec

_Array = NDArray[Any]
#: W, b, the activation in place, and the buffer of a layer.
_Step = tuple[_Array, _Array, Callable[[_Array], None], _Array]


def sigmoid(a: _Array) -> _Array:
    """Return 1 / (1 + exp(-a)), equation 3.6."""
    z: _Array = 1 / (1 + np.exp(-a))
    return z


def relu(a: _Array) -> _Array:
    """Return max(0, a), equation 3.7."""
    return np.maximum(0, a)


def step(a: _Array) -> _Array:
    """Return 1 where a > 0, else 0, equation 3.3."""
    return (a > 0).astype(a.dtype)


def identity(a: _Array) -> _Array:
    """Return a."""
    return a


def softmax(a: _Array) -> _Array:
    """Return exp(a - max) / sum(exp(a - max)) over the last axis, equation 3.11."""
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    y: _Array = e / e.sum(axis=-1, keepdims=True)
    return y


def silu(a: _Array) -> _Array:
    """Return a * sigmoid(a)."""
    z: _Array = a / (1 + np.exp(-a))
    return z


def gelu(a: _Array) -> _Array:
    """Return a * (1 + erf(a / sqrt(2))) / 2. NumPy has no erf, SciPy has."""
    from scipy.special import erf  # imported by the kernel's constructor

    z: _Array = a * (1 + erf(a * a.dtype.type(math.sqrt(0.5)))) * a.dtype.type(0.5)
    return z


def leaky_relu(a: _Array, slope: float) -> _Array:
    """Return a where it is positive, else slope * a, for a slope from 0 to 1."""
    z: _Array = np.maximum(a, a.dtype.type(slope) * a)
    return z


HIDDEN = {
    "sigmoid": sigmoid,
    "relu": relu,
    "step": step,
    "tanh": np.tanh,
    "gelu": gelu,
    "silu": silu,
    "identity": identity,
}
OUTPUT = {"softmax": softmax, "identity": identity}


def _of(functions: dict[str, Any], leaky: Callable[..., Any], activation: Activation) -> Callable[..., Any]:
    """Return the function of a hidden layer."""
    if "gelu" in activation.name:
        import scipy.special  # noqa: F401 - here, and not in the first call
    function: Callable[..., Any] = functions.get(activation.name, partial(leaky, slope=activation.slope))
    return function


class NumpyKernel(Kernel):
    """The book's ``predict``: every step makes a new array. What readers of the book run."""

    backend = "numpy"
    distributions = ("numpy",)

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        activations = [*(_of(HIDDEN, leaky_relu, one) for one in spec.activations), OUTPUT[spec.output]]
        self._layers = list(zip(self.params.weights, self.params.biases, activations, strict=True))

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        z = x
        for W, b, activation in self._layers:
            z = activation(z @ W + b)
        return z

    def forward_one(self, x: _Array) -> _Array:
        """Return the output of one sample: (n_in,) to (n_out,). ``@`` takes a vector as it takes a matrix."""
        return self.forward(x)


def sigmoid_into(a: _Array) -> None:
    """Replace a by 1 / (1 + exp(-a))."""
    np.negative(a, out=a)
    np.exp(a, out=a)
    a += 1
    np.reciprocal(a, out=a)


def relu_into(a: _Array) -> None:
    """Replace a by max(0, a)."""
    np.maximum(a, 0, out=a)


def step_into(a: _Array) -> None:
    """Replace a by 1 where it is positive, else by 0."""
    np.greater(a, 0, out=a, casting="unsafe")


def identity_into(a: _Array) -> None:
    """Leave a as it is."""


def tanh_into(a: _Array) -> None:
    """Replace a by its hyperbolic tangent."""
    np.tanh(a, out=a)


def softmax_into(a: _Array) -> None:
    """Replace each row of a by its softmax; only (batch, 1) arrays are made."""
    a -= a.max(axis=-1, keepdims=True)
    np.exp(a, out=a)
    a /= a.sum(axis=-1, keepdims=True)


# Products of a and of a function of a: what the function makes needs a place beside a, ``spare``, of the shape of a.


def silu_into(a: _Array, spare: _Array) -> None:
    """Replace a by a * sigmoid(a)."""
    np.negative(a, out=spare)
    np.exp(spare, out=spare)
    spare += 1
    a /= spare


def gelu_into(a: _Array, spare: _Array) -> None:
    """Replace a by a * (1 + erf(a / sqrt(2))) / 2."""
    from scipy.special import erf

    np.multiply(a, math.sqrt(0.5), out=spare)
    erf(spare, out=spare)
    spare += 1
    spare *= 0.5
    a *= spare


def leaky_relu_into(a: _Array, spare: _Array, slope: float) -> None:
    """Replace a by slope * a where it is not positive."""
    np.multiply(a, slope, out=spare)
    np.maximum(a, spare, out=a)


HIDDEN_INTO: dict[str, Callable[..., None]] = {
    "sigmoid": sigmoid_into,
    "relu": relu_into,
    "step": step_into,
    "tanh": tanh_into,
    "gelu": gelu_into,
    "silu": silu_into,
    "identity": identity_into,
}
OUTPUT_INTO = {"softmax": softmax_into, "identity": identity_into}


class NumpyOutKernel(Kernel):
    """The arithmetic of `NumpyKernel` in buffers that are kept: products into ``out``, activations in place.

    The buffers belong to the instance, so an instance belongs to one thread, and the next call overwrites a result.
    The buffers grow to the largest batch seen. A smaller batch uses their first rows, which are contiguous.
    """

    backend = "numpy"
    distributions = ("numpy",)
    returns = "kept"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        hidden = (_of(HIDDEN_INTO, leaky_relu_into, one) for one in spec.activations)
        self._activations: list[Callable[..., None]] = [*hidden, OUTPUT_INTO[spec.output]]
        #: Whether a layer's activation needs a second buffer.
        self._spares = [*(activation.name in ("gelu", "silu", "leaky-relu") for activation in spec.activations), False]
        self._one = self._steps([np.empty(n_out, spec.np_dtype) for n_out in spec.sizes[1:]])
        self._buffers: list[_Array] = []
        self._plan_batch(1)

    def _steps(self, outs: list[_Array]) -> list[_Step]:
        activations = [
            partial(activate, spare=np.empty_like(out)) if needs else activate
            for activate, needs, out in zip(self._activations, self._spares, outs, strict=True)
        ]
        return list(zip(self.params.weights, self.params.biases, activations, outs, strict=True))

    def _plan_batch(self, rows: int) -> None:
        """Slice the buffers for batches of ``rows`` once: a slice costs as much as a small activation."""
        if not self._buffers or rows > len(self._buffers[0]):
            self._buffers = [np.empty((rows, n_out), self.spec.np_dtype) for n_out in self.spec.sizes[1:]]
        self._rows = rows
        self._batch = self._steps([buffer[:rows] for buffer in self._buffers])

    @staticmethod
    def _run(steps: list[_Step], z: _Array) -> _Array:
        for W, b, activate, out in steps:
            np.dot(z, W, out=out)
            np.add(out, b, out=out)
            activate(out)
            z = out
        return z

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        if len(x) != self._rows:
            self._plan_batch(len(x))
        return self._run(self._batch, x)

    def forward_one(self, x: _Array) -> _Array:
        """Return the output of one sample: (n_in,) to (n_out,). Valid until the next call."""
        return self._run(self._one, x)
