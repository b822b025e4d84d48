"""The forward pass over an array namespace: the lines that CuPy runs on a GPU run under NumPy in the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.kernels.spec import ForwardSpec


#: f(a, b) replaces products ``a`` (rows, n_out) by the activation of a + b, in place.
Activate = Callable[..., None]


class _Layer(NamedTuple):
    """W (n_in, n_out), b (n_out,), the activation of the product and the bias, and where both go (rows, n_out)."""

    W: Any
    b: Any
    activate: Activate
    out: Any


class Network:
    """The layers of a specification as arrays of the namespace ``xp``, with a buffer for the result of each.

    ``activate`` has an f(a, b) for each layer. The buffers grow to the largest batch seen; a smaller one uses their
    first rows, which stay contiguous. So a result is valid until the next call.
    """

    def __init__(
        self,
        xp: Any,
        activate: Sequence[Activate],
        spec: ForwardSpec,
        weights: Sequence[Any],
        biases: Sequence[Any],
    ) -> None:
        self._xp = xp
        self._spec = spec
        self._layers = list(zip(weights, biases, activate, strict=True))
        self._single = self._plan(self._allocate(1))
        self._output = self._single[-1].out.reshape(-1)
        self._buffers = self._allocate(1)
        self._batch = self._plan(self._buffers)

    def _allocate(self, rows: int) -> list[Any]:
        """Return a buffer for ``rows`` of each layer."""
        return [self._xp.empty((rows, n), dtype=self._spec.np_dtype) for n in self._spec.sizes[1:]]

    def _plan(self, buffers: Sequence[Any]) -> list[_Layer]:
        """Return all that a batch of one size is computed with."""
        return [_Layer(*layer, out) for layer, out in zip(self._layers, buffers, strict=True)]

    def _plan_for(self, rows: int) -> list[_Layer]:
        """Return the plan for a batch size. Slices are made when it changes: each costs as much as a launch."""
        if rows == 1:
            return self._single
        if rows != len(self._batch[-1].out):
            if rows > len(self._buffers[0]):
                self._buffers = self._allocate(rows)
            self._batch = self._plan([buffer[:rows] for buffer in self._buffers])
        return self._batch

    def __call__(self, x: Any) -> Any:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        for W, b, activate, out in self._plan_for(len(x)):
            self._xp.matmul(x, W, out=out)
            activate(out, b)
            x = out
        return x

    def one(self, x: Any) -> Any:
        """Return the output of one sample: (n_in,) to (n_out,). Of its two views, one is made beforehand."""
        self(x.reshape(1, -1))
        return self._output
