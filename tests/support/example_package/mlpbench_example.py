"""A kernel in a package of its own: NumPy with every sum in float64, whatever dtype the specification has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlpbench.kernels.base import Facts, Kernel

if TYPE_CHECKING:
    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import ForwardSpec


def softmax(a: Any) -> Any:
    """Return exp(a - max) / sum(exp(a - max)) of each row."""
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


HIDDEN = {
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "relu": lambda a: np.maximum(a, 0),
    "step": lambda a: (a > 0).astype(a.dtype),
}
OUTPUT = {"softmax": softmax, "identity": lambda a: a}


class NumpyWideKernel(Kernel):
    """What would float64 sums cost? Inputs and outputs as specified, float64 in between."""

    backend = "numpy"
    distributions = ("numpy",)

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        wide = self.params.astype("float64")
        activations = [HIDDEN[spec.hidden]] * (spec.n_layers - 1) + [OUTPUT[spec.output]]
        self._layers = list(zip(wide.weights, wide.biases, activations, strict=True))

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        z = x.astype(np.float64)
        for W, b, activation in self._layers:
            z = activation(z @ W + b)
        return z.astype(self.spec.np_dtype)

    def describe(self) -> Facts:
        """Say what the sums are made in."""
        return Facts.of(sums="float64")
