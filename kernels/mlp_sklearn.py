"""scikit-learn: an MLPClassifier that has our weights instead of a training.

The settings, and why:

* `predict_proba` is the public way to the outputs. The model's attributes are set by hand, as fitting would set them:
  fitting, if only for one step, would also make the optimizer's state, three times the weights.
* ``assume_finite`` spares a look at every input for NaN, which takes 6 % off one row. It is set around each call: set
  for the process it would save another tenth there, but change what everybody else computes.
* Its products are NumPy's, on the BLAS and the threads that NumPy has.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.base import Facts, Kernel, require
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]

EXTRA = "sklearn"
HIDDEN = {"sigmoid": "logistic", "relu": "relu", "tanh": "tanh", "identity": "identity"}


class SklearnKernel(Kernel):
    """`MLPClassifier.predict_proba`: a NumPy array in, a new NumPy array out."""

    backend = "sklearn"
    distributions = ("scikit-learn",)

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        self._config = require("sklearn", EXTRA).config_context
        classifier = require("sklearn.neural_network", EXTRA).MLPClassifier
        model = classifier(spec.sizes[1:-1], activation=HIDDEN.get(spec.hidden, "identity"))
        model.coefs_, model.intercepts_ = list(self.params.weights), list(self.params.biases)
        model.n_layers_, model.n_features_in_, model.n_outputs_ = len(spec.sizes), spec.n_in, spec.n_out
        model.classes_, model.out_activation_ = np.arange(spec.n_out), "softmax"
        self._predict = model.predict_proba

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where scikit-learn cannot be imported."""
        require("sklearn.neural_network", EXTRA)

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable for what MLPClassifier is not: its outputs are probabilities of classes."""
        if spec.output != "softmax":
            raise KernelUnavailable(f"scikit-learn's MLPClassifier ends in softmax, not in {spec.output}")
        if spec.n_out == 1:
            raise KernelUnavailable("scikit-learn's MLPClassifier with one output means two classes: no softmax")
        if spec.n_layers > 1 and spec.hidden not in HIDDEN:
            several = "," in spec.hidden
            lacks = "one activation for all hidden layers, not" if several else "no activation"
            raise KernelUnavailable(f"scikit-learn's MLPClassifier has {lacks} {spec.hidden}")

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        with self._config(assume_finite=True):
            y: _Array = self._predict(x)
        return y

    def describe(self) -> Facts:
        """Return the BLAS below NumPy, and its threads."""
        pools = require("threadpoolctl", EXTRA).threadpool_info()
        blas = [pool for pool in pools if pool["user_api"] == "blas"]
        return Facts.of(
            threads=max((pool["num_threads"] for pool in blas), default=None),
            blas=", ".join(sorted({f"{pool['internal_api']} {pool['version']}" for pool in blas})) or None,
        )
