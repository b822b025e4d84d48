"""Kernels that are wrong, each in one way that the gate must notice."""

import numpy as np

from mlpbench.kernels.mlp_numpy import HIDDEN, NumpyKernel, identity, softmax


class Mutant(NumpyKernel):
    """Right, but for what a subclass changes."""


def of_layers(name, changed):
    """Return the mutant whose layers, each of which is (W, b, activation), are what ``changed`` makes of right ones."""

    def init(self, spec, params):
        Mutant.__init__(self, spec, params)
        self._layers = changed(self._layers)

    return type(name, (Mutant,), {"__init__": init})


def of_result(name, changed):
    """Return the mutant whose result for ``x`` is what ``changed(x, y)`` makes of the right one."""
    return type(name, (Mutant,), {"forward": lambda self, x: changed(x, Mutant.forward(self, x))})


def last(activation=None, bias=1):
    """Return what changes the last layer."""
    return lambda layers: [*layers[:-1], (layers[-1][0], bias * layers[-1][1], activation or layers[-1][2])]


BiasDropped = of_layers("BiasDropped", lambda layers: [(W, 0 * b, activation) for W, b, activation in layers])
LastBiasDropped = of_layers("LastBiasDropped", last(bias=0))
SoftmaxOverBatch = of_layers("SoftmaxOverBatch", last(lambda a: softmax(a.ravel()).reshape(a.shape)))
SoftmaxDropped = of_layers("SoftmaxDropped", last(identity))
OTHER = {HIDDEN["sigmoid"]: HIDDEN["relu"], HIDDEN["relu"]: HIDDEN["sigmoid"]}
ReluForgotten = of_layers(
    "ReluForgotten", lambda layers: [*((W, b, OTHER[activation]) for W, b, activation in layers[:-1]), layers[-1]]
)

WrongAxis = of_result("WrongAxis", lambda x, y: y.T.copy() if x.ndim == 2 else y)
WrongDtype = of_result("WrongDtype", lambda x, y: y.astype({"float32": "float64", "float64": "float32"}[y.dtype.name]))
ReturnsNone = of_result("ReturnsNone", lambda x, y: None)
ReturnsAList = of_result("ReturnsAList", lambda x, y: y.tolist())
GivesNan = of_result("GivesNan", lambda x, y: y * np.nan)
#: What is undefined in one row is so in all.
SpreadsNan = of_result("SpreadsNan", lambda x, y: y + 0 * x.sum(dtype=x.dtype))


def of_inputs(name, changed):
    """Return the mutant whose inputs are what ``changed`` makes of them."""
    return type(name, (Mutant,), {"forward": lambda self, x: Mutant.forward(self, changed(x))})


def raises(_x):
    raise MemoryError("out of device memory")


Raises = of_inputs("Raises", raises)
ClipsItsInputs = of_inputs("ClipsItsInputs", lambda x: np.clip(x, 0, 1))
#: Of networks whose hidden layers compare, the gate does not judge such rows.
CleansItsInputs = of_inputs("CleansItsInputs", np.nan_to_num)
InputOverwritten = of_result("InputOverwritten", lambda x, y: np.multiply(x, 0.5, out=x) is None or y)
LastRowForgotten = of_result(
    "LastRowForgotten", lambda x, y: np.vstack([y[:-1], y[-2:-1]]) if x.ndim == 2 and len(x) > 1 else y
)


class StaleResult(Mutant):
    _kept = None

    def forward(self, x):
        if self._kept is None or len(self._kept) < len(x) or x.ndim == 1:
            self._kept = super().forward(x)
        return self._kept[: len(x)]


def of_products(name, rounded):
    """Return the mutant whose products are of ``rounded`` numbers."""

    def forward(self, x):
        z = x
        for W, b, activation in self._layers:
            z = activation(rounded(z) @ rounded(W) + rounded(b))
        return z.astype(self.spec.np_dtype)

    return type(name, (Mutant,), {"forward": forward})


def tf32(a):
    """Return float32 ``a`` with the ten bits of mantissa that TF32 keeps."""
    i = np.ascontiguousarray(a, np.float32).view(np.uint32) + np.uint32(1 << 12)
    return (i & ~np.uint32((1 << 13) - 1)).view(np.float32)


Float16Arithmetic = of_products("Float16Arithmetic", lambda a: a.astype(np.float16))
Tf32Products = of_products("Tf32Products", tf32)
SingleModeWrong = type("SingleModeWrong", (Mutant,), {"forward_one": lambda self, x: softmax(self.forward(x))})

MUTANTS = Mutant.__subclasses__()
