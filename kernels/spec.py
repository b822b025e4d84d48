"""The specification of a forward pass: sizes, activations, dtype. What is computed, never how."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from math import isfinite
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from mlpbench.kernels import networks
from mlpbench.kernels.errors import SpecError

if TYPE_CHECKING:
    import numpy as np

#: What a hidden layer may do to each element. gelu is the exact one, a * Phi(a) with the normal distribution's Phi.
HIDDEN = ("sigmoid", "relu", "step", "tanh", "gelu", "silu", "leaky-relu", "identity")
#: The slope of leaky-relu below 0 where none is said: PyTorch's default. `leaky-relu:0.2` says another.
SLOPE = 0.01
Output = Literal["softmax", "identity"]
DType = Literal["float32", "float64"]

#: A network of 2**31 weights (8 GiB in float32) is a typing error, not a benchmark.
MAX_WEIGHTS = 2**31


class Activation(NamedTuple):
    """An activation by its name in `HIDDEN`; ``slope`` is that of leaky-relu below 0, and 0 for all others."""

    name: str
    slope: float = 0.0

    def __str__(self) -> str:
        return f"{self.name}:{self.slope:.9g}" if self.name == "leaky-relu" and self.slope != SLOPE else self.name


@cache
def read_hidden(text: str) -> tuple[Activation, ...]:
    """Read activations as people write them: ``tanh``, ``leaky-relu:0.2``, one for each layer ``tanh,relu``.

    Raises SpecError for a name that is none, and for a slope that is not from 0 to 1.
    """
    return tuple(_read_activation(part) for part in text.split(","))


def _read_activation(text: str) -> Activation:
    name, colon, written = text.partition(":")
    if name not in HIDDEN or (colon and name != "leaky-relu"):
        raise SpecError(f"hidden must be one of {', '.join(HIDDEN)}, or several with commas; got {text[:40]!r}")
    try:
        slope = float(written) if colon else SLOPE
    except ValueError:
        slope = -1.0
    if not (isfinite(slope) and 0 <= slope <= 1):
        raise SpecError(f"the slope of leaky-relu must be a number from 0 to 1, got {written[:40]!r}")
    return Activation(name, slope if name == "leaky-relu" else 0.0)


@dataclass(frozen=True)
class ForwardSpec:
    """A fully connected network: ``sizes[0]`` inputs, one layer for every further entry of ``sizes``.

    Each layer computes ``A = X @ W + b`` with ``W`` of shape (n_in, n_out). A hidden layer then applies its activation
    to each element, and the last layer applies ``output`` to each row. ``hidden`` is one activation for all hidden
    layers, or one for each of them with commas between; `activations` takes it apart.

    Raises SpecError where a size, an activation or the dtype makes no sense.
    """

    sizes: tuple[int, ...]
    hidden: str = "sigmoid"
    output: Output = "softmax"
    dtype: DType = "float32"

    def __post_init__(self) -> None:
        if not all(isinstance(n, int | Integral) and not isinstance(n, bool) for n in self.sizes):
            raise SpecError(f"sizes must be whole numbers, got {self.sizes!r}")
        object.__setattr__(self, "sizes", tuple(int(n) for n in self.sizes))
        if len(self.sizes) < 2:
            raise SpecError(f"a network needs at least an input and an output size, got {self.sizes!r}")
        if min(self.sizes) < 1:
            raise SpecError(f"every size must be at least 1, got {self.label()}")
        if self.n_weights > MAX_WEIGHTS:
            raise SpecError(f"{self.label()} has {self.n_weights} weights; the limit is {MAX_WEIGHTS}")
        for name, kind in (("output", Output), ("dtype", DType)):
            if getattr(self, name) not in get_args(kind):
                raise SpecError(f"{name} must be one of {', '.join(get_args(kind))}; got {getattr(self, name)!r}")
        each = read_hidden(self.hidden)
        if len(each) not in (1, self.n_layers - 1):
            raise SpecError(f"{self.label()} has {self.n_layers - 1} hidden layers, and hidden names {len(each)}")
        # One way to write it, whatever was typed: equal specifications are equal.
        object.__setattr__(self, "hidden", ",".join(map(str, each[:1] if len(set(each)) == 1 else each)))

    @classmethod
    def parse(cls, text: str, hidden: str = "sigmoid", output: str = "softmax", dtype: str = "float32") -> ForwardSpec:
        """Read sizes as ``784-50-100-10``, with activations as ``784-50-100-10:relu/identity``, or a network's name.

        ``hidden`` and ``output``: the activations that the text leaves out. Raises SpecError with the expected form.
        """
        written, _, activations = (networks.find(text) if text[:1].isalpha() else text).partition(":")
        named, _, last = activations.partition("/")
        try:
            sizes = tuple(int(part) for part in written.split("-"))
        except ValueError:
            how = "write sizes as 784-50-100-10, or with activations as 784-50-100-10:relu/identity"
            raise SpecError(f"cannot read the specification {text[:80]!r}: {how}") from None
        return cls(sizes, named or hidden, last or output, dtype)  # type: ignore[arg-type]  # checked in __post_init__

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as JSON can hold it."""
        return {**asdict(self), "sizes": list(self.sizes)}

    def label(self) -> str:
        """Return the sizes as people write them: ``784-50-100-10``."""
        return "-".join(str(n) for n in self.sizes)

    @property
    def text(self) -> str:
        """The sizes and activations as `parse` reads them."""
        return f"{self.label()}:{self.hidden}/{self.output}"

    def __str__(self) -> str:
        return f"{self.label()} {self.hidden}/{self.output} {self.dtype}"

    @property
    def n_in(self) -> int:
        """Inputs of a sample."""
        return self.sizes[0]

    @property
    def n_out(self) -> int:
        """Outputs of a sample."""
        return self.sizes[-1]

    @property
    def n_layers(self) -> int:
        """Layers with weights."""
        return len(self.sizes) - 1

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """(n_in, n_out) of each layer: the shapes of the weights."""
        return tuple(zip(self.sizes[:-1], self.sizes[1:], strict=True))

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activation of each hidden layer."""
        each = read_hidden(self.hidden)
        return each if len(each) > 1 else each * (self.n_layers - 1)

    @property
    def n_weights(self) -> int:
        """Weights without biases: multiply-adds of one sample."""
        return sum(n_in * n_out for n_in, n_out in self.layers)

    @property
    def np_dtype(self) -> np.dtype[Any]:
        """The dtype of inputs, weights and outputs."""
        import numpy as np  # here: the command line reads specifications, and starts without NumPy

        return np.dtype(self.dtype)

    def flop(self, batch: int) -> int:
        """Floating-point operations of the matrix products and biases of ``batch`` rows.

        A multiply-add counts 2, a bias 1; activations are left out, as in every published GEMM rate.
        """
        return batch * (2 * self.n_weights + sum(self.sizes[1:]))

    def weight_bytes(self) -> int:
        """Bytes of all weights and biases: what every call must read at least once."""
        return (self.n_weights + sum(self.sizes[1:])) * self.np_dtype.itemsize

    def input_bytes(self, batch: int) -> int:
        """Bytes of ``batch`` input rows."""
        return batch * self.n_in * self.np_dtype.itemsize


#: Chapter 3 of *Deep Learning from Scratch*: 784 pixels, 50 and 100 sigmoid neurons, 10 classes.
MNIST = ForwardSpec((784, 50, 100, 10), hidden="sigmoid", output="softmax")

#: The network that the same chapter works through by hand (section 3.4), with `kernels.params.hand_worked`.
HAND_WORKED = ForwardSpec((2, 3, 2, 2), hidden="sigmoid", output="identity")
