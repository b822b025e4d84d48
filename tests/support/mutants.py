"""Kernels that are wrong, each in one way that the gate must notice."""

import numpy as np

from mlpbench.kernels.mlp_numpy import HIDDEN, NumpyKernel, identity, softmax


class Mutant(NumpyKernel):
    """Computes with what `changed` makes of its layers, each of which is (W, b, activation)."""

    def __init__(self, spec, params):
        super().__init__(spec, params)
        self._layers = self.changed(self._layers)

    def changed(self, layers):
        return layers


class BiasDropped(Mutant):
    def changed(self, layers):
        return [(W, 0 * b, activation) for W, b, activation in layers]


class LastBiasDropped(Mutant):
    def changed(self, layers):
        *before, (W, b, activation) = layers
        return [*before, (W, 0 * b, activation)]


class SoftmaxOverBatch(Mutant):
    def changed(self, layers):
        *before, (W, b, _) = layers
        return [*before, (W, b, lambda a: softmax(a.ravel()).reshape(a.shape))]


class SoftmaxDropped(Mutant):
    def changed(self, layers):
        *before, (W, b, _) = layers
        return [*before, (W, b, identity)]


class ReluForgotten(Mutant):
    def changed(self, layers):
        hidden = HIDDEN["sigmoid" if self.spec.hidden != "sigmoid" else "relu"]
        return [*((W, b, hidden) for W, b, _ in layers[:-1]), layers[-1]]


class StaleResult(Mutant):
    _kept = None

    def forward(self, x):
        if self._kept is None or len(self._kept) < len(x) or x.ndim == 1:
            self._kept = super().forward(x)
        return self._kept[: len(x)]


class InputOverwritten(Mutant):
    def forward(self, x):
        y = super().forward(x)
        x *= 0.5
        return y


class LastRowForgotten(Mutant):
    def forward(self, x):
        y = super().forward(x)
        if x.ndim == 2 and len(x) > 1:
            y[-1] = y[-2]
        return y


class Float16Arithmetic(Mutant):
    def forward(self, x):
        z = x.astype(np.float16)
        for W, b, activation in self._layers:
            z = activation((z @ W.astype(np.float16) + b.astype(np.float16)).astype(np.float16))
        return z.astype(self.spec.np_dtype)


def _rounded(a, bits=10):
    """Return float32 ``a`` with the mantissa cut to ``bits`` bits: TF32 keeps 10."""
    drop = 23 - bits
    i = np.ascontiguousarray(a, np.float32).view(np.uint32) + np.uint32(1 << (drop - 1))
    return (i & ~np.uint32((1 << drop) - 1)).view(np.float32)


class Tf32Products(Mutant):
    def forward(self, x):
        z = x
        for W, b, activation in self._layers:
            z = activation(_rounded(z) @ _rounded(W) + b)
        return z.astype(self.spec.np_dtype)


class WrongAxis(Mutant):
    def forward(self, x):
        y = super().forward(x)
        return y.T.copy() if x.ndim == 2 else y


class WrongDtype(Mutant):
    def forward(self, x):
        return super().forward(x).astype(np.float64 if self.spec.dtype == "float32" else np.float32)


class ReturnsNone(Mutant):
    def forward(self, x):
        super().forward(x)


class ReturnsAList(Mutant):
    def forward(self, x):
        return super().forward(x).tolist()


class Raises(Mutant):
    def forward(self, x):
        raise MemoryError("out of device memory")


class GivesNan(Mutant):
    def forward(self, x):
        return super().forward(x) * np.nan


class SingleModeWrong(Mutant):
    def forward_one(self, x):
        return softmax(super().forward_one(x))


class ClipsItsInputs(Mutant):
    def forward(self, x):
        return super().forward(np.clip(x, 0, 1))


class CleansItsInputs(Mutant):
    """Of networks whose hidden layers compare, the gate does not judge such rows."""

    def forward(self, x):
        return super().forward(np.nan_to_num(x))


class SpreadsNan(Mutant):
    """What is undefined in one row is so in all."""

    def forward(self, x):
        return super().forward(x) + 0 * x.sum(dtype=x.dtype)


#: All above. What is below shows on sums that are exactly 0 alone.
MUTANTS = Mutant.__subclasses__()


class StepAtZeroIsOne(Mutant):
    def changed(self, layers):
        return [*((W, b, lambda a: (a >= 0).astype(a.dtype)) for W, b, _ in layers[:-1]), layers[-1]]
