"""The activations of the float64 oracle, by the names that a specification gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

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


HIDDEN: dict[str, Callable[[Any], Array]] = {"sigmoid": sigmoid, "relu": relu, "step": step}
OUTPUT: dict[str, Callable[[Any], Array]] = {"softmax": softmax, "identity": identity}
