"""Kernels that are wrong, each in one way that the gate must notice."""

from __future__ import annotations

import numpy as np

from mlpbench.kernels.mlp_numpy import HIDDEN, OUTPUT, NumpyKernel, softmax


class BiasDropped(NumpyKernel):
    def forward(self, x):
        z = x
        for W, _, activation in self._layers:
            z = activation(z @ W)
        return z


class LastBiasDropped(NumpyKernel):
    def forward(self, x):
        z = x
        for W, b, activation in self._layers[:-1]:
            z = activation(z @ W + b)
        W, _, activation = self._layers[-1]
        return activation(z @ W)


class SoftmaxOverBatch(NumpyKernel):
    def forward(self, x):
        z = x
        for W, b, activation in self._layers[:-1]:
            z = activation(z @ W + b)
        W, b, _ = self._layers[-1]
        e = np.exp(z @ W + b - (z @ W + b).max())
        return e / e.sum()


class SoftmaxDropped(NumpyKernel):
    def forward(self, x):
        z = x
        for W, b, activation in self._layers[:-1]:
            z = activation(z @ W + b)
        W, b, _ = self._layers[-1]
        return z @ W + b


class StaleResult(NumpyKernel):
    _kept = None

    def forward(self, x):
        if self._kept is None or len(self._kept) < len(x) or x.ndim == 1:
            self._kept = super().forward(x)
        return self._kept[: len(x)]


class InputOverwritten(NumpyKernel):
    def forward(self, x):
        y = super().forward(x)
        x *= 0.5
        return y


class LastRowForgotten(NumpyKernel):
    def forward(self, x):
        y = super().forward(x)
        if x.ndim == 2 and len(x) > 1:
            y[-1] = y[-2]
        return y


def _rounded(a, bits):
    """Return float32 ``a`` with the mantissa cut to ``bits`` bits: TF32 keeps 10, bfloat16 7."""
    drop = 23 - bits
    i = np.ascontiguousarray(a, np.float32).view(np.uint32) + np.uint32(1 << (drop - 1))
    return (i & ~np.uint32((1 << drop) - 1)).view(np.float32)


class Float16Arithmetic(NumpyKernel):
    def forward(self, x):
        z = x.astype(np.float16)
        for W, b, activation in self._layers:
            z = activation((z @ W.astype(np.float16) + b.astype(np.float16)).astype(np.float16))
        return z.astype(self.spec.np_dtype)


class Tf32Products(NumpyKernel):
    def forward(self, x):
        z = x
        for W, b, activation in self._layers:
            z = activation(_rounded(z, 10) @ _rounded(W, 10) + b)
        return z.astype(self.spec.np_dtype)


class WrongAxis(NumpyKernel):
    def forward(self, x):
        y = super().forward(x)
        return y.T.copy() if x.ndim == 2 else y


class WrongDtype(NumpyKernel):
    def forward(self, x):
        return super().forward(x).astype(np.float64 if self.spec.dtype == "float32" else np.float32)


class ReturnsNone(NumpyKernel):
    def forward(self, x):
        super().forward(x)


class Raises(NumpyKernel):
    def forward(self, x):
        raise MemoryError("out of device memory")


class GivesNan(NumpyKernel):
    def forward(self, x):
        return super().forward(x) * np.nan


class SingleModeWrong(NumpyKernel):
    def forward_one(self, x):
        return softmax(super().forward_one(x))


class StepAtZeroIsOne(NumpyKernel):
    def __init__(self, spec, params):
        super().__init__(spec, params)
        activations = [lambda a: (a >= 0).astype(a.dtype)] * (spec.n_layers - 1) + [OUTPUT[spec.output]]
        self._layers = [(W, b, f) for (W, b, _), f in zip(self._layers, activations, strict=True)]


class ReluForgotten(NumpyKernel):
    def __init__(self, spec, params):
        super().__init__(spec, params)
        hidden = HIDDEN["sigmoid"] if spec.hidden != "sigmoid" else HIDDEN["relu"]
        activations = [hidden] * (spec.n_layers - 1) + [OUTPUT[spec.output]]
        self._layers = [(W, b, f) for (W, b, _), f in zip(self._layers, activations, strict=True)]


MUTANTS = [
    BiasDropped,
    LastBiasDropped,
    SoftmaxOverBatch,
    SoftmaxDropped,
    StaleResult,
    InputOverwritten,
    LastRowForgotten,
    Float16Arithmetic,
    Tf32Products,
    WrongAxis,
    WrongDtype,
    ReturnsNone,
    Raises,
    GivesNan,
    SingleModeWrong,
    ReluForgotten,
]
