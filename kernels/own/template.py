"""A kernel for mlpbench: mlpbench run numpy ./FILE:fast times it, FILE being this file."""

import numpy as np


def fast(x, weights, biases):
    """Return the outputs of a batch x: sigmoid in the hidden layers, softmax at the end."""
    for W, b in zip(weights[:-1], biases[:-1]):
        x = 1 / (1 + np.exp(-(x @ W + b)))
    a = x @ weights[-1] + biases[-1]
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
