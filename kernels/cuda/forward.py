"""The forward pass on a GPU in buffers that are kept, layer after layer, whatever library computes a layer."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from mlpbench.kernels.spec import ForwardSpec

#: f(x, W, b, out) writes the activation of x W + b to ``out``: (rows, n_in), (n_in, n_out), (n_out,), (rows, n_out).
Compute = Callable[[Any, Any, Any, Any], None]
#: W, b, what computes the layer, and where its results go.
_Layer: TypeAlias = tuple[Any, Any, Compute, Any]


class Network:
    """The layers of a specification, with a buffer for the result of each, which ``empty(shape, dtype)`` makes.

    ``computes`` has an f(x, W, b, out) for each layer. The buffers grow to the largest batch seen; a smaller one uses
    their first rows, which stay contiguous. So a result is valid until the next call.
    """

    def __init__(
        self,
        empty: Callable[..., Any],
        computes: Sequence[Compute],
        spec: ForwardSpec,
        weights: Sequence[Any],
        biases: Sequence[Any],
    ) -> None:
        self._empty = empty
        self._spec = spec
        self._layers = list(zip(weights, biases, computes, strict=True))
        self._single = self._plan(self._allocate(1))
        self._output = self._single[-1][-1].reshape(-1)
        self._buffers = self._allocate(1)
        self._batch = self._plan(self._buffers)

    def _allocate(self, rows: int) -> list[Any]:
        """Return a buffer for ``rows`` of each layer."""
        return [self._empty((rows, n), self._spec.np_dtype) for n in self._spec.sizes[1:]]

    def _plan(self, buffers: Sequence[Any]) -> list[_Layer]:
        """Return all that a batch of one size is computed with."""
        return [(*layer, out) for layer, out in zip(self._layers, buffers, strict=True)]

    def _plan_for(self, rows: int) -> list[_Layer]:
        """Return the plan for a batch size. Slices are made when it changes: each costs as much as a launch."""
        if rows == 1:
            return self._single
        if rows != len(self._batch[-1][-1]):
            if rows > len(self._buffers[0]):
                self._buffers = self._allocate(rows)
            self._batch = self._plan([buffer[:rows] for buffer in self._buffers])
        return self._batch

    def __call__(self, x: Any) -> Any:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        for W, b, compute, out in self._plan_for(len(x)):
            compute(x, W, b, out)
            x = out
        return x

    def one(self, x: Any) -> Any:
        """Return the output of one sample: (n_in,) to (n_out,). Of its two views, one is made beforehand."""
        self(x.reshape(1, -1))
        return self._output
