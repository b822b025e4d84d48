"""The parameters of a forward pass: one weight matrix and one bias vector for each layer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.spec import ForwardSpec

#: The weights of 784-50-100-10 that ship with the project; how they were made stands beside them.
TRAINED_FILE = Path(__file__).parent / "data" / "mnist.npz"


@dataclass(frozen=True)
class Params:
    """``weights[l]`` of shape (n_in, n_out) and ``biases[l]`` of shape (n_out,), C-contiguous, for each layer.

    Raises ParamsError where shapes do not chain.
    """

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]

    def __post_init__(self) -> None:
        if not self.weights or len(self.weights) != len(self.biases):
            raise ParamsError(f"{len(self.weights)} weight matrices and {len(self.biases)} bias vectors")
        n_before = None
        for number, (W, b) in enumerate(zip(self.weights, self.biases, strict=True), start=1):
            if W.ndim != 2 or b.shape != W.shape[1:] or n_before not in (None, W.shape[0]):
                raise ParamsError(f"layer {number}: W{number} {W.shape} and b{number} {b.shape} do not fit")
            n_before = W.shape[1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the network that these parameters belong to."""
        return (self.weights[0].shape[0], *(W.shape[1] for W in self.weights))

    def astype(self, dtype: DTypeLike) -> Params:
        """Return the parameters in ``dtype``, C-contiguous. An array that fits already is shared, not copied."""
        both = self.weights, self.biases
        return Params(*(tuple(np.ascontiguousarray(one, dtype=dtype) for one in arrays) for arrays in both))

    def require(self, spec: ForwardSpec) -> None:
        """Raise ParamsError unless these are parameters of ``spec``."""
        if self.sizes != spec.sizes:
            got = "-".join(map(str, self.sizes))
            raise ParamsError(f"the weights are those of {got}, the specification is {spec.label()}")

    def sha256(self) -> str:
        """Return the hash of shapes, dtypes and values, layer by layer."""
        digest = hashlib.sha256()
        for array in (*self.weights, *self.biases):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


class Network(NamedTuple):
    """What a file says: parameters, and activations as `ForwardSpec` takes them, None where it says nothing of them."""

    params: Params
    hidden: str | None = None
    output: str | None = None


def hand_worked() -> Params:
    """Return the float64 parameters of `kernels.spec.HAND_WORKED`, as printed in section 3.4 of the book."""
    return Params(
        weights=(
            np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]]),
            np.array([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]),
            np.array([[0.1, 0.3], [0.2, 0.4]]),
        ),
        biases=(np.array([0.1, 0.2, 0.3]), np.array([0.1, 0.2]), np.array([0.1, 0.2])),
    )
