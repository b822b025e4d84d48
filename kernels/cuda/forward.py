"""The forward pass over an array namespace: the lines that CuPy runs on a GPU run under NumPy in the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlpbench.kernels.spec import Activation, ForwardSpec


#: Takes a name and returns a decorator that makes a function of elementwise operations one device kernel.
Fuse = Callable[[str], Callable[[Callable[..., None]], Callable[..., None]]]


def fused_activations(
    xp: Any, fuse: Fuse, activations: Iterable[Activation] = (), erf: Any = None
) -> dict[str, Callable[..., None]]:
    """Return f(a, b) for each activation, which replaces the products ``a`` by the activation of a + b, in place.

    By name: those that most networks have, and those of ``activations``; ``erf`` is that of the namespace, for gelu.

    A softmax is no elementwise function: f(a, b) adds the bias, and "exp_of_difference" serves later. Written with
    nothing but ufuncs into ``a``: that is what `cupy.fuse` turns into one kernel without temporary arrays.
    """

    @fuse("bias")
    def identity(a: Any, b: Any) -> None:
        a += b

    @fuse("bias_sigmoid")
    def sigmoid(a: Any, b: Any) -> None:
        a += b
        xp.negative(a, out=a)
        xp.exp(a, out=a)
        a += 1
        xp.reciprocal(a, out=a)

    @fuse("bias_relu")
    def relu(a: Any, b: Any) -> None:
        a += b
        xp.maximum(a, 0, out=a)

    @fuse("bias_step")
    def step(a: Any, b: Any) -> None:
        a += b
        xp.greater(a, 0, out=a)

    @fuse("exp_of_difference")
    def exp_of_difference(a: Any, m: Any) -> None:
        a -= m
        xp.exp(a, out=a)

    few = [one for one in dict.fromkeys(activations) if one.name in ("tanh", "gelu", "silu", "leaky-relu")]
    more = {str(one): fuse(f"bias_{one.name.replace('-', '_')}")(_with_bias(xp, one, erf)) for one in few}
    return more | {
        "identity": identity,
        "softmax": identity,
        "sigmoid": sigmoid,
        "relu": relu,
        "step": step,
        "exp_of_difference": exp_of_difference,
    }


def _with_bias(xp: Any, activation: Activation, erf: Any) -> Callable[[Any, Any], None]:
    """Return f(a, b) for an activation that few networks have. In one device kernel, what is in between is no array."""

    def tanh(a: Any, b: Any) -> None:
        a += b
        xp.tanh(a, out=a)

    def silu(a: Any, b: Any) -> None:
        a += b
        a /= 1 + xp.exp(-a)

    def gelu(a: Any, b: Any) -> None:
        a += b
        a *= (1 + erf(a * 0.5**0.5)) * 0.5

    def leaky_relu(a: Any, b: Any) -> None:
        a += b
        xp.maximum(a, a * activation.slope, out=a)

    return {"tanh": tanh, "silu": silu, "gelu": gelu, "leaky-relu": leaky_relu}[activation.name]


class _Layer(NamedTuple):
    """W (n_in, n_out), b (n_out,), the activation of the product and the bias, and where both go (rows, n_out)."""

    W: Any
    b: Any
    activate: Callable[..., None]
    out: Any


class _Plan(NamedTuple):
    """Everything that a batch of one size writes to: the layers, and a column for each row's maximum or sum."""

    layers: list[_Layer]
    column: Any


class Network:
    """The layers of a specification as arrays of the namespace ``xp``, with a buffer for the result of each.

    The buffers grow to the largest batch seen; a smaller one uses their first rows, which stay contiguous. So a result
    is valid until the next call.
    """

    def __init__(
        self, xp: Any, fuse: Fuse, spec: ForwardSpec, weights: Sequence[Any], biases: Sequence[Any], erf: Any = None
    ) -> None:
        functions = fused_activations(xp, fuse, spec.activations, erf)
        self._xp = xp
        self._spec = spec
        self._exp_of_difference = functions["exp_of_difference"]
        activations = [*(functions[str(one)] for one in spec.activations), functions[spec.output]]
        self._layers = list(zip(weights, biases, activations, strict=True))
        self._single = self._plan(self._allocate(1))
        self._buffers = self._allocate(1)
        self._batch = self._plan(self._buffers)

    def _allocate(self, rows: int) -> list[Any]:
        """Return the buffers for ``rows``: one for each layer, and the column."""
        return [self._xp.empty((rows, n), dtype=self._spec.np_dtype) for n in (*self._spec.sizes[1:], 1)]

    def _plan(self, buffers: Sequence[Any]) -> _Plan:
        *outs, column = buffers
        return _Plan([_Layer(*layer, out) for layer, out in zip(self._layers, outs, strict=True)], column)

    def _plan_for(self, rows: int) -> _Plan:
        """Return the plan for a batch size. Slices are made when it changes: each costs as much as a launch."""
        if rows == 1:
            return self._single
        if rows != len(self._batch.column):
            if rows > len(self._buffers[0]):
                self._buffers = self._allocate(rows)
            self._batch = self._plan([buffer[:rows] for buffer in self._buffers])
        return self._batch

    def __call__(self, x: Any) -> Any:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        plan = self._plan_for(len(x))
        z = x
        for W, b, activate, out in plan.layers:
            self._xp.matmul(z, W, out=out)
            activate(out, b)
            z = out
        if self._spec.output == "softmax":
            z.max(axis=1, keepdims=True, out=plan.column)
            self._exp_of_difference(z, plan.column)
            z.sum(axis=1, keepdims=True, out=plan.column)
            z /= plan.column
        return z
