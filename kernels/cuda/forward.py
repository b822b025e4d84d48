"""The forward pass over an array namespace: the lines that CuPy runs on a GPU run under NumPy in the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlpbench.kernels.spec import Activation, ForwardSpec


#: Takes a name and returns a decorator that makes a function of elementwise operations one device kernel.
Fuse = Callable[[str], Callable[[Callable[..., None]], Callable[..., None]]]
#: f(a, b) replaces products ``a`` (rows, n_out) by the activation of a + b, in place.
Activate = Callable[..., None]


def fused_activations(
    xp: Any, fuse: Fuse, activations: Iterable[Activation] = (), erf: Any = None
) -> dict[str, Callable[..., None]]:
    """Return f(a, b) for each activation, which replaces the products ``a`` by the activation of a + b, in place.

    By name: those that most networks have, and those of ``activations``; ``erf`` is that of the namespace, for gelu.

    A softmax is no elementwise function, and not among them. They are written with nothing but ufuncs into ``a``: that
    is what `cupy.fuse` turns into one kernel without temporary arrays.
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

    few = [one for one in dict.fromkeys(activations) if one.name in ("tanh", "gelu", "silu", "leaky-relu")]
    more = {str(one): fuse(f"bias_{one.name.replace('-', '_')}")(_with_bias(xp, one, erf)) for one in few}
    return more | {
        "identity": identity,
        "sigmoid": sigmoid,
        "relu": relu,
        "step": step,
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
    activate: Activate
    out: Any


class Network:
    """The layers of a specification as arrays of the namespace ``xp``, with a buffer for the result of each.

    ``softmax`` is f(a, b) as `fused_activations` has them, of a whole row. The buffers grow to the largest batch seen;
    a smaller one uses their first rows, which stay contiguous. So a result is valid until the next call.
    """

    def __init__(
        self,
        xp: Any,
        fuse: Fuse,
        softmax: Activate,
        spec: ForwardSpec,
        weights: Sequence[Any],
        biases: Sequence[Any],
        erf: Any = None,
    ) -> None:
        functions = {**fused_activations(xp, fuse, spec.activations, erf), "softmax": softmax}
        self._xp = xp
        self._spec = spec
        activations = [*(functions[str(one)] for one in spec.activations), functions[spec.output]]
        self._layers = list(zip(weights, biases, activations, strict=True))
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
